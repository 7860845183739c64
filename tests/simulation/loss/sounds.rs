//! Speech over one hop that loses, for `tools/bench loss`: figures as lines of JSON, what was heard as WAV files beside them.

use std::fs;
use std::path::{Path, PathBuf};

use client::Heard;
use client::ear::Ear;
use media::Sink;
use media::opus::{Bits, Encoder};
use media::pcm::frames;
use media::timeline::WavSink;
use media::wav;
use serde_json::json;

use super::chain::{Chain, Hop, Loss, Repeats, talkgroup};
use super::talk;

/// Loss in percent.
const LOSSES: [u32; 8] = [0, 1, 2, 5, 10, 15, 20, 30];
const CHOICES: [(Repeats, &str); 4] =
    [(Repeats::Pinned(0), "0"), (Repeats::Pinned(1), "1"), (Repeats::Pinned(2), "2"), (Repeats::Reported, "reported")];

/// What one recording becomes: spoken twice, so that the jitter buffer knows the path, and written the second time.
fn hear(hops: &[Hop], speech: &[i16], out: &Path) {
    let mut encoder = Encoder::new(Bits::default()).expect("a coder");
    let mut payloads = || -> Vec<_> {
        encoder.reset().expect("a coder");
        let frames: Vec<_> = frames(speech, encoder.lookahead()).collect();
        frames.iter().map(|frame| encoder.encode(frame).expect("a coder")).collect()
    };
    let mut chain = Chain::new(hops, 1);
    chain.say(payloads().into_iter());
    let origin = chain.now();
    chain.heard.clear();
    chain.say(payloads().into_iter());
    let mut ear = Ear::new(origin);
    let mut sink = WavSink::create(out).expect("a file");
    let mut end = 0;
    for (at, spurt, playout) in std::mem::take(&mut chain.heard) {
        let (position, frame) = ear.hear(&Heard { talkgroup: talkgroup(0), spurt, playout, at }).expect("a decoder");
        sink.play(position, &frame).expect("a file");
        end = position + frame.samples().len() as u64;
    }
    sink.finish(end).expect("a file");
}

/// `TALKBRIDGE_SPEECH` names recordings, with `:` between them, `TALKBRIDGE_FOLDER` where to write, `TALKBRIDGE_FRAMES` over how many
/// frames each share is counted.
#[test]
#[ignore = "tools/bench loss starts it"]
fn the_speech_that_was_asked_for() {
    let asked = |name: &str| std::env::var(name).unwrap_or_else(|why| panic!("{name}: {why}"));
    let speech: Vec<PathBuf> = asked("TALKBRIDGE_SPEECH").split(':').map(PathBuf::from).collect();
    let folder = PathBuf::from(asked("TALKBRIDGE_FOLDER"));
    let count: u32 = asked("TALKBRIDGE_FRAMES").parse().expect("a number");
    fs::create_dir_all(&folder).expect("a folder");
    for (bursty, kind) in [(false, "independent"), (true, "bursts")] {
        for percent in LOSSES.into_iter().filter(|percent| !bursty || *percent > 0) {
            let share = f64::from(percent) / 100.0;
            let loss = if bursty { Loss::Bursts(share) } else { Loss::Independent(share) };
            for (repeats, word) in CHOICES {
                let hops = [Hop::clean(), Hop { loss, repeats }];
                let outcome = talk(&hops, count, 1);
                let mut wavs = Vec::new();
                for recording in &speech {
                    let samples = wav::read(recording).expect("a recording");
                    let out = folder.join(format!("{kind}-{percent}-{word}-{}", recording.file_name().expect("a name").display()));
                    hear(&hops, &samples, &out);
                    wavs.push([recording.clone(), out]);
                }
                let delay = outcome.stats.delays.percentile(50).as_millis();
                let (spoken, in_time, repaired, late) = (outcome.spoken, outcome.in_time, outcome.stats.repaired, outcome.stats.late);
                println!(
                    "{}",
                    json!({
                        "kind": kind, "loss_percent": percent, "repeats": word, "frames": spoken, "in_time": in_time,
                        "in_time_percent": outcome.percent(), "repaired": repaired, "late": late, "delay_p50_ms": delay, "wavs": wavs,
                    })
                );
            }
        }
    }
}
