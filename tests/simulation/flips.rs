//! Somebody in the path turns bits over, between units and gateways and across the border. QUIC's seals drop what was touched,
//! so it must be as bad as losing the same share of packets, and no worse: calls go on, sessions stay, nothing breaks, and no
//! altered sound is ever heard (the watch panics on a payload that nobody said).

use std::io::Write as _;
use std::time::Duration;

use testkit::Link;
use tokio::time::{Instant, sleep};

use crate::support::radio::Radio;
use crate::support::scene::judged;
use crate::support::world::{World, ip};
use crate::support::{bridged, scene};

/// Presses of one call, of four seconds each.
const PRESSES: u32 = 12;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn path() -> Link {
    Link::delayed(ms(10))
}

/// Two units across a border whose every path is like this from before the first packet of a session on; the partner's
/// talks, the home's hears. Share of the frames that were heard, and how many packets lost a bit.
fn call(seed: u64, link: Link) -> (f64, u64) {
    let (found, breaches) = judged(seed, &["nl", "be"], async |world: &mut World| {
        world.net.set_default(link);
        world.net.set_link(ip("nl"), ip("be"), link);
        world.start_all().await;
        let mut lux = world.radio("be", "lux-1").await;
        let maas = world.radio("nl", "maas-12").await;
        let marks = [maas.mark(), lux.mark()];
        for _ in 0..PRESSES {
            let mark = lux.mark();
            lux.press().await;
            lux.granted(mark).await;
            sleep(ms(4_000)).await;
            lux.release().await;
            sleep(ms(1_500)).await;
        }
        for (radio, mark) in [&maas, &lux].into_iter().zip(marks) {
            assert_undisturbed(radio, mark);
        }
        let heard = u32::try_from(maas.frames_of(&lux).len()).expect("a short scene");
        (f64::from(heard) / f64::from(lux.said()), world.net.total().flipped)
    });
    assert!(breaches.is_empty(), "seed {seed}: {breaches:#?}");
    found
}

/// Neither its session nor the border was lost, and no grant ended but by the talker.
fn assert_undisturbed(radio: &Radio, mark: usize) {
    let bad = ["Disconnected", "FarSide", "Revoked", "GatewayLost", "Denied"];
    let seen: Vec<String> = radio.lines().into_iter().skip(mark).filter(|line| bad.iter().any(|word| line.contains(word))).collect();
    assert!(seen.is_empty(), "{}: {seen:#?}", radio.identity);
}

#[test]
fn a_flipped_bit_costs_what_a_lost_packet_costs() {
    for share in [0.02, 0.05, 0.10] {
        let (lost, none) = call(201, path().losing(share));
        let (garbled, flipped) = call(201, path().flipping(share));
        let line = format!(
            "{:.0} % of packets: heard {:.1} % of frames when lost, {:.1} % when a bit is flipped ({flipped} packets)",
            share * 100.0,
            lost * 100.0,
            garbled * 100.0
        );
        writeln!(std::io::stderr(), "{line}").expect("stderr");
        assert!(none == 0 && flipped > 200, "{line}");
        // Three links in a row let so much through; what repeats bring back comes on top.
        let through = (1.0 - share).powi(3);
        assert!(garbled > through - 0.03 && (garbled - lost).abs() < 0.04, "{line}, of {:.1} %", through * 100.0);
    }
}

/// Units that log in, talk and vanish, one after the other, while every fifth packet is garbled.
#[test]
fn sessions_are_made_and_kept_while_every_fifth_packet_is_garbled() {
    for seed in 210..214 {
        scene(seed, async |world| {
            world.start_all().await;
            let maas = world.radio("nl", "maas-12").await;
            world.net.set_default(path().flipping(0.2));
            for name in ["maas-13", "maas-14", "maas-15", "maas-16"] {
                let mut radio = world.radio("nl", name).await;
                let (mark, since) = (radio.mark(), Instant::now());
                radio.press().await;
                radio.granted(mark).await;
                sleep(ms(1_000)).await;
                radio.release().await;
                sleep(ms(500)).await;
                assert!(maas.heard_from(&radio, since) > 15, "{name}: {} frames heard", maas.heard_from(&radio, since));
                radio.kill(&world.net);
            }
            assert!(world.net.total().flipped > 50);
        });
    }
}

#[test]
fn a_border_that_garbles_everything_is_a_cut_and_heals() {
    bridged(220, async |world| {
        let maas = world.radio("nl", "maas-12").await;
        let mut lux = world.radio("be", "lux-1").await;
        let mark = maas.mark();
        lux.press().await;
        sleep(ms(500)).await;
        world.net.set_link(ip("nl"), ip("be"), path().flipping(1.0));
        maas.far_side(mark, false).await;
        sleep(ms(3_000)).await;
        world.net.set_link(ip("nl"), ip("be"), path());
        let mark = maas.mark();
        maas.far_side(mark, true).await;
        let since = Instant::now();
        sleep(ms(1_000)).await;
        lux.release().await;
        sleep(ms(500)).await;
        assert!(maas.heard_from(&lux, since) > 30, "heard again after the heal: {}", maas.heard_from(&lux, since));
        assert!(world.net.counts(ip("nl"), ip("be")).flipped > 10);
    });
}
