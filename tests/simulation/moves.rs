//! Another address in the middle of a spurt: another port behind NAT, or another network. How long nobody hears the talker.

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use testkit::Link;
use tokio::time::sleep;

use crate::support::world::ip;
use crate::support::{World, bridged};

/// Beyond one round trip of the path that moved.
const PAUSE_MAX: Duration = Duration::from_millis(200);
/// Port that a simulated host hands out first: a unit dials from it.
const UNIT_PORT: u16 = 49_152;
/// Port of a gateway that dials its peers.
const PEER_PORT: u16 = 7_101;

/// Who gets another address while `maas-12` in nl talks and `lux-1` in be listens, or the other way round.
#[derive(Clone, Copy, Debug)]
enum Mover {
    Talker,
    Listener,
    /// The gateway that dialled, on the talker's side.
    NearGateway,
    /// The same on the listener's side.
    FarGateway,
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// The longest pause at the listener in a spurt during which the mover changes its address five times.
fn longest_pause(seed: u64, mover: Mover, round_trip: Duration, network: bool) -> Duration {
    let mut pause = Duration::ZERO;
    bridged(seed, async |world: &mut World| {
        // The gateway of nl dials.
        let talks = if matches!(mover, Mover::FarGateway) { ["be", "nl"] } else { ["nl", "be"] };
        let mut talker = world.radio(talks[0], "talker").await;
        let listener = world.radio(talks[1], "listener").await;
        let ((host, number), ends, port) = match mover {
            Mover::Talker => ((talker.host, Some(talker.number)), (talker.host, ip(talks[0])), UNIT_PORT),
            Mover::Listener => ((listener.host, Some(listener.number)), (listener.host, ip(talks[1])), UNIT_PORT),
            Mover::NearGateway | Mover::FarGateway => ((ip("nl"), None), (ip("nl"), ip("be")), PEER_PORT),
        };
        world.net.set_link(ends.0, ends.1, Link::delayed(round_trip / 2));
        talker.press().await;
        talker.granted(0).await;
        for step in 0..5_u8 {
            sleep(ms(1_130)).await;
            let seen = if network { IpAddr::from([10, 9, 0, step + 1]) } else { host };
            world.net.map_nat(SocketAddr::new(host, port), SocketAddr::new(seen, 20_000 + u16::from(step)));
            if let Some(number) = number {
                world.watch().rebound(number);
            }
        }
        sleep(ms(1_000) + round_trip).await;
        talker.release().await;
        sleep(ms(500) + round_trip).await;
        pause = listener.longest_pause(&talker);
        assert!(!listener.lines().iter().any(|line| line.contains("Interrupted")), "{:#?}", listener.lines());
    });
    pause
}

#[test]
fn who_gets_another_address_in_mid_spurt_is_heard_and_hears_on() {
    let mut said = std::io::stderr();
    for mover in [Mover::Talker, Mover::Listener, Mover::NearGateway, Mover::FarGateway] {
        for network in [false, true] {
            for round_trip in [20, 120, 300].map(ms) {
                let pauses = [95, 96, 97].map(|seed| longest_pause(seed, mover, round_trip, network));
                let what = if network { "network" } else { "port" };
                writeln!(said, "{mover:?}, another {what}, RTT {round_trip:?}: longest pauses {pauses:?}").expect("stderr");
                assert!(pauses.iter().all(|pause| *pause <= round_trip + PAUSE_MAX), "{mover:?} {what} {round_trip:?}: {pauses:?}");
            }
        }
    }
}
