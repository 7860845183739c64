//! Generates the protobuf types from the contracts in `proto/`, without protoc: protox compiles the schema.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let schema = protox::compile(["proto/talkbridge.proto", "proto/short_data.proto"], ["proto"])?;
    prost_build::Config::new().bytes(["."]).compile_fds(schema)?;
    Ok(())
}
