//! A gateway stands still and goes on: what arrived meanwhile comes before the timers that ran out meanwhile, and old voice is
//! not passed on.

use std::time::Duration;

use bytes::Bytes;
use testkit::Link;
use tokio::time::{advance, sleep, timeout};
use wire::control::{Floor, FloorBody, Message, Request};
use wire::datagram::{Datagram, Voice};
use wire::{Handle, Priority, RequestId, Seq, Spurt, Tier};

use crate::support::bridged;
use crate::support::raw::Raw;
use crate::support::world::ip;

/// Frames spoken while the gateway stands still: more than T1, less than the 1.7 s after which a border is lost.
const MISSED: u16 = 70;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Says frames of a spurt, one each `every`.
async fn say(raw: &Raw, handle: Handle, spurt: Spurt, numbers: std::ops::Range<u16>, every: Duration) {
    for number in numbers {
        let payload = Bytes::from_static(&[0x5a; 60]);
        let (seq, first, last) = (Seq(number), number == 0, false);
        raw.datagram(
            Voice { handle, spurt, seq, first, last, tier: Tier::Normal, encrypted: false, repeats: Vec::new(), payload }.encode(),
        );
        sleep(every).await;
    }
}

/// The numbers of the frames that come within 100 ms.
async fn hear(raw: &Raw) -> Vec<u16> {
    let mut heard = Vec::new();
    while let Ok(Ok(bytes)) = timeout(ms(100), raw.connection.quic.read_datagram()).await {
        if let Ok(Some(Datagram::Voice(voice))) = Datagram::decode(bytes) {
            heard.push(voice.seq.0);
        }
    }
    heard
}

#[test]
fn a_talker_who_went_on_through_a_pause_keeps_the_floor_and_what_is_old_is_heard_by_nobody() {
    bridged(96, async |world| {
        world.net.set_default(Link::default());
        let (mut talker, mut listener) = (world.raw("nl", "maas-12").await, world.raw("nl", "maas-13").await);
        let joined = talker.join("nl/pol-1").await;
        listener.join("nl/pol-1").await;
        let request = Request { request: RequestId(1), priority: Priority::normal(16), talker: None, continuing: None };
        let talkgroup = "nl/pol-1".parse().expect("a talkgroup");
        talker.message(&Message::Floor(Floor { talkgroup, party: None, body: FloorBody::Request(request) })).await;
        let granted = |message| {
            if let Message::Floor(Floor { body: FloorBody::Granted(granted), .. }) = message { Some(granted.spurt) } else { None }
        };
        let (handle, spurt) = (joined.handle, talker.receive(granted).await);
        say(&talker, handle, spurt, 0..25, ms(20)).await;
        assert_eq!(hear(&listener).await, (0..25).collect::<Vec<u16>>());

        // What the talker says now lies before the gateway's socket, and then 1.5 s have passed at once.
        world.net.freeze(ip("nl"));
        say(&talker, handle, spurt, 25..25 + MISSED, ms(1)).await;
        world.net.thaw(ip("nl"));
        advance(ms(1_500)).await;
        assert_eq!(hear(&listener).await, Vec::<u16>::new(), "1.5 s old");

        say(&talker, handle, spurt, 25 + MISSED..50 + MISSED, ms(20)).await;
        assert_eq!(hear(&listener).await, (25 + MISSED..50 + MISSED).collect::<Vec<u16>>(), "the floor was taken from the talker");
        assert_eq!(world.talker("nl").as_deref(), Some("nl/unit/maas-12"));
        assert!(world.is_whole(), "the border outlives a pause below its limit");
    });
}
