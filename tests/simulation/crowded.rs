//! Short data beside voice and floor control on one border: what a megabyte of messages does to a press and to a talker.
//!
//! Two ports, one link each way with the scheduler in front, no gateways: here nothing but the transport is judged.

use std::io::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use engine::sched;
use engine::sched::line::{Full, Line, Sound, TooSlow};
use testkit::{Link, clock};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};
use transport::Connection;
use transport::link::{self, Ahead, Command, Counters, Inbound, Next, Outbox, Owner};
use wire::control::Message;
use wire::data::{Body, Envelope, Item, Lane};
use wire::packet::Room;
use wire::{Level, Reason, Tier};

use super::congestion::Border;

const RATE_KBPS: u32 = 256;
const FRAME: Duration = Duration::from_millis(20);
const FRAME_BYTES: usize = 93;
/// 256 messages of 4 KiB.
const MESSAGES: u64 = 256;
const MESSAGE_BYTES: usize = 4_096;
const PRESSES: u32 = 400;
/// Between presses; no multiple of a frame, so that they meet voice at every phase.
const PRESS_EVERY: Duration = Duration::from_millis(147);
/// What messages may add to the slowest press in a hundred.
const MARGIN: Duration = Duration::from_millis(20);

enum Offer {
    Word(Message),
    Voice(Bytes, Tier),
    Item(Lane, Bytes),
}

struct Queue(Line);

impl Outbox for Queue {
    type Offer = Offer;

    fn offer(&mut self, offer: Offer, now: std::time::Instant) -> Result<(), Reason> {
        let taken = match offer {
            Offer::Word(message) => self.0.message((&message).into(), now),
            Offer::Voice(datagram, tier) => {
                self.0.voice(Sound { datagram, repeating: None, tier, level: Level::default(), backlog: false }, now, now)
            }
            Offer::Item(lane, frame) => self.0.data(lane, frame, now).map_err(|Full(_)| TooSlow),
        };
        taken.map_err(|TooSlow| Reason::TooSlow)
    }

    fn next(&mut self, now: std::time::Instant, room: Room) -> Next {
        match self.0.next(now, room) {
            sched::Next::Item { item, .. } => Next::Packet(item),
            sched::Next::Wait(until, _) => Next::Wait(until),
            sched::Next::Idle => Next::Idle,
        }
    }
}

/// One end of the link.
struct End {
    commands: mpsc::Sender<Command<Offer>>,
    inbound: mpsc::Receiver<Inbound>,
    data: mpsc::Receiver<Inbound>,
}

impl End {
    async fn start(connection: Connection, streams: (quinn::SendStream, quinn::RecvStream)) -> Self {
        connection.rate.set_kbps(RATE_KBPS);
        let (commands, offers) = mpsc::channel(64);
        let (tell, inbound) = mpsc::channel(64);
        let (items, data) = mpsc::channel(4);
        let owner = Owner { inbound: tell, data: items, tag: |inbound| inbound };
        tokio::spawn(link::run(connection, streams, Queue(Line::new(Some(RATE_KBPS))), offers, owner, Arc::new(Counters::default())));
        commands.send(Command::AllowData).await.expect("a live link");
        Self { commands, inbound, data }
    }
}

async fn offer(commands: &mpsc::Sender<Command<Offer>>, offer: Offer) {
    commands.send(Command::Offer(offer)).await.unwrap_or_else(|_ended| panic!("the link has ended"));
}

fn press() -> Message {
    Message::Affiliate("nl/pol-1".parse().expect("a talkgroup"))
}

fn message(number: u64) -> Bytes {
    let signed = Bytes::from(vec![7; MESSAGE_BYTES]);
    let envelope = Envelope { signed, signature: None, to: "nl/pol-1".parse().expect("a talkgroup"), hops: 0, status: None };
    Item { number, body: Body::Message(Box::new(envelope)) }.encode()
}

/// What one run showed, in order.
#[derive(Default)]
struct Seen {
    presses: Vec<Duration>,
    /// How long after it was spoken each frame came.
    voice: Vec<Duration>,
    /// When the last message was answered.
    messages_took: Option<Duration>,
}

/// The far side: answers presses and messages, and notes when frames come.
async fn answer(mut far: End, started: Instant, seen: Arc<Mutex<Seen>>) {
    loop {
        tokio::select! {
            biased;
            inbound = far.inbound.recv() => match inbound {
                Some(Inbound::Message(message)) if message == press() => offer(&far.commands, Offer::Word(message)).await,
                Some(Inbound::Datagram(frame, _)) => {
                    let number = u32::from_be_bytes(frame[..4].try_into().expect("four bytes"));
                    seen.lock().expect("no panic").voice.push(Instant::now() - (started + FRAME * number));
                }
                _ => return,
            },
            Some(inbound) = far.data.recv() => if let Inbound::Data(lane, Item { number, .. }) = inbound {
                offer(&far.commands, Offer::Item(lane, Item { number, body: Body::Taken }.encode())).await;
            },
        }
    }
}

/// Hands in the messages as the link takes them, until all are answered.
async fn send_messages(
    commands: mpsc::Sender<Command<Offer>>,
    mut data: mpsc::Receiver<Inbound>,
    started: Instant,
    seen: Arc<Mutex<Seen>>,
) {
    let (mut ahead, mut sent, mut answered) = (Ahead::default(), 0, 0);
    while answered < MESSAGES {
        while sent < MESSAGES && ahead.has_room(Lane::Routine) {
            sent += 1;
            let frame = message(sent);
            ahead.given(Lane::Routine, frame.len());
            offer(&commands, Offer::Item(Lane::Routine, frame)).await;
        }
        match data.recv().await.expect("a live link") {
            Inbound::DataLeft(lane, bytes) => ahead.left(lane, bytes),
            Inbound::Data(..) => answered += 1,
            other @ (Inbound::Message(_) | Inbound::Datagram(..) | Inbound::Closed(_)) => panic!("{other:?}"),
        }
    }
    seen.lock().expect("no panic").messages_took = Some(started.elapsed());
}

async fn talk(commands: mpsc::Sender<Command<Offer>>, talkers: u8, started: Instant) {
    for number in 1_u32.. {
        sleep_until(started + FRAME * number).await;
        for talker in 0..talkers {
            let frame = [&number.to_be_bytes()[..], &[talker; FRAME_BYTES - 4]].concat().into();
            let tier = if talker == 0 { Tier::Emergency } else { Tier::Normal };
            if commands.send(Command::Offer(Offer::Voice(frame, tier))).await.is_err() {
                return;
            }
        }
    }
}

fn run(link: Link, talkers: u8, with_messages: bool) -> Seen {
    clock::run(Duration::from_secs(600), async {
        let mut border = Border::new(91, link);
        let (near, far, _endpoint, _dialer) = border.connect(None).await;
        let streams = near.open_control().await.expect("a live connection");
        let mut near = End::start(near, streams).await;
        offer(&near.commands, Offer::Word(press())).await;
        let streams = far.accept_control().await.expect("a live connection");
        let far = End::start(far, streams).await;
        let (started, seen) = (Instant::now(), Arc::new(Mutex::new(Seen::default())));
        tokio::spawn(answer(far, started, Arc::clone(&seen)));
        near.inbound.recv().await.expect("an answer");

        tokio::spawn(talk(near.commands.clone(), talkers, started));
        let messages = with_messages.then(|| tokio::spawn(send_messages(near.commands.clone(), near.data, started, Arc::clone(&seen))));
        for number in 1..=PRESSES {
            sleep_until(started + PRESS_EVERY * number).await;
            let pressed = Instant::now();
            offer(&near.commands, Offer::Word(press())).await;
            assert_eq!(near.inbound.recv().await, Some(Inbound::Message(press())));
            seen.lock().expect("no panic").presses.push(pressed.elapsed());
        }
        if let Some(messages) = messages {
            messages.await.expect("no panic");
        }
        sleep(Duration::from_millis(300)).await;
        let mut seen = std::mem::take(&mut *seen.lock().expect("no panic"));
        seen.presses.sort();
        seen.voice.sort();
        seen
    })
}

fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted.get(sorted.len() * percent / 100).copied().unwrap_or_default()
}

#[test]
fn a_megabyte_of_messages_delays_neither_a_press_nor_a_talker() {
    let mut table = format!("1 MiB of messages over {RATE_KBPS} kbit/s: press to answer, voice, p50 and p99 in ms\n");
    let link = |delay| Link::delayed(Duration::from_millis(delay)).limited(u64::from(RATE_KBPS) * 1_000, 8_000);
    let rows = [
        ("20 ms", link(20), 2),
        ("60 ms", link(60), 2),
        ("60 ms, 1 % loss", link(60).losing(0.01), 2),
        ("20 ms, nobody talks", link(20), 0),
    ];
    let mut worst = Duration::ZERO;
    for (name, link, talkers) in rows {
        let [without, with] = [false, true].map(|messages| run(link, talkers, messages));
        let ms = |times: &[Duration]| format!("{:>4} {:>4}", percentile(times, 50).as_millis(), percentile(times, 99).as_millis());
        let took = with.messages_took.expect("all messages arrive");
        let cells = [&without, &with].map(|seen| format!("{}  {}", ms(&seen.presses), ms(&seen.voice)));
        table += &format!("{name:<20} without: {}   with: {}   all answered after {} s\n", cells[0], cells[1], took.as_secs());
        let press = percentile(&with.presses, 99).saturating_sub(percentile(&without.presses, 99));
        let voice = percentile(&with.voice, 99).saturating_sub(percentile(&without.voice, 99));
        worst = worst.max(press).max(voice);
    }
    writeln!(std::io::stderr(), "{table}").expect("stderr");
    assert!(worst <= MARGIN, "{worst:?} later\n{table}");
}
