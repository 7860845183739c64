//! Short data over the pump: streams of its own, opened late, refused when unknown, and in nobody's way.

use std::time::Duration;

use bytes::Bytes;
use testkit::clock::run;
use tokio::time::{Instant, sleep, timeout};
use wire::Reason;
use wire::data::{Body, Disposition, Envelope, Item, Lane, Report, Undelivered};

use super::{End, Offer, linked};
use crate::link::{Command, Inbound};
use crate::test_support::{BUDGET, DELAY, Scene};

/// A message whose frame has about so many bytes.
fn item(number: u64, bytes: usize) -> Item {
    let signed = Bytes::from(vec![7; bytes]);
    let envelope = Envelope { signed, signature: None, to: "nl/unit/maas-12".parse().unwrap(), hops: 0, status: None };
    Item { number, body: Body::Message(Box::new(envelope)) }
}

impl End {
    async fn send(&self, lane: Lane, item: &Item) {
        self.offer(Offer::Data(lane, item.encode())).await;
    }

    async fn allow(&self) {
        self.commands.send(Command::AllowData).await.unwrap();
    }

    async fn next_data(&mut self) -> Inbound {
        timeout(Duration::from_secs(40), self.data.recv()).await.expect("something comes in").expect("the link lives")
    }
}

/// A linked pair on which short data was agreed.
async fn agreed(scene: &Scene) -> (End, End, crate::Endpoint) {
    let (unit, gateway, port) = linked(scene, 1_024).await;
    unit.allow().await;
    gateway.allow().await;
    (unit, gateway, port)
}

#[test]
fn items_pass_both_ways_on_streams_that_are_opened_when_first_needed() {
    run(BUDGET, async {
        let scene = Scene::new(1);
        let (mut unit, mut gateway, _port) = agreed(&scene).await;
        sleep(4 * DELAY).await;
        assert_eq!(unit.quic.stats().frame_tx.stream, gateway.quic.stats().frame_rx.stream);
        assert_eq!((unit.counters.stats().data_bytes_sent, gateway.counters.stats().items_received), (0, 0));

        let (large, small) = (item(1, 5_000), item(2, 10));
        unit.send(Lane::Routine, &large).await;
        unit.send(Lane::Routine, &small).await;
        assert_eq!(gateway.next_data().await, Inbound::Data(Lane::Routine, large.clone()));
        assert_eq!(gateway.next_data().await, Inbound::Data(Lane::Routine, small));
        // Told together if both left before there was time to tell.
        let mut left = 0;
        while left < large.encode().len() + 256 {
            let Inbound::DataLeft(Lane::Routine, bytes) = unit.next_data().await else { panic!("an item") };
            left += bytes;
        }
        assert_eq!(left, large.encode().len() + 256);

        for body in [Body::Taken, Body::Refused(Undelivered::QueueFull)] {
            let answer = Item { number: 1, body };
            gateway.send(Lane::Urgent, &answer).await;
            assert_eq!(unit.next_data().await, Inbound::Data(Lane::Urgent, answer));
        }
    });
}

#[test]
fn nobody_opens_a_data_stream_before_it_was_agreed() {
    run(BUDGET, async {
        let scene = Scene::new(1);
        let (unit, mut gateway, _port) = linked(&scene, 1_024).await;
        unit.send(Lane::Urgent, &item(1, 10)).await;
        assert!(timeout(Duration::from_secs(5), gateway.data.recv()).await.is_err());
        gateway.allow().await;
        assert_eq!(gateway.next_data().await, Inbound::Data(Lane::Urgent, item(1, 10)));
    });
}

#[test]
fn a_stream_of_a_later_version_is_stopped_and_the_others_go_on() {
    run(BUDGET, async {
        let scene = Scene::new(1);
        let (unit, mut gateway, _port) = agreed(&scene).await;
        let mut unknown = unit.quic.open_uni().await.unwrap();
        unknown.write_all(&[3, 1, 2, 3]).await.unwrap();
        assert!(unknown.stopped().await.unwrap().is_some(), "STOP_SENDING");
        unit.send(Lane::Urgent, &item(1, 10)).await;
        assert_eq!(gateway.next_data().await, Inbound::Data(Lane::Urgent, item(1, 10)));
    });
}

#[test]
fn a_second_stream_of_a_lane_and_bytes_that_are_no_item_end_the_link() {
    for (bytes, reason) in [(&[2][..], Reason::ProtocolViolation), (&[1, 0, 0, 0, 2, 0x0a, 0xff], Reason::Malformed)] {
        run(BUDGET, async {
            let scene = Scene::new(1);
            let (unit, mut gateway, _port) = agreed(&scene).await;
            unit.send(Lane::Routine, &item(1, 10)).await;
            gateway.next_data().await;
            let mut raw = unit.quic.open_uni().await.unwrap();
            raw.write_all(bytes).await.unwrap();
            assert_eq!(gateway.next().await, Inbound::Closed(reason));
            assert_eq!((unit.ended.await.unwrap(), gateway.ended.await.unwrap()), (reason, reason));
        });
    }
}

#[test]
fn a_data_stream_that_is_broken_off_ends_the_link_and_one_that_ends_does_not() {
    run(BUDGET, async {
        let scene = Scene::new(1);
        let (unit, mut gateway, _port) = agreed(&scene).await;
        let mut ended = unit.quic.open_uni().await.unwrap();
        ended.write_all(&[Lane::Urgent.to_byte()]).await.unwrap();
        ended.finish().unwrap();
        let mut broken = unit.quic.open_uni().await.unwrap();
        broken.write_all(&[Lane::Routine.to_byte()]).await.unwrap();
        assert!(timeout(Duration::from_secs(2), gateway.inbound.recv()).await.is_err());
        broken.reset(0_u32.into()).unwrap();
        assert_eq!(gateway.next().await, Inbound::Closed(Reason::ProtocolViolation));
    });
}

#[test]
fn an_owner_that_handles_no_items_holds_the_sender_back_and_nothing_else() {
    run(BUDGET, async {
        let scene = Scene::new(1);
        let (unit, mut gateway, _port) = agreed(&scene).await;
        for number in 1..=100 {
            unit.send(Lane::Routine, &item(number, 1_000)).await;
        }
        sleep(Duration::from_secs(5)).await;
        let waiting = gateway.counters.stats().items_received;
        assert!(waiting <= 5, "{waiting} items lie unhandled beside a window of the stream");
        assert!(unit.counters.stats().data_bytes_sent < 16 * 1024, "{}", unit.counters.stats().data_bytes_sent);

        // Voice, control and the other lane are as fast as ever.
        let started = Instant::now();
        unit.offer(Offer::Datagram(Bytes::from_static(b"voice"))).await;
        assert!(matches!(gateway.next().await, Inbound::Datagram(..)));
        unit.offer(Offer::Stream(super::frame::encode(&super::large_message()))).await;
        assert_eq!(gateway.next().await, Inbound::Message(super::large_message()));
        assert!(started.elapsed() <= 2 * DELAY + Duration::from_millis(10), "{:?}", started.elapsed());
        unit.send(Lane::Urgent, &item(1, 10)).await;
        for number in 1..=100 {
            let mut next = gateway.next_data().await;
            if next == Inbound::Data(Lane::Urgent, item(1, 10)) {
                next = gateway.next_data().await;
            }
            assert_eq!(next, Inbound::Data(Lane::Routine, item(number, 1_000)));
        }
    });
}

#[test]
fn a_close_takes_the_last_answer_with_it() {
    run(BUDGET, async {
        let scene = Scene::new(1);
        let (unit, mut gateway, _port) = agreed(&scene).await;
        let report = Report {
            id: wire::data::MessageId([1; 16]),
            about: "nl/unit/maas-12".parse().unwrap(),
            disposition: Disposition::Read,
            at_ms: 1,
        };
        let last = [Item { number: 7, body: Body::Taken }, Item { number: 1, body: Body::Report(report) }];
        for item in &last {
            unit.send(Lane::Routine, item).await;
        }
        unit.commands.send(Command::Close(Reason::Closed, None)).await.unwrap();
        for item in last {
            assert_eq!(gateway.next_data().await, Inbound::Data(Lane::Routine, item));
        }
        assert_eq!(gateway.next().await, Inbound::Closed(Reason::Closed));
    });
}
