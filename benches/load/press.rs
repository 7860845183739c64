//! From the press of a key to the grant, and beside it what no floor can do without: a round trip over QUIC.
//!
//! Units press in turn, each after a pause, so that a gateway takes none of them for a flood. The echo is the product's transport with
//! nothing behind it: no session, no floor, no queue.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use clap::Args;
use serde::Serialize;
use tokio::time::{Instant, sleep_until};
use transport::{Dialer, Endpoint, Expect, Keys, OsSockets, Port, clock};
use wire::Priority;

use crate::Place;
use crate::crowd::Seat;
use crate::office::Office;
use crate::talkbridge::Key;

/// As long as a request in its frame, about.
const REQUEST_BYTES: usize = 40;
/// Presses and round trips before those that count: the path, caches and allocators have seen one by then.
const WARM: usize = 5;
/// Time of one attempt to dial.
const DIAL: Duration = Duration::from_secs(10);
/// Time for one answer.
const ANSWER: Duration = Duration::from_secs(5);

/// How often, and how fast.
#[derive(Clone, Debug, Args)]
struct Pace {
    /// How many count
    #[arg(long, default_value_t = 200)]
    rounds: usize,
    /// Time between two of them
    #[arg(long, default_value_t = 60)]
    every_ms: u64,
}

/// Keys to press.
#[derive(Clone, Debug, Args)]
pub(crate) struct Presses {
    #[command(flatten)]
    place: Place,
    /// Units that press in turn
    #[arg(long, default_value_t = 4)]
    units: usize,
    /// The talkgroup in which they press
    #[arg(long)]
    group: u16,
    /// A talkgroup that they hear beside it
    #[arg(long)]
    hears: Option<u16>,
    #[command(flatten)]
    pace: Pace,
}

/// Where the echo is.
#[derive(Clone, Debug, Args)]
pub(crate) struct Echo {
    /// UDP port of 127.0.0.1
    #[arg(long)]
    port: u16,
    /// Folder made by `pki`
    #[arg(long)]
    pki: std::path::PathBuf,
    /// Whose folder
    #[arg(long, default_value = "nl")]
    authority: String,
}

/// Round trips to make.
#[derive(Clone, Debug, Args)]
pub(crate) struct Pings {
    #[command(flatten)]
    echo: Echo,
    #[command(flatten)]
    pace: Pace,
}

/// What was found.
#[derive(Debug, Serialize)]
struct Took {
    took_us: Vec<f64>,
}

impl Took {
    fn json(took: impl IntoIterator<Item = Duration>) -> Result<String> {
        let took_us = took.into_iter().skip(WARM).map(|took| took.as_secs_f64() * 1e6).collect();
        Ok(serde_json::to_string(&Self { took_us })?)
    }
}

impl Pace {
    /// When each is due.
    fn due(&self) -> impl Iterator<Item = Instant> {
        let (began, every) = (Instant::now(), Duration::from_millis(self.every_ms));
        (0_u32..).map(move |round| began + every * round).take(self.rounds + WARM)
    }
}

/// Presses; how long each grant took as JSON.
pub(crate) async fn press(plan: &Presses) -> Result<String> {
    let place = &plan.place;
    let office = Office::open(place.pki.as_deref().context("--pki is missing")?, &place.authority)?;
    let mut keys = Vec::new();
    for number in 0..plan.units {
        let (relay, from, priority) = (place.address, place.from, Priority::default());
        let seat = Seat { number, group: plan.group, talks: false, priority, from, relay, heard: Arc::default() };
        keys.push(Key::join(&office, &seat, plan.hears).await.with_context(|| format!("unit {number}"))?);
    }
    let mut took = Vec::new();
    for (round, due) in plan.pace.due().enumerate() {
        sleep_until(due).await;
        let key = round % keys.len();
        let pressed = keys.get_mut(key).context("nobody presses")?.press();
        took.push(tokio::time::timeout(ANSWER, pressed).await.context("no answer to a press")??);
    }
    Took::json(took)
}

/// Answers until it is ended.
pub(crate) async fn echo(plan: &Echo) -> Result<()> {
    let office = Office::open(&plan.pki, &plan.authority)?;
    let (at, trust) = ((Ipv4Addr::LOCALHOST, plan.port).into(), Arc::clone(&office.trust));
    let endpoint = Endpoint::bind(&OsSockets, at, Port::Units, office.gateway()?, trust, &Keys::ephemeral(), clock::system())?;
    while let Some(caller) = endpoint.accept().await {
        let connection = caller.complete().await.map_err(refused)?;
        let (mut send, mut recv) = connection.accept_control().await.map_err(refused)?;
        while let Ok(Some(chunk)) = recv.read_chunk(REQUEST_BYTES, true).await {
            send.write_all(&chunk.bytes).await?;
        }
    }
    Ok(())
}

/// Makes round trips; how long each took as JSON.
pub(crate) async fn ping(plan: &Pings) -> Result<String> {
    let office = Office::open(&plan.echo.pki, &plan.echo.authority)?;
    let local = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let (own, trust) = (office.unit(0)?, Arc::clone(&office.trust));
    let dialer = Dialer::bind(&OsSockets, local, Port::Units, own, trust, &Keys::ephemeral(), clock::system())?;
    let to = SocketAddr::from((Ipv4Addr::LOCALHOST, plan.echo.port));
    let connection = dialer.dial(to, Expect::AnyGatewayOf(vec![office.authority.parse()?]), DIAL).await.map_err(refused)?;
    let (mut send, mut recv) = connection.open_control().await.map_err(refused)?;
    let mut took = Vec::new();
    for due in plan.pace.due() {
        sleep_until(due).await;
        let said = std::time::Instant::now();
        send.write_all(&[0; REQUEST_BYTES]).await?;
        let mut answer = [0; REQUEST_BYTES];
        tokio::time::timeout(ANSWER, recv.read_exact(&mut answer)).await.context("no echo")??;
        took.push(said.elapsed());
    }
    Took::json(took)
}

fn refused(reason: wire::Reason) -> anyhow::Error {
    anyhow!("the other end says {reason}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_ones_do_not_count() {
        let took = (1..=7_u64).map(Duration::from_micros);
        assert_eq!(Took::json(took).unwrap(), r#"{"took_us":[6.0,7.0]}"#);
        let pace = Pace { rounds: 3, every_ms: 20 };
        let due: Vec<Instant> = pace.due().collect();
        assert_eq!((due.len(), due[7] - due[0]), (3 + WARM, Duration::from_millis(140)));
    }
}
