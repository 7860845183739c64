//! A unit under test: the product's [`Unit`] with a mouth that says numbered frames and an ear that is watched.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use client::{Happened, Heard, Settings, Unit, UnitHandle, What};
use engine::handset::{Event, Permit};
use engine::jitter::Playout;
use pki::Issued;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::{Instant, MissedTickBehavior, interval};
use transport::clock::Clock;
use transport::identity::OwnIdentity;
use transport::keys::Keys;
use transport::sockets::Sockets;
use transport::trust::Trust;
use wire::{DenyCause, Identity, Level, Priority, Reason, RevokeCause, TalkgroupId, Tier};

use super::watch::{Sound, Watch};

/// What one unit has lived through.
#[derive(Debug, Default)]
pub(crate) struct Log {
    /// Every event, with its moment.
    pub(crate) events: Vec<Happened>,
    /// Every frame heard: when, whose, which.
    pub(crate) heard: Vec<(Instant, Sound)>,
    /// Whether it has a session and its talkgroup now.
    joined: bool,
}

/// Where a unit stands in the world.
pub(super) struct Footing {
    pub(super) host: IpAddr,
    pub(super) sockets: Arc<dyn Sockets>,
    pub(super) clock: Clock,
    pub(super) seed: u64,
    pub(super) watch: Arc<Mutex<Watch>>,
}

/// A unit under test.
pub(crate) struct Radio {
    /// Who it is.
    pub(crate) identity: Identity,
    /// Its number in the watch.
    pub(crate) number: u16,
    /// Where it sits.
    pub(crate) host: IpAddr,
    /// Its hand.
    pub(crate) hand: UnitHandle,
    /// What it has lived through.
    pub(crate) log: Arc<Mutex<Log>>,
    talkgroup: TalkgroupId,
    talking: Option<JoinHandle<()>>,
    watch: Arc<Mutex<Watch>>,
    tasks: [AbortHandle; 2],
}

impl Radio {
    pub(super) fn start(issued: &Issued, gateway: &str, trust: Trust, talkgroup: &str, footing: Footing) -> Self {
        let Footing { host, sockets, clock, seed, watch } = footing;
        let own = OwnIdentity::from_pem(issued.certificate_pem().as_bytes(), issued.key_pem().as_bytes()).expect("valid PEM");
        let identity = own.identity().clone();
        let talkgroup: TalkgroupId = talkgroup.parse().expect("a talkgroup");
        let gateway: SocketAddr = gateway.parse().expect("an address");
        let settings = Settings {
            own,
            trust: trust.shared(),
            gateways: vec![gateway],
            talkgroups: vec![talkgroup.clone()],
            rate_kbps: 128,
            connect_timeout: Duration::from_secs(5),
            keys: Keys::simulated(seed),
        };
        let Unit { handle, events, ear } = Unit::start(settings, sockets, seed, clock);
        let number = lock(&watch).add(identity.clone(), host, gateway.ip());
        let log: Arc<Mutex<Log>> = Arc::default();
        let listening = tokio::spawn(listen(number, events, Arc::clone(&watch), Arc::clone(&log)));
        let hearing = tokio::spawn(hear(number, ear, Arc::clone(&watch), Arc::clone(&log)));
        let tasks = [listening.abort_handle(), hearing.abort_handle()];
        lock(&watch).tasks.extend([listening, hearing]);
        Self { identity, number, host, hand: handle, log, talkgroup, talking: None, watch, tasks }
    }

    // === Hand and mouth ===

    /// Presses at the default level and speaks until released.
    pub(crate) async fn press(&mut self) {
        self.press_at(Priority::normal(16)).await;
    }

    /// Presses in a tier.
    pub(crate) async fn press_tier(&mut self, tier: Tier) {
        self.press_at(Priority { tier, dispatcher: false, level: Level(16) }).await;
    }

    /// Presses and speaks a numbered frame every 20 ms until released.
    pub(crate) async fn press_at(&mut self, priority: Priority) {
        assert!(self.try_press(priority).await, "{} is not affiliated", self.identity);
    }

    /// The same; tells whether the press was taken: a unit without a gateway takes none.
    pub(crate) async fn try_press(&mut self, priority: Priority) -> bool {
        lock(&self.watch).pressed(self.number, priority);
        let taken = self.hand.press(&self.talkgroup, priority, Permit::Instant).await.is_ok();
        if taken {
            self.speak();
        }
        taken
    }

    fn speak(&mut self) {
        let (hand, talkgroup, watch, number) = (self.hand.clone(), self.talkgroup.clone(), Arc::clone(&self.watch), self.number);
        self.hush();
        self.talking = Some(tokio::spawn(async move {
            let mut tick = interval(Duration::from_millis(20));
            tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
            tick.tick().await;
            loop {
                tick.tick().await;
                let sound = lock(&watch).says(number);
                hand.speak(&talkgroup, Some(sound.payload().into()));
            }
        }));
    }

    /// Stops speaking, with the key down: the source is gone.
    pub(crate) fn hush(&mut self) {
        if let Some(talking) = self.talking.take() {
            talking.abort();
        }
    }

    /// Releases the key.
    pub(crate) async fn release(&mut self) {
        self.hush();
        self.hand.key_up(&self.talkgroup).await;
    }

    /// Ends the group emergency.
    pub(crate) async fn end_emergency(&self) {
        self.hand.end_emergency(&self.talkgroup).await;
    }

    /// The process is gone without a word.
    pub(crate) fn kill(mut self, net: &testkit::Net) {
        self.hush();
        net.kill(self.host);
        lock(&self.watch).killed(self.number);
        for task in &self.tasks {
            task.abort();
        }
    }

    /// Where it talks.
    pub(crate) fn talkgroup(&self) -> &TalkgroupId {
        &self.talkgroup
    }

    // === What it lived through ===

    /// Waits for an event for which the test says yes, from the `from`th on; panics after 10 s of virtual time.
    pub(crate) async fn event_from<T>(&self, from: usize, what: &str, pick: impl Fn(&Event) -> Option<T>) -> T {
        for _ in 0..2_000 {
            let found = {
                let log = self.log.lock().expect("no panic");
                log.events.iter().skip(from).filter_map(handset).find_map(&pick)
            };
            if let Some(found) = found {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{}: no {what} within 10 s; saw {:#?}", self.identity, self.lines());
    }

    /// Waits for an event anywhere in the log.
    pub(crate) async fn event<T>(&self, what: &str, pick: impl Fn(&Event) -> Option<T>) -> T {
        self.event_from(0, what, pick).await
    }

    /// How many events there are; the mark for [`Self::event_from`].
    pub(crate) fn mark(&self) -> usize {
        self.log.lock().expect("no panic").events.len()
    }

    /// Waits until it has joined its talkgroup.
    pub(crate) async fn joined(&self) {
        self.event("affiliated", |event| matches!(event, Event::Affiliated(_)).then_some(())).await;
    }

    /// Whether it has a session and its talkgroup now.
    pub(crate) fn is_joined(&self) -> bool {
        self.log.lock().expect("no panic").joined
    }

    /// Waits for the grant after the mark.
    pub(crate) async fn granted(&self, from: usize) {
        self.event_from(from, "granted", |event| matches!(event, Event::Granted(..)).then_some(())).await;
    }

    /// When it was granted first after the mark.
    pub(crate) fn granted_at(&self, from: usize) -> Instant {
        let log = self.log.lock().expect("no panic");
        let grant = |happened: &&Happened| matches!(handset(happened), Some(Event::Granted(..)));
        log.events.iter().skip(from).find(grant).expect("a grant").at.into()
    }

    /// Waits for a denial after the mark.
    pub(crate) async fn denied(&self, from: usize) -> DenyCause {
        self.event_from(from, "denied", |event| if let Event::Denied(_, _, cause) = event { Some(*cause) } else { None }).await
    }

    /// Waits for a revoke after the mark.
    pub(crate) async fn revoked(&self, from: usize) -> RevokeCause {
        self.event_from(from, "revoked", |event| if let Event::Revoked(_, _, _, cause) = event { Some(*cause) } else { None }).await
    }

    /// Waits until the far side is told present or away after the mark.
    pub(crate) async fn far_side(&self, from: usize, present: bool) {
        let fits = |event: &Event| matches!(event, Event::FarSide(far) if far.present == present).then_some(());
        self.event_from(from, "far side", fits).await;
    }

    /// Waits until the unit is refused or gives up, and says why.
    pub(crate) async fn refused(&self) -> Reason {
        self.told(0, "refused", |what| if let What::Refused { reason, .. } = what { Some(*reason) } else { None }).await
    }

    /// Waits until the session is lost, and says why.
    pub(crate) async fn disconnected(&self, from: usize) -> Reason {
        self.told(from, "disconnected", |what| if let What::Disconnected(reason) = what { Some(*reason) } else { None }).await
    }

    async fn told(&self, from: usize, what: &str, pick: impl Fn(&What) -> Option<Reason>) -> Reason {
        for _ in 0..2_000 {
            let found = self.log.lock().expect("no panic").events.iter().skip(from).find_map(|happened| pick(&happened.what));
            if let Some(found) = found {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{}: not {what} within 10 s; saw {:#?}", self.identity, self.lines());
    }

    /// The log as text.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.log.lock().expect("no panic").events.iter().map(|happened| format!("{:?}", happened.what)).collect()
    }

    /// Frames heard from a talker since a moment.
    pub(crate) fn heard_from(&self, talker: &Self, since: Instant) -> usize {
        let log = self.log.lock().expect("no panic");
        log.heard.iter().filter(|(at, sound)| *at >= since && sound.talker == talker.number).count()
    }

    /// Frames heard from a talker that it said after so many others.
    pub(crate) fn heard_after(&self, talker: &Self, count: u32) -> usize {
        let log = self.log.lock().expect("no panic");
        log.heard.iter().filter(|(_, sound)| sound.talker == talker.number && sound.count > count).count()
    }

    /// When the first frame of a talker was heard since a moment.
    pub(crate) fn first_heard(&self, talker: &Self, since: Instant) -> Option<Instant> {
        let log = self.log.lock().expect("no panic");
        log.heard.iter().find(|(at, sound)| *at >= since && sound.talker == talker.number).map(|(at, _)| *at)
    }

    /// The longest time between two frames of a talker that were heard in a row.
    pub(crate) fn longest_pause(&self, talker: &Self) -> Duration {
        let log = self.log.lock().expect("no panic");
        let at: Vec<Instant> = log.heard.iter().filter(|(_, sound)| sound.talker == talker.number).map(|(at, _)| *at).collect();
        at.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
    }

    /// The frames heard from a talker, in order.
    pub(crate) fn frames_of(&self, talker: &Self) -> Vec<u32> {
        let log = self.log.lock().expect("no panic");
        log.heard.iter().filter(|(_, sound)| sound.talker == talker.number).map(|(_, sound)| sound.count).collect()
    }

    /// From the moment the first sample of each frame of the talker was spoken to the moment it plays here.
    pub(crate) fn mouth_to_ear(&self, talker: &Self) -> Vec<Duration> {
        let (log, watch) = (self.log.lock().expect("no panic"), lock(&self.watch));
        let own = log.heard.iter().filter(|(_, sound)| sound.talker == talker.number);
        own.filter_map(|(at, sound)| Some(*at - watch.said_at(*sound)? + Duration::from_millis(20))).collect()
    }

    /// When it said a frame.
    pub(crate) fn said_at(&self, count: u32) -> Option<Instant> {
        lock(&self.watch).said_at(Sound { talker: self.number, count })
    }

    /// The numbers of the frames that it said from one moment to another.
    pub(crate) fn said_between(&self, from: Instant, to: Instant) -> std::ops::Range<u32> {
        let watch = lock(&self.watch);
        let said = watch.said(self.number);
        let at = |count: u32| watch.said_at(Sound { talker: self.number, count });
        let first = (1..=said).find(|count| at(*count).is_some_and(|at| at >= from)).unwrap_or(said + 1);
        let end = (first..=said).find(|count| at(*count).is_some_and(|at| at > to)).unwrap_or(said + 1);
        first..end
    }

    /// How many frames it has said, heard or not.
    pub(crate) fn said(&self) -> u32 {
        lock(&self.watch).said(self.number)
    }
}

impl Drop for Radio {
    fn drop(&mut self) {
        self.hush();
    }
}

fn lock(watch: &Mutex<Watch>) -> MutexGuard<'_, Watch> {
    watch.lock().unwrap_or_else(PoisonError::into_inner)
}

fn handset(happened: &Happened) -> Option<&Event> {
    if let What::Handset(event) = &happened.what { Some(event) } else { None }
}

/// Takes in what happens at a unit, until it ends.
async fn listen(number: u16, mut events: mpsc::Receiver<Happened>, watch: Arc<Mutex<Watch>>, log: Arc<Mutex<Log>>) {
    while let Some(happened) = events.recv().await {
        let mut log = log.lock().expect("no panic");
        match &happened.what {
            What::Handset(event) => {
                log.joined |= matches!(event, Event::Affiliated(_));
                lock(&watch).event(number, event);
            }
            What::Disconnected(_) | What::Ended(..) => {
                log.joined = false;
                lock(&watch).disconnected(number);
            }
            What::Refused { .. } | What::Mail(_) => {}
        }
        log.events.push(happened);
    }
}

/// Takes in what a unit hears, until it ends.
async fn hear(number: u16, mut ear: mpsc::Receiver<Heard>, watch: Arc<Mutex<Watch>>, log: Arc<Mutex<Log>>) {
    while let Some(heard) = ear.recv().await {
        let frames: Vec<Bytes> = match heard.playout {
            Playout::Frame(frame) => vec![frame],
            Playout::Stretch { frames, .. } => frames,
            Playout::Fec { .. } | Playout::Conceal | Playout::Silence | Playout::End(_) => continue,
        };
        let spurt = heard.spurt.expect("a frame belongs to a spurt");
        for frame in frames {
            if let Some(sound) = lock(&watch).heard(number, spurt, &frame) {
                log.lock().expect("no panic").heard.push((Instant::now(), sound));
            }
        }
    }
}
