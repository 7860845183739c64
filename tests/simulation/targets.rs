//! Figures that only a simulated path can show, each against its target, printed.

use std::io::Write as _;
use std::time::Duration;

use testkit::Link;
use tokio::time::{Instant, sleep};
use wire::Tier;

use crate::support::world::ip;
use crate::support::{World, bridged};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn percentile(samples: &mut [Duration], percent: usize) -> Duration {
    samples.sort_unstable();
    samples[(samples.len() * percent).div_ceil(100) - 1]
}

fn say(line: &str) {
    writeln!(std::io::stderr(), "{line}").expect("stderr");
}

/// A scene whose every link, of units and across the border, is the given one.
fn over(seed: u64, link: Link, play: impl AsyncFnOnce(&mut World)) {
    bridged(seed, async |world| {
        world.net.set_default(link);
        world.net.set_link(ip("nl"), ip("be"), link);
        play(world).await;
    });
}

/// Presses again and again at the partner; the time from each press to its grant.
async fn access_times(world: &mut World, presses: u32, tier: Tier) -> Vec<Duration> {
    let mut lux = world.radio("be", "lux-1").await;
    let mut times = Vec::new();
    for _ in 0..presses {
        // At 30 % loss a unit may lose its gateway now and then; it presses when it is back.
        while !lux.is_joined() {
            sleep(ms(50)).await;
        }
        let (mark, pressed) = (lux.mark(), Instant::now());
        lux.press_tier(tier).await;
        lux.granted(mark).await;
        times.push(pressed.elapsed());
        sleep(ms(100)).await;
        lux.release().await;
        lux.end_emergency().await;
        sleep(ms(1_500)).await;
    }
    times
}

#[test]
fn press_to_grant_across_a_border_at_120_ms_and_1_percent_loss() {
    over(61, Link::delayed(ms(30)).losing(0.01), async |world| {
        // The unit's link and the border have 60 ms of round trip each: 120 ms from key to home and back.
        let mut times = access_times(world, 300, Tier::Normal).await;
        let (p50, p95) = (percentile(&mut times, 50), percentile(&mut times, 95));
        say(&format!("press to grant, RTT 120 ms, 1 % loss: p50 {p50:?}, p95 {p95:?} (target 300 ms)"));
        assert!(p95 <= ms(300), "{p95:?}");
    });
}

#[test]
fn an_emergency_is_granted_in_time_through_loss() {
    for (seed, loss, target) in [(62, 0.10, ms(500)), (63, 0.30, ms(1_500))] {
        over(seed, Link::delayed(ms(20)).losing(loss), async |world| {
            let mut times = access_times(world, 300, Tier::Emergency).await;
            let (p50, p99) = (percentile(&mut times, 50), percentile(&mut times, 99));
            say(&format!("emergency grant, {:.0} % loss: p50 {p50:?}, p99 {p99:?} (target {target:?})", loss * 100.0));
            assert!(p99 <= target, "{p99:?} at {loss}");
        });
    }
}

#[test]
fn mouth_to_ear_at_80_ms_and_5_percent_loss() {
    over(64, Link::delayed(ms(20)), async |world| {
        let mut maas = world.radio("nl", "maas-12").await;
        let lux = world.radio("be", "lux-1").await;
        // Two legs of units and the border: 20 ms each way on two of them makes a round trip of 80 ms and more.
        let lossy = Link::delayed(ms(20)).losing(0.05).jittery(ms(10));
        world.net.set_link(ip("nl"), ip("be"), lossy);
        for _ in 0..10 {
            maas.press().await;
            sleep(ms(5_000)).await;
            maas.release().await;
            sleep(ms(1_000)).await;
        }
        let mut delays = lux.mouth_to_ear(&maas);
        assert!(delays.len() > 2_000, "{} frames", delays.len());
        let (p50, p95) = (percentile(&mut delays, 50), percentile(&mut delays, 95));
        say(&format!("mouth to ear without coder, three links of 20 ms, 5 % loss: p50 {p50:?}, p95 {p95:?} (target 250 ms)"));
        assert!(p95 <= ms(250), "{p95:?}");
    });
}

#[test]
fn thirty_percent_loss_raises_no_false_alarm_at_the_border() {
    bridged(65, async |world| {
        let near = world.radio("nl", "maas-12").await;
        world.net.set_link(ip("nl"), ip("be"), Link::delayed(ms(20)).losing(0.30));
        sleep(Duration::from_secs(600)).await;
        let alarms = near.lines().iter().filter(|line| line.starts_with("Handset(FarSide") && line.contains("present: false")).count();
        say(&format!("false alarms in 10 minutes at 30 % loss: {alarms}"));
        assert_eq!(alarms, 0);
    });
}
