//! Generates the protobuf types from `proto/talkbridge.proto`, without protoc: protox compiles the schema.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto/talkbridge.proto");
    let schema = protox::compile(["proto/talkbridge.proto"], ["proto"])?;
    prost_build::Config::new().bytes(["."]).compile_fds(schema)?;
    Ok(())
}
