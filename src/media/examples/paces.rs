//! `paces IN.wav OUT.wav [FASTER [SLOWER]]`: the coder alone, played faster and slower by turns as a jitter buffer does that makes
//! up for delay and gains it again; in ms of sound per tick of 20 ms, 24 and 18 if not given. Graded beside the output of `codec`
//! by `tools/grade/paced.py` it shows what a change of pace costs in quality.
//!
//! A second is played as it was spoken, then 80 ms are made up; a second again, then they are given back.

use std::path::Path;
use std::process::ExitCode;

use talkbridge_media::opus::{Bits, Decoder, Encoder};
use talkbridge_media::pcm::FRAME_SAMPLES;
use talkbridge_media::stretch::Stretcher;
use talkbridge_media::timeline::WavSink;
use talkbridge_media::wav::WavSource;
use talkbridge_media::{Sink, Source};

/// Samples at 16 kHz in a millisecond.
const MS: usize = 16;
/// Ticks at an even pace before each change.
const EVEN_TICKS: usize = 50;
/// What is made up, and given back.
const MADE_UP: usize = 80 * MS;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [input, output, paces @ ..] = arguments.as_slice() else { return failure("usage: paces IN.wav OUT.wav [FASTER [SLOWER]]", 2) };
    let pace = |place: usize, default: usize| paces.get(place).map_or(Ok(default), |text| text.parse().map(|ms: usize| ms * MS));
    let (Ok(faster @ 321..=640), Ok(slower @ 160..=319)) = (pace(0, 24 * MS), pace(1, 18 * MS)) else {
        return failure("a pace must be 21 to 40 ms, and 10 to 19 ms", 2);
    };
    match run(Path::new(input), Path::new(output), faster, slower) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure(&error.to_string(), 1),
    }
}

fn run(input: &Path, output: &Path, faster: usize, slower: usize) -> Result<(), Box<dyn std::error::Error>> {
    let mut encoder = Encoder::new(Bits::default())?;
    let (mut decoder, mut stretcher) = (Decoder::new()?, Stretcher::default());
    let mut source = WavSource::open(input, encoder.lookahead())?;
    let mut sink = WavSink::create(output)?;
    let turn =
        [(EVEN_TICKS, FRAME_SAMPLES), (MADE_UP / (faster - 320), faster), (EVEN_TICKS, FRAME_SAMPLES), (MADE_UP / (320 - slower), slower)];
    let advances = turn.into_iter().cycle().flat_map(|(ticks, advance)| std::iter::repeat_n(advance, ticks));
    let (mut position, mut left) = (0, 0);
    'speech: for advance in advances {
        while left < advance {
            let Some(frame) = source.next_frame() else { break 'speech };
            stretcher.push(&decoder.decode(&encoder.encode(&frame)?).frame);
            left += FRAME_SAMPLES;
        }
        left -= advance;
        sink.play(position, &stretcher.take(advance))?;
        position += FRAME_SAMPLES as u64;
    }
    sink.play(position, &stretcher.rest())?;
    sink.finish(position + FRAME_SAMPLES as u64)?;
    Ok(())
}

#[expect(clippy::print_stderr, reason = "a command line program tells its user on stderr")]
fn failure(message: &str, code: u8) -> ExitCode {
    eprintln!("paces: {message}");
    ExitCode::from(code)
}
