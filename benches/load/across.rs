//! One side of a border: calls of several classes, or one listener in each talkgroup, and when each of their frames passed the wire.
//!
//! Frames are told apart by their order: the n-th packet with voice of a terminal is the n-th frame that it sent or noted. Whatever
//! else is as long as voice, which a grant or a change of talker can be, is told by its length: voice has the one that is most common,
//! or what an acknowledgement adds to it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use clap::Args;
use serde::Serialize;
use tokio::io::AsyncReadExt;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use wire::{Level, Priority, Tier};

use crate::Place;
use crate::capture::{Capture, Packet};
use crate::crowd::{Crowd, Joined, Seat, join, payload};
use crate::office::Office;

/// What a packet with voice may be longer than another: acknowledgements that travel with it.
const BESIDES_BYTES: u16 = 30;
/// Time between frames.
const EVERY: Duration = Duration::from_millis(20);

/// Calls to make, each in a talkgroup of its own.
#[derive(Clone, Debug, Args)]
pub(crate) struct Calls {
    #[command(flatten)]
    place: Place,
    /// TIER:LEVEL:AFTER_MS of a call; each may be given many times
    #[arg(long = "call", required = true)]
    calls: Vec<Call>,
    /// The talkgroup of the first call; the second is in the next
    #[arg(long, default_value_t = 0)]
    first: u16,
    /// Bytes of voice in a frame
    #[arg(long, default_value_t = 60)]
    payload: usize,
    /// When all calls end, counted from the start
    #[arg(long, default_value_t = 20.0)]
    seconds: f64,
}

/// When a call begins, and how important it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Call {
    priority: Priority,
    after: Duration,
}

impl FromStr for Call {
    type Err = anyhow::Error;

    fn from_str(words: &str) -> Result<Self> {
        let [tier, level, after] = words.split(':').collect::<Vec<_>>()[..] else { return Err(anyhow!("not TIER:LEVEL:AFTER_MS")) };
        let tier = match tier {
            "emergency" => Tier::Emergency,
            "peril" => Tier::Peril,
            "normal" => Tier::Normal,
            other => return Err(anyhow!("no tier '{other}'")),
        };
        let priority = Priority { tier, dispatcher: false, level: Level(level.parse()?) };
        Ok(Self { priority, after: Duration::from_millis(after.parse()?) })
    }
}

/// A call, as its talker saw it.
#[derive(Debug, Serialize)]
struct Spoken {
    group: u16,
    /// Why it was refused; its frames were never sent then, and have no times.
    refused: Option<String>,
    /// Frames that were said, in their order, and of those the ones that its own gateway had told to reach its own side alone.
    frames: Vec<u32>,
    aside: Vec<u32>,
    /// When each passed the wire, in nanoseconds; empty if they are not as many.
    at_ns: Vec<i64>,
}

/// What a listener noted.
#[derive(Debug, Serialize)]
struct Noted {
    group: u16,
    frames: Vec<u32>,
    at_ns: Vec<i64>,
}

/// Makes the calls; what became of them as JSON.
pub(crate) async fn call(plan: &Calls) -> Result<String> {
    let office = plan.place.office()?;
    let capture = Capture::start(plan.place.address)?;
    let began = Instant::now();
    let end = began + Duration::from_secs_f64(plan.seconds);
    let mut calls = JoinSet::new();
    for (group, call) in (plan.first..).zip(plan.calls.iter().copied()) {
        let seat = Seat {
            number: usize::from(group),
            group,
            talks: true,
            priority: call.priority,
            from: plan.place.from,
            relay: plan.place.address,
            heard: Arc::default(),
        };
        let (relay, office, length) = (plan.place.relay, office.clone(), plan.payload);
        calls.spawn(async move {
            sleep_until(began + call.after).await;
            let due = Instant::now();
            match join(relay, office, &seat).await {
                Ok(joined) => speak(joined, &seat, end, length).await,
                // Whoever is refused says nothing; what would have been said is counted all the same.
                Err(error) => Ok((seat.relay, 0, silent(group, &format!("{:#}", error), end - due))),
            }
        });
    }
    let mut said = Vec::new();
    while let Some(one) = calls.join_next().await {
        said.push(one??);
    }
    let packets = capture.stop()?;
    let mut spoken: Vec<Spoken> = said
        .into_iter()
        .map(|(at, since_ns, spoken)| Spoken {
            at_ns: times(&packets, |packet| packet.from == at && packet.at_ns >= since_ns, spoken.frames.len()),
            ..spoken
        })
        .collect();
    spoken.sort_by_key(|call| call.group);
    Ok(serde_json::to_string(&spoken)?)
}

fn silent(group: u16, refused: &str, length: Duration) -> Spoken {
    let frames = u32::try_from(length.as_millis() / EVERY.as_millis()).unwrap_or(u32::MAX);
    Spoken { group, refused: Some(refused.to_owned()), frames: (0..frames).collect(), aside: Vec::new(), at_ns: Vec::new() }
}

/// Speaks until the end; where from, since when, and what.
async fn speak(joined: Joined, seat: &Seat, end: Instant, length: usize) -> Result<(SocketAddr, i64, Spoken)> {
    let mut mouth = joined.mouth.context("a talker without a mouth")?;
    let since_ns = now_ns()?;
    let mut said = Spoken { group: seat.group, refused: None, frames: Vec::new(), aside: Vec::new(), at_ns: Vec::new() };
    let mut due = Instant::now();
    for frame in 0.. {
        if due >= end {
            break;
        }
        sleep_until(due).await;
        if seat.heard.is_aside() {
            said.aside.push(frame);
        }
        mouth.speak(&payload(seat.group, frame, length))?;
        said.frames.push(frame);
        due += EVERY;
        if due < Instant::now() {
            // A late talker has several frames to send at once; each leaves in a packet of its own.
            tokio::task::yield_now().await;
        }
    }
    Ok((joined.at, since_ns, said))
}

fn now_ns() -> Result<i64> {
    Ok(i64::try_from(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_nanos())?)
}

/// Listens until stdin ends; what came as JSON. `ready` is said when all are there.
pub(crate) async fn listen(place: &Place, ready: impl Fn() -> Result<()>) -> Result<String> {
    let crowd = Crowd::gather(place, false).await?;
    let capture = Capture::start(place.address)?;
    ready()?;
    tokio::io::stdin().read_to_end(&mut Vec::new()).await?;
    let packets = capture.stop()?;
    crowd.all_alive()?;
    let mut noted: Vec<Noted> = crowd
        .ears
        .iter()
        .map(|ear| (ear, ear.heard.take()))
        .map(|(ear, frames)| Noted { group: ear.group, at_ns: times(&packets, |packet| packet.to == ear.at, frames.len()), frames })
        .collect();
    noted.sort_by_key(|ear| ear.group);
    Ok(serde_json::to_string(&noted)?)
}

/// When the frames passed that one terminal sent or noted; nothing if the capture has not as many packets with voice.
fn times(packets: &[Packet], of_it: impl Fn(&Packet) -> bool, frames: usize) -> Vec<i64> {
    let own: Vec<&Packet> = packets.iter().filter(|packet| of_it(packet)).collect();
    let mut lengths: HashMap<u16, usize> = HashMap::new();
    for packet in &own {
        *lengths.entry(packet.bytes).or_default() += 1;
    }
    let Some((usual, _)) = lengths.into_iter().max_by_key(|(bytes, count)| (*count, *bytes)) else { return Vec::new() };
    let is_voice = |packet: &&Packet| (usual - 2..=usual + BESIDES_BYTES).contains(&packet.bytes);
    let times: Vec<i64> = own.into_iter().filter(is_voice).map(|packet| packet.at_ns).collect();
    if times.len() == frames { times } else { Vec::new() }
}

impl Place {
    fn office(&self) -> Result<Option<Arc<Office>>> {
        self.pki.as_deref().map(|pki| Office::open(pki, &self.authority).map(Arc::new)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_read_off_its_words() {
        let call: Call = "emergency:3:250".parse().unwrap();
        assert_eq!((call.priority.tier, call.priority.level, call.after), (Tier::Emergency, Level(3), Duration::from_millis(250)));
        assert!("normal:3".parse::<Call>().is_err() && "loud:1:2".parse::<Call>().is_err());
    }

    #[test]
    fn what_is_not_as_long_as_voice_is_left_out() {
        let (here, there) = (([127, 0, 0, 1], 1).into(), ([127, 0, 0, 1], 2).into());
        let packets: Vec<Packet> =
            [(1, 160), (2, 100), (3, 104), (4, 100), (5, 70)].map(|(at_ns, bytes)| Packet { at_ns, from: here, to: there, bytes }).into();
        assert_eq!(times(&packets, |_| true, 3), [2, 3, 4]);
        assert!(times(&packets, |_| true, 4).is_empty() && times(&packets, |_| false, 0).is_empty());
    }
}
