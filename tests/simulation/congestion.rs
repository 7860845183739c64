//! The congestion controller on one border: what it delivers in time beside quinn's own, and what it leaves to others.
//!
//! Two ports, one link with the scheduler in front, no gateways: here nothing but the transport is judged.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use engine::sched;
use engine::sched::line::{Line, Sound, TooSlow};
use pki::{Authority, Kind, Lifetime, Request};
use quinn::congestion::{BbrConfig, CubicConfig, NewRenoConfig};
use testkit::{Link, Net, clock};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};
use transport::clock::following_tokio;
use transport::congestion::Congestion;
use transport::link::{self, Command, Counters, Inbound, Next, Outbox, Owner};
use transport::sockets::{BoundBy, Sockets};
use transport::{Connection, Dialer, Endpoint, Expect, Keys, OwnIdentity, Port, Trust};
use wire::packet::Room;
use wire::{Level, Reason, Tier};

const FRAME: Duration = Duration::from_millis(20);
/// A frame that comes later after it was spoken is not in time.
const IN_TIME: Duration = Duration::from_millis(200);
/// The same where others fill the queue of a bottleneck.
const IN_TIME_SHARED: Duration = Duration::from_millis(400);
/// Payload and header of a frame at 28 kbit/s.
const FRAME_BYTES: usize = 93;
/// What the operator says the border carries; ten talkers need 725.
const RATE_KBPS: u32 = 1_024;
/// What the operator of a link believes that passes a bottleneck of half.
const SHARED_RATE_KBPS: u32 = 512;
/// Random loss may cost so much more than itself.
const MARGIN: f64 = 0.005;

fn say(line: &str) {
    writeln!(std::io::stderr(), "{line}").expect("stderr");
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A controller to be measured; ours is none in particular.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Ours,
    Cubic,
    NewReno,
    Bbr,
}

impl By {
    const ALL: [Self; 4] = [Self::Ours, Self::Cubic, Self::NewReno, Self::Bbr];

    fn factory(self) -> Option<Congestion> {
        match self {
            Self::Ours => None,
            Self::Cubic => Some(Arc::new(CubicConfig::default())),
            Self::NewReno => Some(Arc::new(NewRenoConfig::default())),
            Self::Bbr => Some(Arc::new(BbrConfig::default())),
        }
    }
}

/// One border of two ports, and who may dial it.
pub(super) struct Border {
    net: Net,
    issued: [Authority; 2],
    clock: transport::Clock,
    ports: u16,
}

impl Border {
    pub(super) fn new(seed: u64, link: Link) -> Self {
        let net = Net::new(seed);
        net.set_default(link);
        let authority = |code| Authority::generate(code).expect("a valid name");
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
        Self { net, issued: ["nl", "be"].map(authority), clock: following_tokio(now), ports: 0 }
    }

    fn own(&self, side: usize) -> OwnIdentity {
        let issued = self.issued[side].issue(&Request::new(Kind::Gateway, "gw-1").lifetime(Lifetime::days(90))).expect("a valid request");
        OwnIdentity::from_pem(issued.certificate_pem().as_bytes(), issued.key_pem().as_bytes()).expect("valid PEM")
    }

    fn trust(&self, far: usize) -> transport::SharedTrust {
        let (code, root) = (["nl", "be"][far], self.issued[far].root_pem());
        Trust::builder().authority(code.parse().expect("a code"), root.as_bytes(), None, false, true).expect("valid PEM").build().shared()
    }

    fn sockets(&self, host: &str) -> impl Sockets + use<> {
        let host = self.net.host(host.parse().expect("an address"));
        BoundBy(move |addr| host.bind(addr))
    }

    /// A connection from nl to be under this controller; every one passes the same two links.
    pub(super) async fn connect(&mut self, by: Option<Congestion>) -> (Connection, Connection, Endpoint, Dialer) {
        self.ports += 1;
        let address = std::net::SocketAddr::from(([10, 0, 0, 2], 7_100 + self.ports));
        let keys = |seed| Keys::simulated(seed);
        let (far, near) = (self.sockets("10.0.0.2"), self.sockets("10.0.0.1"));
        let clock = || Arc::clone(&self.clock);
        let endpoint = Endpoint::bind(&far, address, Port::Peers, self.own(1), self.trust(0), &keys(1), clock()).expect("free");
        let any = "0.0.0.0:0".parse().expect("an address");
        let dialer = Dialer::bind(&near, any, Port::Peers, self.own(0), self.trust(1), &keys(2), clock()).expect("free");
        let dialer = if let Some(by) = by { dialer.controlled_by(by) } else { dialer };
        loop {
            let accepting = endpoint.clone();
            let accepted = tokio::spawn(async move { accepting.accept().await.expect("an open port").complete().await });
            let expect = Expect::AnyGatewayOf(vec!["be".parse().expect("a code")]);
            // At 30 % loss a handshake may fail.
            if let Ok(near) = dialer.dial(address, expect, Duration::from_secs(5)).await
                && let Ok(far) = accepted.await.expect("no panic")
            {
                return (near, far, endpoint, dialer);
            }
        }
    }
}

/// The scheduler in front of the link.
struct Queue(Line);

impl Outbox for Queue {
    type Offer = (Bytes, Tier);

    fn offer(&mut self, (frame, tier): Self::Offer, now: std::time::Instant) -> Result<(), Reason> {
        let sound = Sound { datagram: frame, repeating: None, tier, level: Level::default(), backlog: false };
        self.0.voice(sound, now, now).map_err(|TooSlow| Reason::TooSlow)
    }

    fn next(&mut self, now: std::time::Instant, room: Room) -> Next {
        match self.0.next(now, room) {
            sched::Next::Item { item, .. } => Next::Packet(item),
            sched::Next::Wait(until, _) => Next::Wait(until),
            sched::Next::Idle => Next::Idle,
        }
    }
}

/// Talkers on one link; the first speaks in an emergency.
struct Talk {
    commands: mpsc::Sender<Command<(Bytes, Tier)>>,
    heard: Arc<[AtomicU64; 2]>,
    started: Instant,
    ended: tokio::sync::Mutex<mpsc::Receiver<Inbound>>,
    _kept: (Endpoint, Dialer),
}

impl Talk {
    async fn begin(border: &mut Border, by: Option<Congestion>, rate_kbps: u32, in_time: Duration) -> Self {
        let (near, far, endpoint, dialer) = border.connect(by).await;
        near.rate.set_kbps(rate_kbps);
        let streams = near.open_control().await.expect("a live connection");
        let (commands, offers) = mpsc::channel(1_024);
        let (tell, inbound) = mpsc::channel(16);
        let queue = Queue(Line::new(Some(rate_kbps)));
        let owner = Owner { inbound: tell.clone(), data: tell, tag: |inbound| inbound };
        tokio::spawn(link::run(near, streams, queue, offers, owner, Arc::new(Counters::default())));
        let (heard, started) = (Arc::new([AtomicU64::new(0), AtomicU64::new(0)]), Instant::now());
        let counted = Arc::clone(&heard);
        tokio::spawn(async move {
            while let Ok(frame) = far.quic.read_datagram().await {
                let number = u32::from_be_bytes(frame[..4].try_into().expect("four bytes"));
                if Instant::now() <= started + FRAME * number + in_time {
                    counted[usize::from(frame[4] != 0)].fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        Self { commands, heard, started, ended: tokio::sync::Mutex::new(inbound), _kept: (endpoint, dialer) }
    }

    /// Speaks, and returns the parts of the emergency frames and of the others that came in time.
    async fn speak(&self, talkers: u8, spoken: Duration) -> (f64, f64) {
        let frames = u32::try_from(spoken.as_millis() / FRAME.as_millis()).expect("a short call");
        let first = u32::try_from(self.started.elapsed().as_millis() / FRAME.as_millis()).expect("a short call") + 1;
        self.heard.iter().for_each(|count| count.store(0, Ordering::Relaxed));
        for number in first..first + frames {
            sleep_until(self.started + FRAME * number).await;
            for talker in 0..talkers {
                let mut frame = vec![talker; FRAME_BYTES];
                frame[..4].copy_from_slice(&number.to_be_bytes());
                let tier = if talker == 0 { Tier::Emergency } else { Tier::Normal };
                let sent = self.commands.send(Command::Offer((frame.into(), tier))).await;
                assert!(sent.is_ok(), "the link has ended: {:?}", self.ended.lock().await.recv().await);
            }
        }
        sleep(IN_TIME_SHARED).await;
        let part = |of: usize, spoken: u32| {
            let came = u32::try_from(self.heard[of].load(Ordering::Relaxed)).expect("few");
            f64::from(came) / f64::from(spoken.max(1))
        };
        (part(0, frames), part(1, frames * (u32::from(talkers) - 1)))
    }
}

/// The part of all frames that come in time.
fn heard(seed: u64, link: Link, by: By, talkers: u8) -> f64 {
    clock::run(Duration::from_secs(600), async {
        let mut border = Border::new(seed, link);
        let talk = Talk::begin(&mut border, by.factory(), RATE_KBPS, IN_TIME).await;
        let (first, others) = talk.speak(talkers, Duration::from_secs(60)).await;
        (first + others * f64::from(talkers - 1)) / f64::from(talkers)
    })
}

fn table(title: &str, rows: &[(&str, u64, Link)]) -> Vec<f64> {
    say(&format!("{title:<44} {:>8} {:>8} {:>8} {:>8}", "ours", "Cubic", "NewReno", "BBR"));
    let row = |(name, seed, link): &(&str, u64, Link)| {
        let parts = By::ALL.map(|by| heard(*seed, *link, by, 10));
        let cells: String = parts.iter().map(|part| format!(" {:>7.2}%", part * 100.0)).collect();
        say(&format!("{name:<44}{cells}"));
        parts[0]
    };
    rows.iter().map(row).collect()
}

#[test]
fn random_loss_costs_ten_talkers_no_more_than_itself() {
    let link = Link::delayed(ms(40)).jittery(ms(10));
    let losses = [("1 % loss", 0.01), ("5 % loss", 0.05), ("10 % loss", 0.10), ("30 % loss", 0.30)];
    let rows = losses.map(|(name, loss)| (name, 81, link.losing(loss)));
    let ours = table("ten talkers, 40 ms each way, in time", &rows);
    for ((name, loss), part) in losses.iter().zip(ours) {
        assert!(part >= 1.0 - loss - MARGIN, "{name}: {part}");
    }
}

#[test]
fn packets_that_overtake_each_other_are_no_congestion() {
    let link = Link::delayed(ms(40)).jittery(ms(100)).reordering();
    let ours = table("ten talkers, 40 to 140 ms each way, in time", &[("0 to 100 ms of jitter, out of order", 82, link)]);
    assert!(ours[0] >= 1.0 - MARGIN, "{}", ours[0]);
}

/// What takes a part of the bottleneck.
#[derive(Clone, Copy)]
enum Beside {
    /// As much as the controller allows, in large packets.
    Bulk(By),
    /// Ten talkers on a link like ours.
    Link,
}

/// The parts of an emergency and of the others that come in time, and kbit/s of the flow beside them, through 256 kbit/s.
fn shared(by: By, talkers: u8, queue_bytes: usize, beside: Beside) -> (f64, f64, f64) {
    let spoken = Duration::from_secs(30);
    clock::run(Duration::from_secs(600), async {
        let mut border = Border::new(83, Link::delayed(ms(20)).limited(256_000, queue_bytes));
        let talk = Talk::begin(&mut border, by.factory(), SHARED_RATE_KBPS, IN_TIME_SHARED).await;
        let bytes = Arc::new(AtomicU64::new(0));
        let _kept = match beside {
            Beside::Bulk(bulk) => {
                let (near, far, endpoint, dialer) = border.connect(bulk.factory()).await;
                tokio::spawn(async move { while near.quic.send_datagram_wait(Bytes::from_static(&[0; 1_100])).await.is_ok() {} });
                let counted = Arc::clone(&bytes);
                tokio::spawn(async move {
                    while let Ok(datagram) = far.quic.read_datagram().await {
                        counted.fetch_add(u64::try_from(datagram.len()).expect("small"), Ordering::Relaxed);
                    }
                });
                Some((endpoint, dialer))
            }
            Beside::Link => {
                let (other, counted) = (Talk::begin(&mut border, None, SHARED_RATE_KBPS, IN_TIME_SHARED).await, Arc::clone(&bytes));
                tokio::spawn(async move {
                    let frames = 50 * 10;
                    loop {
                        let (first, others) = other.speak(10, Duration::from_secs(1)).await;
                        let came = (first + others * 9.0) / 10.0 * f64::from(frames);
                        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of at most 500")]
                        counted.fetch_add(came.round() as u64 * 93, Ordering::Relaxed);
                    }
                });
                None
            }
        };
        talk.speak(talkers, Duration::from_secs(10)).await;
        let before = bytes.load(Ordering::Relaxed);
        let (first, others) = talk.speak(talkers, spoken).await;
        let moved = u32::try_from(bytes.load(Ordering::Relaxed) - before).expect("small");
        (first, others, f64::from(moved) * 8.0 / 1_000.0 / spoken.as_secs_f64())
    })
}

#[test]
fn who_shares_a_bottleneck_is_not_starved_and_does_not_silence_an_emergency() {
    say("256 kbit/s shared: emergency in time, others in time, kbit/s of who shares it");
    say(&format!("{:<44} {:>20} {:>20} {:>20} {:>20}", "", "ours", "Cubic", "NewReno", "BBR"));
    let besides = [(Beside::Bulk(By::Cubic), "Cubic"), (Beside::Bulk(By::Bbr), "BBR"), (Beside::Link, "ten talkers")];
    for (name, queue_bytes) in [("queue 100 ms", 3_200), ("queue 250 ms", 8_000)] {
        for (beside, beside_name) in besides {
            for talkers in [2, 10] {
                let parts = By::ALL.map(|by| shared(by, talkers, queue_bytes, beside));
                let cell =
                    |(first, others, kbps): &(f64, f64, f64)| format!(" {:>6.1}% {:>6.1}% {kbps:>4.0}", first * 100.0, others * 100.0);
                let case = format!("{talkers} talkers, {name}, {beside_name}");
                say(&format!("{case:<44}{}", parts.iter().map(cell).collect::<String>()));
                let (emergency, _, beside_kbps) = parts[0];
                assert!(emergency >= 0.5 || matches!(beside, Beside::Link), "{case}: {emergency}");
                assert!(beside_kbps >= 64.0, "{case}: {beside_kbps} kbit/s");
            }
        }
    }
}
