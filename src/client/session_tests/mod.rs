//! The unit against a gateway that follows a script, over real QUIC in virtual time.

mod mail;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use engine::handset::{Event, Permit};
use engine::jitter::{FRAME, Playout};
use pki::{Kind, Request};
use testkit::{Link, Net, clock};
use tokio::time::{Instant, sleep, timeout};
use transport::sockets::BoundBy;
use transport::{Clock, Connection, Endpoint, Keys, OwnIdentity, Port, SharedTrust, Trust};
use wire::control::{Affiliated, Floor, FloorBody, Granted, Idle, Message, Release, Rights, Taken, Talker, Welcome};
use wire::datagram::{Datagram, Voice};
use wire::frame::{self, Decoder};
use wire::{Epoch, Handle, Priority, Reason, Seq, Spurt, TalkgroupId, Tier};

use crate::{End, Heard, PressError, Settings, Unit, What};

const BUDGET: Duration = Duration::from_secs(120);
const DELAY: Duration = Duration::from_millis(20);
const UNIT: &str = "10.0.0.9";
const HANDLE: Handle = Handle(7);

fn talkgroup() -> TalkgroupId {
    "nl/pol-1".parse().unwrap()
}

fn spurt(number: u32) -> Spurt {
    Spurt::from_bits(u32::from(Epoch(1).0) << 24 | number)
}

/// One authority on a network with a delay.
struct Scene {
    net: Net,
    authority: pki::Authority,
    clock: Clock,
}

impl Scene {
    fn new() -> Self {
        let net = Net::new(1);
        net.set_default(Link::delayed(DELAY));
        let unix_s = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        Self { net, authority: pki::Authority::generate("nl").unwrap(), clock: transport::clock::following_tokio(unix_s) }
    }

    fn own(&self, kind: Kind, name: &str) -> OwnIdentity {
        let issued = self.authority.issue(&Request::new(kind, name)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let files = issued.save(folder.path()).unwrap();
        OwnIdentity::load(&files[0], &files[1]).unwrap()
    }

    fn trust(&self) -> SharedTrust {
        let root = self.authority.root_pem().as_bytes();
        Trust::builder().authority("nl".parse().unwrap(), root, None, true, false).unwrap().build().shared()
    }

    fn sockets(&self, host: &str) -> BoundBy<impl Fn(SocketAddr) -> std::io::Result<Arc<dyn quinn::AsyncUdpSocket>> + use<>> {
        let host = self.net.host(host.parse::<IpAddr>().unwrap());
        BoundBy(move |addr| host.bind(addr))
    }

    fn gateway(&self, addr: &str) -> Endpoint {
        let addr: SocketAddr = addr.parse().unwrap();
        let sockets = self.sockets(&addr.ip().to_string());
        let own = self.own(Kind::Gateway, "gw-1");
        Endpoint::bind(&sockets, addr, Port::Units, own, self.trust(), &Keys::simulated(1), Arc::clone(&self.clock)).unwrap()
    }

    fn unit(&self, gateways: &[&str]) -> Unit {
        Unit::start(self.settings(gateways), Arc::new(self.sockets(UNIT)), 3, Arc::clone(&self.clock))
    }

    fn settings(&self, gateways: &[&str]) -> Settings {
        Settings {
            own: self.own(Kind::Unit, "maas-12"),
            trust: self.trust(),
            gateways: gateways.iter().map(|addr| addr.parse().unwrap()).collect(),
            talkgroups: vec![talkgroup()],
            rate_kbps: 128,
            connect_timeout: Duration::from_secs(5),
            keys: Keys::simulated(2),
        }
    }
}

/// The gateway's end of a session.
struct Session {
    connection: Connection,
    send: quinn::SendStream,
    recv: quinn::RecvStream,
    decoder: Decoder,
}

impl Session {
    /// Accepts the next unit and reads its hello.
    async fn accept(endpoint: &Endpoint) -> Self {
        let connection = endpoint.accept().await.unwrap().complete().await.unwrap();
        let (send, recv) = connection.accept_control().await.unwrap();
        let mut session = Self { connection, send, recv, decoder: Decoder::default() };
        assert!(matches!(session.next().await, Message::Hello(_)));
        session
    }

    /// Accepts, welcomes, and lets it into the talkgroup.
    async fn joined(endpoint: &Endpoint) -> Self {
        let mut session = Self::accept(endpoint).await;
        let gateway = "nl/gateway/gw-1".parse().unwrap();
        session.say(Message::Welcome(Welcome { version: 1, capabilities: Vec::new(), gateway })).await;
        assert_eq!(session.next().await, Message::Affiliate(talkgroup()));
        let affiliated = Affiliated {
            talkgroup: talkgroup(),
            handle: HANDLE,
            title: "Police".into(),
            agency: "police".into(),
            rights: Rights::default(),
            baseline: spurt(0),
            current: None,
            emergency: None,
            far_sides: Vec::new(),
        };
        session.say(Message::Affiliated(Box::new(affiliated))).await;
        session
    }

    async fn next(&mut self) -> Message {
        loop {
            if let Some(message) = self.decoder.next_message().unwrap() {
                return message;
            }
            let chunk = self.recv.read_chunk(4_096, true).await.unwrap().expect("the stream goes on");
            self.decoder.push(&chunk.bytes);
        }
    }

    async fn next_floor(&mut self) -> FloorBody {
        let message = self.next().await;
        let Message::Floor(floor) = message else { panic!("{message:?}") };
        floor.body
    }

    async fn next_voice(&self) -> Voice {
        loop {
            if let Some(Datagram::Voice(voice)) = Datagram::decode(self.connection.quic.read_datagram().await.unwrap()).unwrap() {
                return voice;
            }
        }
    }

    async fn say(&mut self, message: Message) {
        self.send.write_all(&frame::encode(&message)).await.unwrap();
    }

    /// Somebody else begins to talk.
    async fn taken(&mut self) {
        let talker = Talker { identity: "nl/unit/x".parse().unwrap(), alias: String::new(), agency: String::new() };
        self.floor(FloorBody::Taken(Taken { spurt: spurt(1), talker, tier: Tier::Normal, via: None, elapsed_ms: 0 })).await;
    }

    /// His voice: the payload is the frame's number; the last one is empty.
    fn voice(&self, seq: u8, last: bool) {
        let voice = Voice {
            handle: HANDLE,
            spurt: spurt(1),
            seq: Seq(seq.into()),
            first: seq == 0,
            last,
            tier: Tier::Normal,
            encrypted: false,
            repeats: Vec::new(),
            payload: if last { Bytes::new() } else { Bytes::copy_from_slice(&[seq; 30]) },
        };
        self.connection.quic.send_datagram(voice.encode()).unwrap();
    }

    async fn floor(&mut self, body: FloorBody) {
        self.say(Message::Floor(Floor { talkgroup: talkgroup(), party: None, body })).await;
    }
}

/// The next event of the handset that fits; others are passed over.
async fn event(unit: &mut Unit, fits: impl Fn(&Event) -> bool) -> Event {
    loop {
        match unit.events.recv().await.expect("the unit lives").what {
            What::Handset(event) if fits(&event) => return event,
            What::Ended(end, _) => panic!("ended: {end:?}"),
            What::Handset(_) | What::Mail(_) | What::Refused { .. } | What::Disconnected(_) => {}
        }
    }
}

async fn affiliated(unit: &mut Unit) {
    event(unit, |event| matches!(event, Event::Affiliated(_))).await;
}

/// What is heard until nothing comes any more.
async fn heard(unit: &mut Unit) -> Vec<Heard> {
    let mut heard = Vec::new();
    while let Ok(Some(tick)) = timeout(Duration::from_secs(1), unit.ear.recv()).await {
        heard.push(tick);
    }
    heard
}

/// The numbers of the frames that were played whole.
fn frames(heard: &[Heard]) -> Vec<u8> {
    heard.iter().filter_map(|tick| if let Playout::Frame(payload) = &tick.playout { Some(payload[0]) } else { None }).collect()
}

#[test]
fn what_is_spoken_before_the_grant_is_sent_and_the_release_names_the_last_frame() {
    clock::run(BUDGET, async {
        let scene = Scene::new();
        let endpoint = scene.gateway("10.0.0.1:7001");
        let mut unit = scene.unit(&["10.0.0.1:7001"]);
        let mut gateway = Session::joined(&endpoint).await;
        affiliated(&mut unit).await;

        let pressed = unit.handle.press(&talkgroup(), Priority::default(), Permit::Instant).await.unwrap();
        let FloorBody::Request(request) = gateway.next_floor().await else { panic!("no request") };
        assert_eq!(request.request, pressed.request);
        for frame in 0..5_u8 {
            unit.handle.speak(&talkgroup(), Some(Bytes::copy_from_slice(&[frame; 40])));
        }
        let granted = Granted { request: request.request, spurt: spurt(1), duration_s: 30, tier: Tier::Normal, own_side_only: false };
        gateway.floor(FloorBody::Granted(granted)).await;
        for frame in 0..5_u8 {
            let voice = gateway.next_voice().await;
            assert_eq!((voice.spurt, voice.seq, voice.first), (spurt(1), Seq(frame.into()), frame == 0));
            assert_eq!(voice.payload[..], [frame; 40]);
        }

        unit.handle.key_up(&talkgroup()).await;
        unit.handle.close().await;
        for _ in 0..3 {
            let last = gateway.next_voice().await;
            assert!(last.last && last.seq == Seq(5));
        }
        let release = gateway.next_floor().await;
        assert_eq!(release, FloorBody::Release(Release { request: request.request, last_seq: Some(Seq(5)), key_down: false }));
        gateway.floor(FloorBody::Ack { request: request.request }).await;
        assert_eq!(gateway.connection.closed().await, Reason::Closed);
        let report = loop {
            if let What::Ended(end, report) = unit.events.recv().await.unwrap().what {
                assert_eq!(end, End::Closed);
                break report;
            }
        };
        assert_eq!(report.frames_sent, 6);
        assert!(unit.events.recv().await.is_none(), "something followed the end");
    });
}

#[test]
fn a_spurt_is_heard_in_ticks_of_exactly_20_ms() {
    clock::run(BUDGET, async {
        let scene = Scene::new();
        let endpoint = scene.gateway("10.0.0.1:7001");
        let mut unit = scene.unit(&["10.0.0.1:7001"]);
        let mut gateway = Session::joined(&endpoint).await;
        affiliated(&mut unit).await;
        gateway.taken().await;
        for seq in 0..20 {
            gateway.voice(seq, seq == 19);
            sleep(FRAME).await;
        }
        gateway.floor(FloorBody::Idle(Idle { spurt: spurt(1), last_seq: Some(Seq(19)), cause: None, followed: false })).await;
        let heard = heard(&mut unit).await;
        assert!(heard.windows(2).all(|pair| pair[1].at - pair[0].at == FRAME));
        assert!(heard.iter().all(|tick| tick.spurt == Some(spurt(1))));
        assert_eq!(frames(&heard), (0..19).collect::<Vec<u8>>());
    });
}

#[test]
fn a_unit_that_was_stopped_plays_what_arrived_meanwhile_at_its_place() {
    clock::run(BUDGET, async {
        let scene = Scene::new();
        let endpoint = scene.gateway("10.0.0.1:7001");
        let mut unit = scene.unit(&["10.0.0.1:7001"]);
        let mut gateway = Session::joined(&endpoint).await;
        affiliated(&mut unit).await;
        // All frames are on their way before the stop, which holds the whole process.
        scene.net.set_default(Link::delayed(FRAME * 15));
        gateway.taken().await;
        for seq in 0..200 {
            gateway.voice(seq, seq == 199);
            sleep(FRAME).await;
        }
        sleep(FRAME / 2).await;
        tokio::time::advance(FRAME * 7 / 2).await;
        let heard = heard(&mut unit).await;
        assert!(heard.windows(2).all(|pair| pair[1].at - pair[0].at == FRAME), "{heard:#?}");
        assert_eq!(frames(&heard), (0..199).collect::<Vec<u8>>(), "{heard:#?}");
        let report = unit.handle.report().await.unwrap();
        assert_eq!((report.frames_received, report.frames_concealed), (200, 0));
    });
}

#[test]
fn a_standby_is_passed_over_and_the_next_gateway_is_taken() {
    clock::run(BUDGET, async {
        let scene = Scene::new();
        let (standby, active) = (scene.gateway("10.0.0.1:7001"), scene.gateway("10.0.0.2:7001"));
        let mut unit = scene.unit(&["10.0.0.1:7001", "10.0.0.2:7001"]);
        let mut refusing = Session::accept(&standby).await;
        refusing.say(Message::Refused(Reason::Standby)).await;
        let mut gateway = Session::joined(&active).await;
        affiliated(&mut unit).await;
        unit.handle.press(&talkgroup(), Priority::default(), Permit::Tone).await.unwrap();
        assert!(matches!(gateway.next_floor().await, FloorBody::Request(_)));
    });
}

#[test]
fn a_final_refusal_is_told_by_name_and_ends_the_unit_at_once() {
    clock::run(BUDGET, async {
        let scene = Scene::new();
        let endpoint = scene.gateway("10.0.0.1:7001");
        let started = Instant::now();
        let mut unit = scene.unit(&["10.0.0.1:7001"]);
        let mut refusing = Session::accept(&endpoint).await;
        refusing.say(Message::Refused(Reason::NotTrusted)).await;
        let What::Refused { reason: Reason::NotTrusted, .. } = unit.events.recv().await.unwrap().what else { panic!("not told") };
        let What::Ended(End::GaveUp(Reason::NotTrusted), _) = unit.events.recv().await.unwrap().what else { panic!("not ended") };
        assert!(started.elapsed() < Duration::from_secs(1));
        let press = unit.handle.press(&talkgroup(), Priority::default(), Permit::Tone).await;
        assert_eq!(press, Err(PressError::Ended));
    });
}

#[test]
fn silence_ends_the_unit_as_unreachable_after_the_connect_timeout() {
    clock::run(BUDGET, async {
        let scene = Scene::new();
        let started = Instant::now();
        let mut unit = scene.unit(&["10.0.0.1:7001", "10.0.0.2:7001"]);
        let What::Refused { reason: Reason::Unreachable, .. } = unit.events.recv().await.unwrap().what else { panic!("not told") };
        assert_eq!(started.elapsed().as_secs(), 5);
        let What::Ended(End::GaveUp(Reason::Unreachable), _) = unit.events.recv().await.unwrap().what else { panic!("not ended") };
    });
}

#[test]
fn a_lost_session_is_told_and_mended_for_as_long_as_it_takes() {
    clock::run(BUDGET, async {
        let scene = Scene::new();
        let endpoint = scene.gateway("10.0.0.1:7001");
        let mut unit = scene.unit(&["10.0.0.1:7001"]);
        let gateway = Session::joined(&endpoint).await;
        affiliated(&mut unit).await;
        gateway.connection.close(Reason::ShuttingDown);
        endpoint.close(Reason::ShuttingDown);
        let What::Disconnected(Reason::ShuttingDown) = unit.events.recv().await.unwrap().what else { panic!("not told") };
        let press = unit.handle.press(&talkgroup(), Priority::default(), Permit::Tone).await;
        assert_eq!(press, Err(PressError::NotAffiliated));
        drop((gateway, endpoint));
        sleep(Duration::from_secs(20)).await;
        let endpoint = scene.gateway("10.0.0.1:7001");
        let _gateway = Session::joined(&endpoint).await;
        affiliated(&mut unit).await;
    });
}

#[test]
fn a_session_that_ended_by_a_fault_is_dialled_again_and_a_refusal_then_is_final() {
    clock::run(BUDGET, async {
        let scene = Scene::new();
        let endpoint = scene.gateway("10.0.0.1:7001");
        let mut unit = scene.unit(&["10.0.0.1:7001"]);
        for reason in [Reason::Other, Reason::ProtocolViolation] {
            let gateway = Session::joined(&endpoint).await;
            affiliated(&mut unit).await;
            gateway.connection.close(reason);
            let What::Disconnected(told) = unit.events.recv().await.unwrap().what else { panic!("not told") };
            assert_eq!(told, reason);
        }
        let mut refusing = Session::accept(&endpoint).await;
        refusing.say(Message::Refused(Reason::Other)).await;
        let What::Refused { reason: Reason::Other, .. } = unit.events.recv().await.unwrap().what else { panic!("not told") };
        let What::Ended(End::GaveUp(Reason::Other), _) = unit.events.recv().await.unwrap().what else { panic!("not ended") };
    });
}

#[test]
fn a_superseded_unit_does_not_throw_the_other_out_again() {
    clock::run(BUDGET, async {
        let scene = Scene::new();
        let endpoint = scene.gateway("10.0.0.1:7001");
        let mut unit = scene.unit(&["10.0.0.1:7001"]);
        let gateway = Session::joined(&endpoint).await;
        affiliated(&mut unit).await;
        gateway.connection.close(Reason::Superseded);
        let What::Disconnected(Reason::Superseded) = unit.events.recv().await.unwrap().what else { panic!("not told") };
        let What::Ended(End::GaveUp(Reason::Superseded), _) = unit.events.recv().await.unwrap().what else { panic!("not ended") };
    });
}
