//! Bytes that no honest unit sends, at every layer: the sender loses its session by name, and nobody else notices.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep, timeout};
use wire::control::{Floor, FloorBody, Granted, Hello, Message, Welcome};
use wire::datagram::Voice;
use wire::{Reason, RequestId, Seq, Spurt, Tier};

use crate::support::bridged;
use crate::support::raw::Raw;
use crate::support::watch::Sound;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Runs the attack in the middle of a call; every frame of the call must still be heard. Returns how the attacker ended.
fn during_a_call<F>(seed: u64, attack: impl FnOnce(Raw) -> F) -> Reason
where
    F: Future<Output = Reason>,
{
    let mut end = None;
    bridged(seed, async |world| {
        let mut maas = world.radio("nl", "maas-12").await;
        let lux = world.radio("be", "lux-1").await;
        maas.press().await;
        sleep(ms(300)).await;
        let raw = world.raw("nl", "evil").await;
        end = timeout(Duration::from_secs(10), attack(raw)).await.ok();
        sleep(ms(300)).await;
        maas.release().await;
        sleep(ms(400)).await;
        assert_eq!(lux.frames_of(&maas), (1..=maas.said()).collect::<Vec<u32>>(), "the call was disturbed");
    });
    end.expect("an end within 10 s")
}

#[test]
fn garbage_on_the_control_stream_ends_the_session_as_malformed() {
    let reason = during_a_call(41, |mut raw| async move {
        raw.send.write_all(&[0, 0, 0, 5, 0xff, 0xff, 0xff, 0xff, 0xff]).await.expect("a live connection");
        raw.connection.closed().await
    });
    assert_eq!(reason, Reason::Malformed);
}

#[test]
fn an_oversized_frame_is_refused_by_its_length_alone() {
    let reason = during_a_call(42, |mut raw| async move {
        raw.send.write_all(&(16 * 1024 + 1_u32).to_be_bytes()).await.expect("a live connection");
        raw.connection.closed().await
    });
    assert_eq!(reason, Reason::Malformed);
}

#[test]
fn a_message_before_hello_is_a_violation() {
    let reason = during_a_call(43, |mut raw| async move {
        raw.message(&Message::Affiliate("nl/pol-1".parse().expect("a talkgroup"))).await;
        raw.connection.closed().await
    });
    assert_eq!(reason, Reason::ProtocolViolation);
}

#[test]
fn silence_instead_of_hello_times_out() {
    let reason = during_a_call(44, |mut raw| async move {
        raw.send.write_all(&[0]).await.expect("a live connection");
        raw.connection.closed().await
    });
    assert_eq!(reason, Reason::Timeout);
}

#[test]
fn a_unit_that_acts_as_a_gateway_is_a_violation() {
    for (seed, lie) in [(45, 0), (46, 1), (47, 2)] {
        let reason = during_a_call(seed, |mut raw| async move {
            raw.join("nl/pol-1").await;
            let talkgroup = "nl/pol-1".parse().expect("a talkgroup");
            let granted =
                Granted { request: RequestId(1), spurt: Spurt::from_bits(9), duration_s: 30, tier: Tier::Normal, own_side_only: false };
            raw.message(&match lie {
                0 => Message::Floor(Floor { talkgroup, party: None, body: FloorBody::Granted(granted) }),
                1 => Message::Agreements(Vec::new()),
                _ => Message::Welcome(Welcome {
                    version: 1,
                    capabilities: Vec::new(),
                    gateway: "nl/gateway/gw-1".parse().expect("an identity"),
                }),
            })
            .await;
            raw.connection.closed().await
        });
        assert_eq!(reason, Reason::ProtocolViolation, "lie {lie}");
    }
}

#[test]
fn a_version_that_nobody_speaks_is_refused_by_name() {
    let reason = during_a_call(48, |mut raw| async move {
        raw.message(&Message::Hello(Hello { version_min: 7, version_max: 9, capabilities: vec![1, 2, 3] })).await;
        raw.connection.closed().await
    });
    assert_eq!(reason, Reason::VersionMismatch);
}

#[test]
fn malformed_datagrams_are_dropped() {
    during_a_call(49, |mut raw| async move {
        raw.join("nl/pol-1").await;
        for bytes in
            [&[][..], &[0x10], &[0x10, 0xff, 0, 1], &[0x20, 1], &[0x30, 0xff, 0xff], &[0xf0; 40], &[0x10, 0x07, 0, 1, 0, 0, 0, 1, 0, 5]]
        {
            for _ in 0..20 {
                raw.datagram(Bytes::copy_from_slice(bytes));
                sleep(ms(1)).await;
            }
        }
        Reason::Closed
    });
}

#[test]
fn voice_without_a_grant_is_heard_by_nobody() {
    bridged(50, async |world| {
        let near = world.radio("nl", "maas-13").await;
        let far = world.radio("be", "lux-1").await;
        let mut talker = world.radio("nl", "maas-12").await;
        let mut raw = world.raw("nl", "evil").await;
        let joined = raw.join("nl/pol-1").await;
        let forge = |spurt: Spurt, seq: u16| Voice {
            handle: joined.handle,
            spurt,
            seq: Seq(seq),
            first: seq == 0,
            last: false,
            tier: Tier::Emergency,
            encrypted: false,
            repeats: Vec::new(),
            payload: Sound { talker: u16::MAX, count: 1 }.payload().into(),
        };
        // On an idle floor, then under somebody else's grant, with its very number and later ones.
        for seq in 0..20 {
            raw.datagram(forge(joined.baseline.next(), seq).encode());
            sleep(ms(5)).await;
        }
        assert!(world.talker("nl").is_none(), "audio takes no floor");
        let since = Instant::now();
        talker.press().await;
        sleep(ms(200)).await;
        for seq in 0..200 {
            for spurt in [joined.baseline.next(), joined.baseline.next().next(), Spurt::from_bits(u32::MAX)] {
                raw.datagram(forge(spurt, seq).encode());
            }
            sleep(ms(2)).await;
        }
        talker.release().await;
        sleep(ms(400)).await;
        // The watch panics on a frame of the forger; what the honest talker said must be whole.
        assert_eq!(near.frames_of(&talker).len(), talker.said() as usize);
        assert_eq!(far.heard_from(&talker, since), talker.said() as usize);
    });
}
