//! One admitted unit floods: a genuine certificate, from a network of its own, and no rule that it keeps. A talker and twenty
//! listeners of other identities, whole units in one thread of this process, notice of it what is measured here.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::Bytes;
use client::{Happened, Heard, Pressed, Settings, Unit, UnitHandle, What};
use engine::handset::{Event, Permit};
use engine::jitter::Playout;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use transport::config::Port;
use transport::endpoint::{Dialer, Expect};
use transport::identity::OwnIdentity;
use transport::keys::Keys;
use transport::sockets::OsSockets;
use transport::trust::{SharedTrust, Trust};
use wire::control::{Floor, FloorBody, Hello, Message, Release, Request};
use wire::datagram::{Datagram, Heartbeat, Voice};
use wire::{Handle, Priority, RequestId, Seq, Spurt, TalkgroupId, Tier};

use crate::stage::{Stage, say};

/// Listeners of every call.
const LISTENERS: usize = 20;
/// Calls of each measurement, how long each lasts, and what lies between two: longer than a floor stays with a tail.
const CALLS: usize = 8;
const CALL: Duration = Duration::from_millis(400);
const PAUSE: Duration = Duration::from_millis(300);
/// So much later than without a flood may the slowest in a hundred be, in milliseconds; judged by whoever reads the figures.
pub(crate) const LIMIT_MS: f64 = 20.0;
/// Sessions of the flooder at once, where it floods with those.
const SESSIONS: usize = 5;

fn talkgroup() -> TalkgroupId {
    "nl/pol-1".parse().expect("a talkgroup")
}

/// What an identity of nl needs to log in.
fn papers(stage: &Stage, name: &str) -> (OwnIdentity, SharedTrust) {
    stage.unit("nl", name);
    let read = |file: String| std::fs::read(stage.path("nl").join(file)).expect("issued before");
    let own = OwnIdentity::from_pem(&read(format!("{name}.pem")), &read(format!("{name}.key"))).expect("valid PEM");
    let trust = Trust::builder().authority("nl".parse().expect("a code"), &read("root.pem".into()), None, true, false);
    (own, trust.expect("valid PEM").build().shared())
}

// === Who is disturbed ===

/// What others noticed during some calls, in milliseconds.
#[derive(Debug, Default)]
pub(crate) struct Noticed {
    /// Press to grant of every call.
    pub(crate) grants: Vec<f64>,
    /// From the moment a frame was spoken to the moment it plays, of every frame at every listener.
    pub(crate) delays: Vec<f64>,
    /// Frames that listeners should have received, and did.
    pub(crate) due: u64,
    pub(crate) received: u64,
    /// Sessions of theirs that were lost.
    pub(crate) lost: usize,
}

/// The value that this share of the values does not exceed.
pub(crate) fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index among a few thousand"
    )]
    let index = ((sorted.len() as f64 * share).ceil() as usize).clamp(1, sorted.len()) - 1;
    sorted[index]
}

fn unit(stage: &Stage, name: &str) -> Unit {
    let (own, trust) = papers(stage, name);
    let settings = Settings {
        own,
        trust,
        gateways: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, stage.nl.units))],
        talkgroups: vec![talkgroup()],
        rate_kbps: 128,
        connect_timeout: Duration::from_secs(5),
        keys: Keys::ephemeral(),
    };
    Unit::start(settings, Arc::new(OsSockets), 1, transport::clock::system())
}

/// Waits for an event of a unit.
async fn until<T>(events: &mut mpsc::Receiver<Happened>, pick: impl Fn(&Happened) -> Option<T>) -> T {
    let looking = async {
        loop {
            let happened = events.recv().await.expect("a unit that lives");
            if let Some(found) = pick(&happened) {
                return found;
            }
        }
    };
    timeout(Duration::from_secs(10), looking).await.expect("within 10 s")
}

async fn joined(events: &mut mpsc::Receiver<Happened>) {
    until(events, |happened| matches!(happened.what, What::Handset(Event::Affiliated(_))).then_some(())).await;
}

/// Takes the delay of every frame that plays.
async fn hear(mut ear: mpsc::Receiver<Heard>, began: Instant, delays: Arc<Mutex<Vec<f64>>>) {
    while let Some(heard) = ear.recv().await {
        let frames = match heard.playout {
            Playout::Frame(frame) => vec![frame],
            Playout::Stretch { frames, .. } => frames,
            Playout::Fec { .. } | Playout::Conceal | Playout::Silence | Playout::End(_) => continue,
        };
        let mut delays = delays.lock().unwrap_or_else(PoisonError::into_inner);
        for frame in frames {
            let spoken = frame.get(..8).and_then(|bytes| bytes.try_into().ok()).map(u64::from_be_bytes).expect("a stamped frame");
            delays.push(began.elapsed().saturating_sub(Duration::from_nanos(spoken)).as_secs_f64() * 1_000.0);
        }
    }
}

/// Speaks a stamped frame every 20 ms for as long as a call lasts; how many.
async fn speak(mouth: &UnitHandle, began: Instant) -> u64 {
    let mut tick = interval(Duration::from_millis(20));
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (since, mut spoken) = (Instant::now(), 0);
    while since.elapsed() < CALL {
        tick.tick().await;
        let mut payload = vec![0x5a; 60];
        payload[..8].copy_from_slice(&u64::try_from(began.elapsed().as_nanos()).expect("a short run").to_be_bytes());
        mouth.speak(&talkgroup(), Some(payload.into()));
        spoken += 1;
    }
    spoken
}

/// Twenty listen while one talks, again and again; `round` makes their names their own.
pub(crate) fn calls(stage: &Stage, round: &str) -> Noticed {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (began, delays, mut noticed) = (Instant::now(), Arc::default(), Noticed::default());
        let mut listeners = Vec::new();
        for number in 0..LISTENERS {
            let Unit { handle, mut events, ear } = unit(stage, &format!("ear-{number}-{round}"));
            joined(&mut events).await;
            tokio::spawn(hear(ear, began, Arc::clone(&delays)));
            listeners.push((handle, events));
        }
        let Unit { handle: mouth, mut events, ear } = unit(stage, &format!("mouth-{round}"));
        joined(&mut events).await;
        for _ in 0..CALLS {
            let Pressed { request, at } = mouth.press(&talkgroup(), Priority::default(), Permit::Instant).await.expect("affiliated");
            let granted = async {
                until(&mut events, |happened| match &happened.what {
                    What::Handset(Event::Granted(_, granted)) => (granted.request == request).then_some(happened.at),
                    What::Handset(_) | What::Mail(_) | What::Refused { .. } | What::Disconnected(_) | What::Ended(..) => None,
                })
                .await
            };
            let (spoken, granted) = tokio::join!(speak(&mouth, began), granted);
            noticed.grants.push((granted - at).as_secs_f64() * 1_000.0);
            noticed.due += spoken * u64::try_from(LISTENERS).expect("few");
            mouth.key_up(&talkgroup()).await;
            sleep(PAUSE).await;
        }
        drop(ear);
        for (handle, mut events) in listeners {
            handle.close().await;
            let (mut lost, mut report) = (0, None);
            while let Some(happened) = events.recv().await {
                match happened.what {
                    What::Disconnected(_) => lost += 1,
                    What::Ended(_, ended) => report = Some(ended),
                    What::Handset(_) | What::Mail(_) | What::Refused { .. } => {}
                }
            }
            noticed.lost += lost;
            noticed.received += report.expect("a report at the end").frames_received;
        }
        mouth.close().await;
        noticed.delays = std::mem::take(&mut *delays.lock().unwrap_or_else(PoisonError::into_inner));
        noticed
    })
}

// === Who floods ===

/// In what way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Voice without a grant, and beats, as fast as the connection takes them.
    Datagrams,
    /// Presses and releases.
    Presses,
    /// Joins, leaves, releases of nothing: as fast as the stream takes them.
    Messages,
    /// Five sessions at once of one identity; each that ends is followed by another.
    Sessions,
}

/// A flood that runs until it is stopped.
#[derive(Debug)]
pub(crate) struct Flooder {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    sessions: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Flooder {
    /// Begins.
    pub(crate) fn start(stage: &Stage, kind: Kind) -> Self {
        let (papers, port) = (papers(stage, "evil"), stage.nl.units);
        let (stop, sent, sessions) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let flood = Flood { kind, papers, port, stop: Arc::clone(&stop), sent: Arc::clone(&sent), sessions: Arc::clone(&sessions) };
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let many = if kind == Kind::Sessions { SESSIONS } else { 1 };
                let flood = Arc::new(flood);
                let all: Vec<_> = (0..many).map(|number| tokio::spawn(Arc::clone(&flood).go_on(number))).collect();
                for one in all {
                    one.await.expect("no panic");
                }
            });
        });
        Self { stop, sent, sessions, thread: Some(thread) }
    }

    /// Ends it; what was sent, and in how many sessions.
    pub(crate) fn stop(mut self) -> (u64, u64) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().expect("started").join().expect("no panic");
        (self.sent.load(Ordering::Relaxed), self.sessions.load(Ordering::Relaxed))
    }
}

impl Drop for Flooder {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

struct Flood {
    kind: Kind,
    papers: (OwnIdentity, SharedTrust),
    port: u16,
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    sessions: Arc<AtomicU64>,
}

impl Flood {
    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// One session after the other.
    async fn go_on(self: Arc<Self>, number: usize) {
        let local = SocketAddr::from((Ipv4Addr::new(127, 3, u8::try_from(number).expect("few"), 1), 0));
        let (own, trust) = self.papers.clone();
        let dialer = Dialer::bind(&OsSockets, local, Port::Units, own, trust, &Keys::ephemeral(), transport::clock::system());
        let dialer = dialer.expect("a loopback address");
        let gateway = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        while !self.is_over() {
            let expect = Expect::AnyGatewayOf(vec!["nl".parse().expect("a code")]);
            let Ok(connection) = dialer.dial(gateway, expect, Duration::from_secs(2)).await else { continue };
            let Ok((mut send, _recv)) = connection.open_control().await else { continue };
            self.sessions.fetch_add(1, Ordering::Relaxed);
            for message in [Message::Hello(Hello::ours()), Message::Affiliate(talkgroup())] {
                let _ = send.write_all(&wire::frame::encode(&message)).await;
            }
            if self.kind == Kind::Sessions {
                // Until the next one of the same identity takes its place.
                let _ = timeout(Duration::from_millis(500), connection.quic.closed()).await;
                continue;
            }
            for turn in 1.. {
                if self.is_over() || connection.quic.close_reason().is_some() {
                    break;
                }
                self.pour(&connection.quic, &mut send, turn).await;
                tokio::task::yield_now().await;
            }
        }
    }

    async fn pour(&self, quic: &quinn::Connection, send: &mut quinn::SendStream, turn: u32) {
        let mut sent = 0;
        match self.kind {
            Kind::Datagrams => {
                for bytes in [voice(turn), Datagram::Heartbeat(Heartbeat { seq: turn, echo: 0 }).encode()] {
                    // Waits for room: the highest rate that the connection carries.
                    sent += u64::from(matches!(timeout(Duration::from_millis(100), quic.send_datagram_wait(bytes)).await, Ok(Ok(()))));
                }
            }
            Kind::Presses | Kind::Messages | Kind::Sessions => {
                let release = FloorBody::Release(Release { request: RequestId(turn), last_seq: None, key_down: false });
                let request = Request { request: RequestId(turn), priority: Priority::default(), talker: None, continuing: None };
                let messages = if self.kind == Kind::Presses {
                    [floor(FloorBody::Request(request)), floor(release)]
                } else {
                    [Message::Deaffiliate(talkgroup()), Message::Affiliate(talkgroup())]
                };
                for message in messages {
                    let bytes = wire::frame::encode(&message);
                    sent += u64::from(matches!(timeout(Duration::from_millis(100), send.write_all(&bytes)).await, Ok(Ok(()))));
                }
            }
        }
        self.sent.fetch_add(sent, Ordering::Relaxed);
    }
}

fn floor(body: FloorBody) -> Message {
    Message::Floor(Floor { talkgroup: talkgroup(), party: None, body })
}

/// Voice that nobody granted.
fn voice(turn: u32) -> Bytes {
    let voice = Voice {
        handle: Handle(1),
        spurt: Spurt::from_bits(turn),
        seq: Seq(0),
        first: true,
        last: false,
        tier: Tier::Emergency,
        encrypted: false,
        repeats: Vec::new(),
        payload: Bytes::from_static(&[7; 60]),
    };
    voice.encode()
}

/// Prints what was noticed with and without a flood, with the limit.
pub(crate) fn compare(kind: Kind, quiet: &Noticed, flooded: &Noticed) {
    for (what, before, during) in [("press to grant", &quiet.grants, &flooded.grants), ("voice delay", &quiet.delays, &flooded.delays)] {
        let [p50, p99] = [0.5, 0.99].map(|share| (quantile(before, share), quantile(during, share)));
        let more = p99.1 - p99.0;
        say(&format!(
            "{kind:?}: {what} p50 {:.1} ms, {:.1} ms in the flood; p99 {:.1} ms, {:.1} ms in the flood: {more:+.1} ms, limit +{LIMIT_MS:.0} ms, {}",
            p50.0,
            p50.1,
            p99.0,
            p99.1,
            if more <= LIMIT_MS { "held" } else { "MISSED (means something on an idle machine only)" }
        ));
    }
    say(&format!("{kind:?}: {} of {} frames delivered, {} of {} without", flooded.received, flooded.due, quiet.received, quiet.due));
}
