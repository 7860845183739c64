//! The pump over the simulated network: datagrams pass a stream in progress, nothing is dropped silently, closes carry their reason.

mod data;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant as StdInstant};

use bytes::Bytes;
use testkit::clock::run;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use wire::Reason;
use wire::control::{Hello, Message};
use wire::data::Lane;
use wire::frame;
use wire::packet::{Packet, Room};

use crate::link::{self, Command, Counters, Inbound, Next, Outbox, Owner, STREAM_CHUNK_MAX_BYTES};
use crate::test_support::{BUDGET, DELAY, DIAL_LIMIT, GATEWAY, Scene, accept_one, any_of, gateway_addr, ip};
use crate::{Connection, Endpoint, Keys, Port};

/// Plain queues, datagrams first, routine data last; refuses what exceeds its bound.
#[derive(Default)]
struct Queues {
    datagrams: VecDeque<Bytes>,
    stream: Bytes,
    data: VecDeque<(Lane, Bytes)>,
}

enum Offer {
    Datagram(Bytes),
    Stream(Bytes),
    Data(Lane, Bytes),
    TooMuch,
}

impl Outbox for Queues {
    type Offer = Offer;

    fn offer(&mut self, offer: Offer, _now: StdInstant) -> Result<(), Reason> {
        match offer {
            Offer::Datagram(datagram) => self.datagrams.push_back(datagram),
            Offer::Stream(bytes) => self.stream = [&self.stream[..], &bytes[..]].concat().into(),
            Offer::Data(lane, frame) => self.data.push_back((lane, frame)),
            Offer::TooMuch => return Err(Reason::TooSlow),
        }
        Ok(())
    }

    fn next(&mut self, _now: StdInstant, room: Room) -> Next {
        if room.datagram
            && let Some(datagram) = self.datagrams.pop_front()
        {
            return Next::Packet(Packet::Datagram(datagram));
        }
        if room.stream && !self.stream.is_empty() {
            return Next::Packet(Packet::Stream(self.stream.split_to(self.stream.len().min(STREAM_CHUNK_MAX_BYTES))));
        }
        for (lane, room) in Lane::ALL.into_iter().zip(room.data) {
            let Some(place) = self.data.iter().position(|(other, _)| room && *other == lane) else { continue };
            let frame = &mut self.data[place].1;
            let bytes = frame.split_to(frame.len().min(STREAM_CHUNK_MAX_BYTES));
            let last = frame.is_empty();
            if last {
                self.data.remove(place);
            }
            return Next::Packet(Packet::Data { lane, bytes, last });
        }
        Next::Idle
    }
}

/// Items that wait for the owner in these tests.
const DATA_BOUND: usize = 4;

/// One end of a link.
struct End {
    commands: mpsc::Sender<Command<Offer>>,
    inbound: mpsc::Receiver<Inbound>,
    data: mpsc::Receiver<Inbound>,
    quic: quinn::Connection,
    counters: Arc<Counters>,
    ended: JoinHandle<Reason>,
}

impl End {
    fn start(connection: Connection, streams: (quinn::SendStream, quinn::RecvStream), inbound_bound: usize) -> Self {
        let (commands, taken) = mpsc::channel(1_024);
        let (tell, inbound) = mpsc::channel(inbound_bound);
        let counters = Arc::new(Counters::default());
        let (items, data) = mpsc::channel(DATA_BOUND);
        let owner = Owner { inbound: tell, data: items, tag: |inbound| inbound };
        let quic = connection.quic.clone();
        let ended = tokio::spawn(link::run(connection, streams, Queues::default(), taken, owner, Arc::clone(&counters)));
        Self { commands, inbound, data, quic, counters, ended }
    }

    async fn offer(&self, offer: Offer) {
        self.commands.send(Command::Offer(offer)).await.unwrap();
    }

    async fn next(&mut self) -> Inbound {
        timeout(Duration::from_secs(40), self.inbound.recv()).await.expect("something comes in").expect("the link tells its end")
    }
}

/// A unit and a gateway, linked; the control stream has been opened by a hello.
async fn linked(scene: &Scene, gateway_bound: usize) -> (End, End, Endpoint) {
    let gateway = scene.listen(Port::Units, scene.nl.issue("nl/gateway/gw-1"), scene.both(), &Keys::simulated(1));
    let accepted = accept_one(&gateway);
    let unit = scene.caller(Port::Units, scene.nl.issue("nl/unit/maas-12"), scene.both());
    let dialled = unit.dial(gateway_addr(), any_of(&["nl"]), DIAL_LIMIT).await.unwrap();
    let accepted = accepted.await.unwrap().unwrap();
    let streams = dialled.open_control().await.unwrap();
    let unit = End::start(dialled, streams, 1_024);
    unit.offer(Offer::Stream(frame::encode(&Message::Hello(Hello::ours())))).await;
    let streams = accepted.accept_control().await.unwrap();
    let mut server = End::start(accepted, streams, gateway_bound);
    assert_eq!(server.next().await, Inbound::Message(Message::Hello(Hello::ours())));
    (unit, server, gateway)
}

/// The largest hello, 1.3 KiB; twelve of them are 16 KiB of control stream.
fn large_message() -> Message {
    Message::Hello(Hello { capabilities: vec![u32::MAX; 256], ..Hello::ours() })
}

fn sixteen_kib() -> Bytes {
    frame::encode(&large_message()).repeat(12).into()
}

#[test]
fn sixteen_kib_of_control_in_flight_delay_no_datagram() {
    run(BUDGET, async {
        let scene = Scene::new(1);
        let (unit, mut gateway, _port) = linked(&scene, 1_024).await;
        assert!(sixteen_kib().len() > 15_000, "{}", sixteen_kib().len());
        let started = Instant::now();
        unit.offer(Offer::Stream(sixteen_kib())).await;
        let sender = async {
            for number in 0..50_u32 {
                unit.offer(Offer::Datagram(Bytes::copy_from_slice(&number.to_be_bytes()))).await;
                sleep(Duration::from_millis(20)).await;
            }
        };
        let receiver = async {
            let (mut seen, mut messages, mut last_at) = (0, 0, Duration::ZERO);
            while seen < 50 {
                match gateway.next().await {
                    Inbound::Datagram(bytes, _) => {
                        let number = u32::from_be_bytes(bytes[..].try_into().unwrap());
                        let late = started.elapsed().saturating_sub(Duration::from_millis(20) * number + DELAY);
                        assert!(late <= Duration::from_millis(4), "datagram {number} late by {late:?}");
                        seen += 1;
                    }
                    Inbound::Message(message) => {
                        assert_eq!(message, large_message());
                        (messages, last_at) = (messages + 1, started.elapsed());
                    }
                    other @ (Inbound::Data(..) | Inbound::DataLeft(..) | Inbound::Closed(_)) => panic!("{other:?}"),
                }
            }
            (messages, last_at)
        };
        let ((), (messages, last_at)) = tokio::join!(biased; sender, receiver);
        // The stream really was in progress for several round trips.
        assert_eq!(messages, 12);
        assert!(last_at > 4 * DELAY, "{last_at:?}");
    });
}

#[test]
fn a_burst_beyond_quinns_buffer_arrives_whole() {
    run(BUDGET, async {
        let scene = Scene::new(1);
        let (unit, mut gateway, _port) = linked(&scene, 1_024).await;
        for number in 0..200_u32 {
            unit.offer(Offer::Datagram([&number.to_be_bytes()[..], &[0; 196]].concat().into())).await;
        }
        for number in 0..200_u32 {
            let Inbound::Datagram(bytes, _) = gateway.next().await else { panic!("no datagram") };
            assert_eq!(bytes[..4], number.to_be_bytes());
        }
        let stats = (unit.counters.stats(), gateway.counters.stats());
        assert_eq!((stats.0.datagrams_sent, stats.1.datagrams_received), (200, 200));
        assert!(stats.1.rtt >= 2 * DELAY, "{:?}", stats.1.rtt);
    });
}

#[test]
fn a_close_delivers_everything_before_it_and_its_reason() {
    run(BUDGET, async {
        let scene = Scene::new(1);
        let (mut unit, gateway, _port) = linked(&scene, 1_024).await;
        gateway.offer(Offer::Stream(frame::encode(&Message::Hello(Hello::ours())))).await;
        let farewell = frame::encode(&Message::Refused(Reason::Standby));
        gateway.commands.send(Command::Close(Reason::Standby, Some(farewell))).await.unwrap();
        assert_eq!(unit.next().await, Inbound::Message(Message::Hello(Hello::ours())));
        assert_eq!(unit.next().await, Inbound::Message(Message::Refused(Reason::Standby)));
        assert_eq!(unit.next().await, Inbound::Closed(Reason::Standby));
        assert_eq!((unit.ended.await.unwrap(), gateway.ended.await.unwrap()), (Reason::Standby, Reason::Standby));
    });
}

#[test]
fn a_close_does_not_wait_for_a_dead_line() {
    run(BUDGET, async {
        let scene = Scene::new(1);
        let (_unit, gateway, _port) = linked(&scene, 1_024).await;
        scene.net.cut(ip(GATEWAY), ip(crate::test_support::CALLER));
        gateway.offer(Offer::Stream(sixteen_kib())).await;
        let started = Instant::now();
        gateway.commands.send(Command::Close(Reason::ShuttingDown, None)).await.unwrap();
        assert_eq!(gateway.ended.await.unwrap(), Reason::ShuttingDown);
        assert!(started.elapsed() <= link::FLUSH_TIMEOUT + Duration::from_millis(2), "{:?}", started.elapsed());
    });
}

#[test]
fn bytes_that_are_no_protocol_end_the_link_at_both_ends() {
    run(BUDGET, async {
        let scene = Scene::new(1);
        let (unit, mut gateway, _port) = linked(&scene, 1_024).await;
        unit.offer(Offer::Stream(Bytes::from_static(&[0xff; 8]))).await;
        assert_eq!(gateway.next().await, Inbound::Closed(Reason::Malformed));
        assert_eq!((unit.ended.await.unwrap(), gateway.ended.await.unwrap()), (Reason::Malformed, Reason::Malformed));
    });
}

#[test]
fn an_outbox_that_refuses_ends_the_link_with_its_reason() {
    run(BUDGET, async {
        let scene = Scene::new(1);
        let (unit, gateway, _port) = linked(&scene, 1_024).await;
        gateway.offer(Offer::TooMuch).await;
        assert_eq!((gateway.ended.await.unwrap(), unit.ended.await.unwrap()), (Reason::TooSlow, Reason::TooSlow));
    });
}

#[test]
fn an_owner_that_does_not_read_loses_datagrams_but_no_message() {
    run(BUDGET, async {
        let scene = Scene::new(1);
        let (unit, mut gateway, _port) = linked(&scene, 8).await;
        for _ in 0..50 {
            unit.offer(Offer::Datagram(Bytes::from_static(b"voice"))).await;
        }
        sleep(Duration::from_millis(500)).await;
        for _ in 0..50 {
            unit.offer(Offer::Stream(frame::encode(&Message::Hello(Hello::ours())))).await;
        }
        sleep(Duration::from_millis(500)).await;
        let (mut datagrams, mut messages) = (0, 0);
        while messages < 50 {
            match gateway.next().await {
                Inbound::Datagram(..) => datagrams += 1,
                Inbound::Message(_) => messages += 1,
                other @ (Inbound::Data(..) | Inbound::DataLeft(..) | Inbound::Closed(_)) => panic!("{other:?}"),
            }
        }
        assert_eq!(datagrams, 8);
        assert_eq!(gateway.counters.stats().datagrams_dropped_inbound, 42);
    });
}

#[test]
fn a_gateway_that_falls_silent_is_a_lost_link() {
    run(BUDGET, async {
        let scene = Scene::new(1);
        let (mut unit, _gateway, _port) = linked(&scene, 1_024).await;
        scene.net.kill(ip(GATEWAY));
        assert_eq!(unit.next().await, Inbound::Closed(Reason::LinkLost));
    });
}
