//! `codec IN.wav OUT.wav [BITS]`: the coder alone, with the product's settings and no network. The grading scripts compare what
//! a bridge delivers with this, so that a loss of quality is charged to the coder or to the bridge, whichever caused it.

use std::path::Path;
use std::process::ExitCode;

use talkbridge_media::opus::{Bits, Decoder, Encoder};
use talkbridge_media::timeline::WavSink;
use talkbridge_media::wav::WavSource;
use talkbridge_media::{Sink, Source};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (input, output, bits) = match arguments.as_slice() {
        [input, output] => (input, output, Ok(Bits::default())),
        [input, output, bits] => (input, output, bits.parse().map(Bits::clamped)),
        _ => return failure("usage: codec IN.wav OUT.wav [BITS PER SECOND]", 2),
    };
    let Ok(bits) = bits else { return failure("bits per second must be a number", 2) };
    match run(Path::new(input), Path::new(output), bits) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure(&error.to_string(), 1),
    }
}

fn run(input: &Path, output: &Path, bits: Bits) -> Result<(), Box<dyn std::error::Error>> {
    let mut encoder = Encoder::new(bits)?;
    let mut decoder = Decoder::new()?;
    let mut source = WavSource::open(input, encoder.lookahead())?;
    let mut sink = WavSink::create(output)?;
    let mut position = 0;
    while let Some(frame) = source.next_frame() {
        let decoded = decoder.decode(&encoder.encode(&frame)?);
        sink.play(position, &decoded.frame)?;
        position += decoded.frame.samples().len() as u64;
    }
    sink.finish(position)?;
    Ok(())
}

#[expect(clippy::print_stderr, reason = "a command line program tells its user on stderr")]
fn failure(message: &str, code: u8) -> ExitCode {
    eprintln!("codec: {message}");
    ExitCode::from(code)
}
