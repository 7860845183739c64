//! The one task that owns the hub: waits, feeds it, carries out what it says.
//!
//! Data path: a link's pump hands in messages and datagrams ([`Inbound`]); the driver adds the time and asks the hub; what
//! the hub says goes to the links' queues. Nothing here decides. The task runs on the voice thread; records, status and
//! files are served elsewhere and only told from here.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use engine::hub::{Caller, Event, Fanout, Hub, Output};
use engine::sched::line::Sound;
use engine::sched::words::Word;
use store::Answer;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::yield_now;
use tokio::time::{Instant as TokioInstant, MissedTickBehavior, interval, sleep_until};
use tracing::warn;
use transport::clock::Clock;
use transport::config::Port;
use transport::endpoint::Endpoint;
use transport::identity::OwnIdentity;
use transport::link::Inbound;
use transport::trust::SharedTrust;
use wire::{Epoch, Identity, Reason, SessionId};

use crate::config::Config;
use crate::dialling::{Dialling, PeerState};
use crate::ledger::Ledger;
use crate::link::{Arrivals, Link, NewLink, Offer};
use crate::office::{Messages, Office};
use crate::plan::plan_of;
use crate::refusals::Refusals;
use crate::report::Reporter;
use crate::sweep::{SLICE_EVERY, Sweep};

/// Inputs of accept loops, dialling tasks and the operator that wait for the driver; then they wait.
pub(crate) const INPUTS_MAX: usize = 64;
/// Messages and datagrams of all links that wait for the driver. Full: datagrams are dropped and counted, messages wait.
const INBOUND_MAX: usize = 4_096;
/// Items of short data that wait for the driver; then their streams wait.
const DATA_MAX: usize = 512;
/// Inbound items handled in one turn before timers and other inputs are looked at again.
const BATCH: usize = 64;
/// How often the status is published, and the clock looked at.
const TICK: Duration = Duration::from_millis(200);
/// So many times as long as publishing took passes before it is done again: with many units that is half a millisecond and more,
/// which voice waits for.
const PUBLISH_SHARE: u32 = 1_000;
/// However long it took, the status is at most so old.
const PUBLISH_SLOWEST: Duration = Duration::from_secs(1);
/// How often the wall clock is read: ends of certificates, dates of agreements.
const SECOND: Duration = Duration::from_secs(1);
/// A turn of the driver takes at most a [`TICK`]; when it took so long, the thread stood still.
const PAUSE: Duration = Duration::from_millis(400);
/// Pause from which on the voice that waited through it is too old to be heard.
const OLD_VOICE: Duration = Duration::from_secs(1);
/// Turns of the runtime without anything new after which nothing is on its way any more: socket, endpoint, connection, pump.
const QUIET_TURNS: u32 = 32;
/// Longest time spent on catching up.
const CATCH_UP: Duration = Duration::from_millis(200);
/// How long a stopping gateway waits for its sessions to take their farewell.
const DRAIN: Duration = Duration::from_secs(2);

/// What reaches the driver beside the links.
#[derive(Debug)]
pub(crate) enum Input {
    /// A connection is ready to carry a session.
    Link(Box<NewLink>),
    /// A caller was refused before it had a session.
    Refused {
        /// The port it called.
        port: Port,
        /// Where it sits.
        from: SocketAddr,
        /// Why.
        reason: Reason,
    },
    /// A new configuration and certificate are in force; trust and the ports' certificate have been swapped already.
    Apply(Box<(Config, OwnIdentity)>),
    /// The lists of revoked certificates changed: sweep now.
    Sweep,
    /// Stop: say farewell to every session, then end. Answers when done.
    Drain(oneshot::Sender<()>),
}

/// The driver and what it owns.
pub(crate) struct Driver {
    pub(crate) hub: Hub,
    pub(crate) config: Config,
    pub(crate) trust: SharedTrust,
    pub(crate) clock: Clock,
    pub(crate) reporter: Reporter,
    pub(crate) endpoints: Vec<Endpoint>,
    /// Told to the dialling tasks.
    pub(crate) peers: BTreeMap<Identity, watch::Sender<PeerState>>,
    /// Starts and stops dialling tasks when the configuration changes.
    pub(crate) dialling: Dialling,
    pub(crate) links: Links,
    ledger: Ledger,
    /// Short data, if there is a store.
    pub(crate) office: Option<Office>,
    next_session: u64,
    sweep: Sweep,
    refusals: Refusals,
    wall_read: Instant,
    /// When the status is published next.
    publish_at: Instant,
    /// Whether what comes in waited through a long pause.
    voice_is_old: bool,
}

/// What ended a wait of the driver.
enum Woken {
    Deadline,
    Input(Option<Input>),
    Tick,
    Slice,
    Inbound,
    Stored(Answer),
}

impl Driver {
    pub(crate) fn new(
        config: Config,
        epoch: Epoch,
        trust: SharedTrust,
        clock: Clock,
        reporter: Reporter,
        endpoints: Vec<Endpoint>,
        dialling: Dialling,
    ) -> Self {
        let now = TokioInstant::now().into_std();
        let unix_s = unix_s(&clock);
        Self {
            hub: Hub::new(plan_of(&config), epoch, unix_s, now),
            config,
            trust,
            clock,
            reporter,
            endpoints,
            peers: BTreeMap::new(),
            dialling,
            links: BTreeMap::new(),
            ledger: Ledger::default(),
            office: None,
            next_session: 1,
            sweep: Sweep::default(),
            refusals: Refusals::default(),
            wall_read: now,
            publish_at: now,
            voice_is_old: false,
        }
    }

    /// Runs until drained or until every sender of `inputs` is gone.
    pub(crate) async fn run(mut self, mut inputs: mpsc::Receiver<Input>, short_data: Option<(Messages, OwnIdentity)>) {
        let (inbound_sender, mut inbound) = mpsc::channel(INBOUND_MAX);
        let (data_sender, mut data) = mpsc::channel(DATA_MAX);
        let arrivals = Arrivals { inbound: inbound_sender, data: data_sender };
        // Gone before the office, whose end waits for the store: its last answers are for nobody.
        let mut answers = self.open_office(short_data);
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut slice = interval(SLICE_EVERY);
        slice.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.dialling.renew(&self.config, &mut self.peers);
        let mut turned = TokioInstant::now();
        loop {
            let deadline = self.poll_timeout().map(TokioInstant::from_std);
            // The rare before the frequent: a flood of links holds up neither the operator nor a revocation.
            let mut first = None;
            let woken = tokio::select! {
                biased;
                () = sleep_until(deadline.unwrap_or_else(TokioInstant::now)), if deadline.is_some() => Woken::Deadline,
                input = inputs.recv() => Woken::Input(input),
                _ = tick.tick() => Woken::Tick,
                _ = slice.tick(), if !self.sweep.is_over() => Woken::Slice,
                Some(item) = inbound.recv() => {
                    first = Some(item);
                    Woken::Inbound
                }
                Some(answer) = answers.recv() => Woken::Stored(answer),
                Some(item) = data.recv() => {
                    first = Some(item);
                    Woken::Inbound
                }
            };
            let pause = turned.elapsed();
            self.voice_is_old = pause >= OLD_VOICE;
            if let Some((session, item)) = first {
                self.handle_inbound(session, item);
            }
            if pause >= PAUSE {
                warn!(pause_ms = pause.as_millis(), "the gateway stood still");
                self.catch_up(&mut inbound).await;
            }
            self.voice_is_old = false;
            match woken {
                Woken::Deadline => {
                    // What has arrived comes before the time: a timer must not fire for want of what lies in the queue.
                    self.take(&mut inbound, INBOUND_MAX);
                    self.handle_timeout();
                }
                Woken::Input(Some(Input::Drain(done))) => {
                    self.drain(&mut inbound).await;
                    // Whoever asked may have gone already.
                    let _ = done.send(());
                    return;
                }
                Woken::Input(Some(input)) => self.handle_input(input, &arrivals),
                Woken::Input(None) => return,
                Woken::Tick => self.handle_tick(),
                Woken::Slice => self.judge_slice(),
                Woken::Inbound => {}
                Woken::Stored(answer) => self.stored(answer),
            }
            self.carry_out();
            // Nor does a flood of callers hold up the links, nor short data voice.
            self.take(&mut inbound, BATCH);
            self.take_answers(&mut answers, BATCH);
            self.take(&mut data, BATCH);
            turned = TokioInstant::now();
        }
    }

    /// After a pause of the whole thread (the process was stopped, the machine slept) lets in what arrived meanwhile, before
    /// any timer is asked: it lies in sockets, in QUIC and in the pumps, a few turns of the runtime away.
    ///
    /// A talker who went on talking keeps the floor, but voice of a long pause is passed on to nobody. A border session ends
    /// by its heartbeat if the pause was longer than 1.7 s, for then the other side may have gone on alone; what it said
    /// before that is still in order, and grants of a shorter pause are as good as ever.
    async fn catch_up(&mut self, inbound: &mut mpsc::Receiver<(SessionId, Inbound)>) {
        let until = TokioInstant::now() + CATCH_UP;
        let mut quiet = 0;
        while quiet < QUIET_TURNS && TokioInstant::now() < until {
            yield_now().await;
            quiet = if self.take(inbound, INBOUND_MAX) { 0 } else { quiet + 1 };
        }
    }

    // === In ===

    /// Handles what waits, so many items at most; whether there was any.
    fn take(&mut self, inbound: &mut mpsc::Receiver<(SessionId, Inbound)>, most: usize) -> bool {
        let waiting = inbound.len().min(most);
        for _ in 0..waiting {
            let Ok((session, item)) = inbound.try_recv() else { break };
            self.handle_inbound(session, item);
        }
        waiting > 0
    }

    fn handle_inbound(&mut self, session: SessionId, item: Inbound) {
        let now = TokioInstant::now().into_std();
        match item {
            Inbound::Message(message) => {
                self.watch_leaving(session, &message);
                self.hub.handle_message(session, message, now);
            }
            Inbound::Datagram(bytes, arrived) => self.hub.handle_datagram_of(session, bytes, arrived, now),
            Inbound::Data(lane, item) => self.data(session, lane, item, now),
            Inbound::DataLeft(lane, bytes) => self.data_left(session, lane, bytes),
            Inbound::Closed(reason) => {
                self.links.remove(&session);
                self.hub.handle_closed(session, reason, now);
            }
        }
        self.carry_out();
    }

    fn handle_input(&mut self, input: Input, arrivals: &Arrivals) {
        let now = TokioInstant::now().into_std();
        match input {
            Input::Link(new) => {
                let session = SessionId(self.next_session);
                self.next_session += 1;
                let certified = &new.connection.certified;
                let caller =
                    Caller { identity: certified.identity.clone(), alias: certified.alias.clone(), agency: certified.agency.clone() };
                let (dialled, connected, rate) = (new.dialled, new.connected, self.rate_of(&caller.identity));
                if let Some(state) = self.peers.get(&caller.identity) {
                    state.send_replace(PeerState::Up);
                }
                let tally = self.ledger.open(&caller.identity);
                self.links.insert(session, Link::start(session, *new, rate, tally, arrivals.clone()));
                // Trust may have changed since the handshake.
                self.sweep.extend([session]);
                self.hub.handle_connected(session, caller, dialled, connected);
            }
            Input::Refused { port, from, reason } => {
                if self.refusals.admit(now) {
                    self.reporter.refused(port, from, reason);
                }
            }
            Input::Apply(new) => {
                let (config, own) = *new;
                self.hub.handle_plan(plan_of(&config), now);
                self.renew_office(&config, &own);
                self.config = config;
                self.dialling.set_own_identity(own);
                self.dialling.renew(&self.config, &mut self.peers);
                for (_, state) in self.peers.iter().filter(|(identity, _)| self.hub.has_session(identity)) {
                    state.send_replace(PeerState::Up);
                }
                self.renew_rates();
                self.sweep.extend(self.links.keys().copied());
            }
            Input::Sweep => self.sweep.extend(self.links.keys().copied()),
            Input::Drain(_) => {}
        }
    }

    fn rate_of(&self, identity: &Identity) -> u32 {
        self.config.peers.iter().find(|peer| peer.identity() == *identity).map_or(self.config.unit_rate_kbps, |peer| peer.rate_kbps)
    }

    /// Tells every link its rate; those that know it already are left alone.
    fn renew_rates(&mut self) {
        let mut links = std::mem::take(&mut self.links);
        for link in links.values_mut() {
            link.set_rate(self.rate_of(&link.certified.identity));
        }
        self.links = links;
    }

    fn handle_tick(&mut self) {
        let now = TokioInstant::now().into_std();
        if now.saturating_duration_since(self.wall_read) >= SECOND {
            self.wall_read = now;
            let unix_s = unix_s(&self.clock);
            self.end_expired(unix_s, now);
            self.hub.handle_wall_clock(unix_s, now);
            // A link whose queue was full at the reload.
            self.renew_rates();
        }
        if let Some(untold) = self.refusals.take_untold(now) {
            self.reporter.refused_untold(untold);
        }
        self.office_tick(now);
        if now >= self.publish_at {
            self.reporter.publish(&self.hub.status(now), &self.links, &self.ledger.totals(), self.office.as_ref());
            let done = TokioInstant::now().into_std();
            self.publish_at = done + (done.saturating_duration_since(now) * PUBLISH_SHARE).min(PUBLISH_SLOWEST);
        }
    }

    /// Ends the sessions whose certificate has run out; only dates are compared, nothing is verified.
    fn end_expired(&mut self, unix_s: i64, now: Instant) {
        let expired = self.links.iter().filter(|(_, link)| link.certified.not_after_unix_s < unix_s);
        let expired: Vec<SessionId> = expired.map(|(session, _)| *session).collect();
        for session in expired {
            self.hub.end(session, Reason::CertificateExpired, now);
        }
    }

    /// Judges the next few certificates: revocation, or trust withdrawn.
    fn judge_slice(&mut self) {
        let now = TokioInstant::now().into_std();
        let Some(wall) = self.clock.current_time() else { return };
        let trust = self.trust.load();
        for session in self.sweep.next_slice() {
            let Some(link) = self.links.get(&session) else { continue };
            if let Err(reason) = trust.recheck(&link.certified, link.port, wall) {
                self.hub.end(session, reason, now);
            }
        }
    }

    // === Out ===

    /// Carries out everything the hub has said.
    pub(crate) fn carry_out(&mut self) {
        let now = TokioInstant::now().into_std();
        // More than one round when a link that did not keep up loses its session in the first.
        while self.hub.has_output() {
            self.carry_out_round(now);
        }
        while let Some(event) = self.hub.poll_event() {
            if let Event::SessionUp(session, _) = &event
                && let Some(link) = self.links.get_mut(session)
            {
                link.waiting = None;
            }
            if let Event::SessionDown(_, identity, _) = &event
                && let Some(state) = self.peers.get(identity)
                && !self.hub.has_session(identity)
            {
                state.send_replace(PeerState::Down(self.hub.held_until(identity, now)));
            }
            self.watch_session(&event, now);
            self.reporter.event(event);
        }
        self.carry_out_data(now);
    }

    fn carry_out_round(&mut self, now: Instant) {
        // Messages of one round for one session travel together: each packet costs its overhead out of the link's bucket.
        let mut messages: BTreeMap<SessionId, Vec<Word>> = BTreeMap::new();
        while let Some(output) = self.hub.poll_output() {
            match output {
                Output::Control(session, message) => {
                    self.watch_joining(session, &message);
                    let is_unit = self.links.get(&session).is_some_and(|link| link.port == Port::Units);
                    let word = if is_unit { Word::to_unit(&message) } else { Word::from(&message) };
                    messages.entry(session).or_default().push(word);
                }
                Output::Voice(fanout) => self.fan_out(&fanout),
                Output::Datagram(session, bytes) => {
                    if let Some(link) = self.links.get(&session) {
                        link.perishable(Offer::Signal(bytes));
                    }
                }
                Output::Close(session, reason) => {
                    if let Some(words) = messages.remove(&session) {
                        self.send(session, words, now);
                    }
                    if let Some(link) = self.links.remove(&session) {
                        link.close(reason);
                    }
                }
            }
        }
        for (session, words) in messages {
            self.send(session, words, now);
        }
    }

    /// Offers control messages to a link; one that does not keep up loses its session.
    fn send(&mut self, session: SessionId, words: Vec<Word>, now: Instant) {
        let Some(link) = self.links.get(&session) else { return };
        if let Err(reason) = link.messages(words) {
            self.hub.end(session, reason, now);
        }
    }

    fn fan_out(&self, fanout: &Fanout) {
        for session in fanout.to.iter().filter(|session| **session != fanout.except) {
            if let Some(link) = self.links.get(session) {
                if self.voice_is_old {
                    link.tally.stale();
                    continue;
                }
                let Fanout { tier, level, backlog, arrived, .. } = *fanout;
                let sound = Sound { datagram: fanout.datagram.clone(), repeating: fanout.repeating.clone(), tier, level, backlog };
                link.perishable(Offer::Voice { sound, arrived });
            }
        }
    }

    // === End ===

    /// Farewell to every session, then a bounded wait until the pumps have sent it.
    async fn drain(&mut self, inbound: &mut mpsc::Receiver<(SessionId, Inbound)>) {
        self.dialling.stop();
        // Links that were closed before may still say so; they are not waited for.
        let mut open: BTreeSet<SessionId> = self.links.keys().copied().collect();
        self.hub.drain(TokioInstant::now().into_std());
        self.carry_out();
        let all_closed = async {
            while !open.is_empty() {
                match inbound.recv().await {
                    Some((session, Inbound::Closed(_))) => {
                        open.remove(&session);
                    }
                    Some((_, Inbound::Message(_) | Inbound::Datagram(..) | Inbound::Data(..) | Inbound::DataLeft(..))) => {}
                    None => return,
                }
            }
        };
        let _ = tokio::time::timeout(DRAIN, all_closed).await;
        for endpoint in &self.endpoints {
            endpoint.close(Reason::ShuttingDown);
        }
        let idle = async {
            self.dialling.close(Reason::ShuttingDown).await;
            for endpoint in &self.endpoints {
                endpoint.wait_idle().await;
            }
        };
        let _ = tokio::time::timeout(DRAIN, idle).await;
    }
}

fn unix_s(clock: &Clock) -> i64 {
    clock.current_time().map_or(0, |time| i64::try_from(time.as_secs()).unwrap_or(i64::MAX))
}

/// Every live link by its session.
pub(crate) type Links = BTreeMap<SessionId, Link>;

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver").field("links", &self.links.len()).finish_non_exhaustive()
    }
}
