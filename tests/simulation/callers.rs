//! Callers that know the way in but do not take it: how long they may stand in the door, how many, and where nobody listens.

use std::time::Duration;

use pki::Kind;
use tokio::time::{Instant, sleep};
use wire::Reason;

use crate::support::bridged;

#[test]
fn hello_is_due_five_seconds_after_the_handshake_however_late_its_stream_came() {
    bridged(71, async |world| {
        let mut raw = world.raw("nl", "slow").await;
        let connected = Instant::now();
        sleep(Duration::from_secs(4)).await;
        raw.send.write_all(&[0]).await.expect("a live connection");
        assert_eq!(raw.connection.closed().await, Reason::Timeout);
        let after = connected.elapsed();
        assert!((4_900..5_200).contains(&after.as_millis()), "{after:?}");
    });
}

#[test]
fn a_caller_at_the_peer_port_from_elsewhere_meets_silence_where_every_peer_has_an_address() {
    bridged(72, async |world| {
        let issued = world.issue("nl", Kind::Unit, "stray");
        assert_eq!(world.radio_at("nl", &issued, "10.0.0.1:7101").refused().await, Reason::Unreachable);
        assert!(!world.records("nl").iter().any(|record| record.outcome.as_deref() == Some(Reason::WrongKind.as_str())));
        // A peer without an address may come from anywhere, so the port hears everybody again.
        world.country("nl").toml.peer("be").address = None;
        world.reload("nl").await;
        assert_eq!(world.radio_at("nl", &issued, "10.0.0.1:7101").refused().await, Reason::WrongKind);
    });
}

#[test]
fn an_identity_stands_in_the_door_four_times_at_most() {
    bridged(73, async |world| {
        let mut silent = Vec::new();
        for _ in 0..4 {
            silent.push(world.raw("nl", "silent").await);
        }
        sleep(Duration::from_millis(100)).await;
        let fifth = world.raw("nl", "silent").await;
        assert_eq!(fifth.connection.closed().await, Reason::TooManySessions);
        // Others are not concerned, nor is whoever has a session.
        let session = world.radio("nl", "maas-12").await;
        // They are gone after their 5 s, and the identity gets in.
        sleep(Duration::from_secs(6)).await;
        world.radio("nl", "silent").await;
        assert!(session.is_joined());
    });
}
