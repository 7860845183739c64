//! The unit's task: owns the handset and the one session with a gateway, and moves everything between them.
//!
//! In the data path: messages and datagrams of the link go into the handset, what it wants sent goes to the link's
//! outbox, its events and playout to the user's channels. It dials along the list of gateways for as long as the unit
//! lives. Nothing is coded or written here, and nothing waits but for a link that closes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::handset::{self, Event, Handset, Transmit};
use rand::rngs::SmallRng;
use rand::{RngCore, SeedableRng};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time;
use tracing::{debug, warn};
use transport::link::Inbound;
use transport::{Clock, Sockets};
use wire::data::MessageId;
use wire::{Reason, TalkgroupId};

use crate::gateways::{Gateways, Then};
use crate::mailbox::{Done, Mailbox, SendError};
use crate::report::Report;
use crate::session::{Lines, Phase, Session, Step};
use crate::ticks::Ticks;
use crate::unit::{Channels, Command, End, Happened, Heard, PressError, Pressed, Settings, What};

/// Time for release and its repeats, the copies of the last frame included, when closing.
const SETTLE: Duration = Duration::from_millis(1_300);
/// Time for the link to flush and close after that.
const FAREWELL: Duration = Duration::from_millis(500);

/// A close that the user asked for.
#[derive(Clone, Copy, Debug)]
struct Closing {
    settle_by: Instant,
    end_by: Instant,
    /// The link was told.
    told: bool,
}

/// See the module.
pub(crate) struct Driver {
    handset: Handset,
    mailbox: Option<Mailbox>,
    /// The state folder's disk at work.
    disk: Option<JoinHandle<Done>>,
    clock: Clock,
    /// Chance for the ids of messages.
    ids: SmallRng,
    lines: Lines,
    gateways: Gateways,
    phase: Phase,
    ticks: Ticks,
    commands: mpsc::Receiver<Command>,
    events: mpsc::Sender<Happened>,
    ear: mpsc::Sender<Heard>,
    connect_timeout: Duration,
    /// Until the first welcome: when to give up.
    give_up_at: Option<Instant>,
    last_refusal: Option<Reason>,
    closing: Option<Closing>,
    end: Option<End>,
    /// Counted in talkgroups that were left.
    left: Report,
}

enum Woken {
    Time,
    Command(Option<Command>),
    Step(Step),
    Disk(Option<Done>),
}

/// Now, on tokio's clock, which a simulation moves.
fn now() -> Instant {
    time::Instant::now().into_std()
}

impl Driver {
    pub(crate) fn new(
        settings: Settings,
        mailbox: Option<Mailbox>,
        sockets: Arc<dyn Sockets>,
        seed: u64,
        clock: Clock,
        channels: Channels,
    ) -> Self {
        let Channels { commands, events, ear } = channels;
        let connect_timeout = settings.connect_timeout;
        let mut handset = Handset::new(settings.talkgroups.iter().cloned());
        if mailbox.is_some() {
            handset.offer(&[wire::SHORT_DATA]);
        }
        Self {
            handset,
            mailbox,
            disk: None,
            clock: Arc::clone(&clock),
            gateways: Gateways::new(&settings.gateways, SmallRng::seed_from_u64(seed)),
            ids: SmallRng::seed_from_u64(!seed),
            lines: Lines::new(settings, sockets, clock),
            phase: Phase::Pausing(now()),
            ticks: Ticks::default(),
            commands,
            events,
            ear,
            connect_timeout,
            give_up_at: Some(now() + connect_timeout),
            last_refusal: None,
            closing: None,
            end: None,
            left: Report::default(),
        }
    }

    /// Runs until closed, or until every gateway has refused.
    pub(crate) async fn run(mut self) {
        let end = loop {
            if let Some(end) = self.end {
                break end;
            }
            let wake = self.wake_at();
            let woken = tokio::select! {
                biased;
                () = until(wake), if wake.is_some() => Woken::Time,
                command = self.commands.recv(), if self.closing.is_none() => Woken::Command(command),
                done = work_of(&mut self.disk), if self.disk.is_some() => Woken::Disk(done),
                step = self.phase.step() => Woken::Step(step),
            };
            let now = now();
            match woken {
                Woken::Time => {}
                Woken::Command(Some(command)) => self.command(command, now),
                Woken::Command(None) => self.close(now),
                Woken::Step(step) => self.step(step, now),
                Woken::Disk(done) => self.written(done),
            }
            self.pass_time(now);
            // With the moment of the cause, so that a press and its *requested* agree to the microsecond.
            self.flush(now);
        };
        self.phase = Phase::Over;
        self.lines.farewell().await;
        let report = Box::new(self.report());
        self.tell(now(), What::Ended(end, report));
    }

    /// The next moment at which something is due.
    fn wake_at(&self) -> Option<Instant> {
        let timeout = self.handset.poll_timeout().map(|(at, _)| at);
        let welcome = self.phase.session().and_then(|session| session.welcome_by);
        let closing = self.closing.map(|closing| if closing.told { closing.end_by } else { closing.settle_by });
        let mail = self.mailbox.as_ref().and_then(Mailbox::poll_timeout).map(|(at, _)| at);
        [timeout, self.ticks.wake_at(), welcome, self.give_up_at, closing, mail].into_iter().flatten().min()
    }

    fn pass_time(&mut self, now: Instant) {
        if self.handset.poll_timeout().is_some_and(|(at, _)| at <= now) {
            self.handset.handle_timeout(now);
        }
        let now_ms = self.now_ms();
        if let Some(mailbox) = &mut self.mailbox
            && mailbox.poll_timeout().is_some_and(|(at, _)| at <= now)
            && let Err(reason) = mailbox.handle_timeout(now, now_ms)
        {
            self.drop_link(reason, now);
        }
        if let Some(at) = self.ticks.take(now) {
            self.play(at, now);
        }
        if self.phase.session().is_some_and(|session| session.welcome_by.is_some_and(|by| by <= now)) {
            self.drop_link(Reason::Timeout, now);
        }
        if self.give_up_at.is_some_and(|at| at <= now) {
            if self.last_refusal.is_none()
                && let Some(gateway) = self.gateways.current()
            {
                self.tell(now, What::Refused { gateway, reason: Reason::Unreachable });
            }
            self.end = Some(End::GaveUp(self.last_refusal.unwrap_or(Reason::Unreachable)));
        }
        self.go_on_closing(now);
    }

    // === The user ===

    fn command(&mut self, command: Command, now: Instant) {
        match command {
            Command::Press(talkgroup, priority, permit, answer) => {
                let pressed = self.handset.press(&talkgroup, priority, permit, now);
                let pressed = pressed
                    .map(|request| Pressed { request, at: now })
                    .map_err(|handset::PressError::NotAffiliated| PressError::NotAffiliated);
                // Nobody waits for the answer any more: the press stands all the same.
                answer.send(pressed).ok();
            }
            Command::KeyUp(talkgroup) => self.handset.key_up(&talkgroup, now),
            Command::Speak(talkgroup, payload) => self.handset.speak(&talkgroup, payload),
            Command::EndEmergency(talkgroup) => self.handset.end_emergency(&talkgroup),
            Command::Join(talkgroup) => self.handset.join(talkgroup),
            Command::Leave(talkgroup) => {
                self.left.add(&self.handset, &talkgroup);
                self.handset.leave(&talkgroup);
            }
            Command::Send(draft, answer) => {
                let now_ms = self.now_ms();
                let mut chance = [0; 10];
                self.ids.fill_bytes(&mut chance);
                let id = MessageId::new(now_ms, chance);
                let taken = self.mailbox.as_mut().map_or(Err(SendError::Ended), |mailbox| mailbox.send(*draft, id, now, now_ms));
                answer.send(taken).ok();
            }
            Command::Shown(id) => {
                let now_ms = self.now_ms();
                if let Some(mailbox) = &mut self.mailbox {
                    mailbox.shown(id, now_ms);
                }
            }
            Command::Report(answer) => {
                answer.send(self.report()).ok();
            }
            Command::Close => self.close(now),
        }
    }

    fn report(&self) -> Report {
        let mut report = self.left.clone();
        for talkgroup in self.handset.talkgroups() {
            report.add(&self.handset, talkgroup);
        }
        report
    }

    fn close(&mut self, now: Instant) {
        for talkgroup in self.talkgroups() {
            self.handset.key_up(&talkgroup, now);
        }
        let settle_by = now + SETTLE;
        self.closing.get_or_insert(Closing { settle_by, end_by: settle_by + FAREWELL, told: false });
        self.give_up_at = None;
    }

    /// Closes the link once nothing is left to say, and ends with it.
    fn go_on_closing(&mut self, now: Instant) {
        let Some(closing) = &mut self.closing else { return };
        // What was shown is noted, even when the gateway is gone.
        let settled = self.mailbox.as_ref().is_none_or(Mailbox::is_settled);
        let Some(session) = self.phase.session() else {
            if settled || closing.settle_by <= now {
                self.end.get_or_insert(End::Closed);
            }
            return;
        };
        if !closing.told && (self.handset.is_settled() && settled || closing.settle_by <= now) {
            closing.told = true;
            closing.end_by = now + FAREWELL;
            session.close(Reason::Closed);
        }
        if closing.told && closing.end_by <= now {
            self.end.get_or_insert(End::Closed);
        }
    }

    fn talkgroups(&self) -> Vec<TalkgroupId> {
        self.handset.talkgroups().cloned().collect()
    }

    // === The session ===

    fn step(&mut self, step: Step, now: Instant) {
        match step {
            Step::PauseOver => {
                let limit = self.gateways.attempt_limit(self.connect_timeout);
                self.phase = self.gateways.current().map_or(Phase::Over, |addr| self.lines.dial(addr, limit));
            }
            Step::Dialled(Ok(connected)) => {
                let gateway = connected.0.certified.identity.clone();
                self.phase = Phase::Linked(Session::start(connected, self.lines.rate_kbps(), now));
                self.handset.handle_connected(gateway);
            }
            Step::Dialled(Err(reason)) => self.attempt_failed(reason, now),
            Step::Inbound(Inbound::Message(message)) => self.handset.handle_message(message, now),
            Step::Inbound(Inbound::Datagram(bytes, _)) => {
                self.handset.handle_datagram(bytes, now);
                if self.handset.holds_frames() {
                    self.ticks.start(now);
                }
            }
            Step::Inbound(Inbound::Data(lane, item)) => {
                let now_ms = self.now_ms();
                if let Some(mailbox) = &mut self.mailbox
                    && let Err(reason) = mailbox.handle_item(lane, item, now, now_ms)
                {
                    self.drop_link(reason, now);
                }
            }
            Step::Inbound(Inbound::DataLeft(lane, bytes)) => {
                if let Some(session) = self.phase.session_mut() {
                    session.ahead.left(lane, bytes);
                }
            }
            Step::Inbound(Inbound::Closed(reason)) => self.link_ended(reason, now),
        }
    }

    /// Ends the link from this side, without waiting for it.
    fn drop_link(&mut self, reason: Reason, now: Instant) {
        if let Some(session) = self.phase.session() {
            session.close(reason);
        }
        self.link_ended(reason, now);
    }

    fn link_ended(&mut self, reason: Reason, now: Instant) {
        let welcomed_at = self.phase.session().and_then(|session| session.welcomed_at);
        self.phase = Phase::Pausing(now);
        self.handset.handle_disconnected(now);
        if let Some(mailbox) = &mut self.mailbox {
            mailbox.handle_session_down();
        }
        if self.closing.is_some() {
            return self.go_on_closing(now);
        }
        let Some(since) = welcomed_at else { return self.attempt_failed(reason, now) };
        // What the handset says of its lost floor comes first.
        self.tell_events(now);
        self.tell(now, What::Disconnected(reason));
        let then = self.gateways.lost(reason, now.saturating_duration_since(since));
        self.then(then, reason, now);
    }

    fn attempt_failed(&mut self, reason: Reason, now: Instant) {
        debug!(%reason, "attempt failed");
        if let Some(gateway) = self.gateways.current()
            && self.gateways.is_news(reason)
        {
            self.last_refusal = Some(reason);
            self.tell(now, What::Refused { gateway, reason });
        }
        let then = self.gateways.failed(reason);
        self.then(then, reason, now);
    }

    fn then(&mut self, then: Then, reason: Reason, now: Instant) {
        match then {
            Then::Dial(pause) => self.phase = Phase::Pausing(now + pause),
            Then::GiveUp => self.end = Some(End::GaveUp(reason)),
        }
    }

    // === Outward ===

    fn flush(&mut self, now: Instant) {
        self.tell_events(now);
        self.flush_mail(now);
        while let Some(transmit) = self.handset.poll_transmit() {
            let Some(session) = self.phase.session() else { continue };
            let is_control = matches!(transmit, Transmit::Control(_));
            if session.offer(transmit).is_err() && is_control {
                warn!("the gateway does not read: 256 messages wait");
                self.drop_link(Reason::TooSlow, now);
            }
        }
    }

    /// A gateway welcomed the unit: the mailbox learns whether it takes short data.
    fn greet_mail(&mut self, now: Instant) {
        let Some(mailbox) = &mut self.mailbox else { return };
        let offered = self.handset.knows(wire::SHORT_DATA);
        // A link that has no room now is dropped by what is offered next.
        if offered && let Some(session) = self.phase.session() {
            session.allow_data().ok();
        }
        mailbox.handle_session_up(offered, now);
    }

    /// What the mailbox wants told, written and sent.
    fn flush_mail(&mut self, now: Instant) {
        let now_ms = self.now_ms();
        let Some(mailbox) = &mut self.mailbox else { return };
        if self.disk.is_none() {
            self.disk = mailbox.poll_write(now_ms).map(|job| spawn_blocking(|| job.run()));
        }
        let mail: Vec<_> = std::iter::from_fn(|| mailbox.poll_mail()).collect();
        let mut too_slow = false;
        while let Some(session) = self.phase.session_mut()
            && let Some((lane, frame)) = mailbox.poll_transmit(&session.ahead, now, now_ms)
        {
            too_slow |= session.give(lane, frame).is_err();
        }
        mail.into_iter().for_each(|mail| self.tell(now, What::Mail(mail)));
        if too_slow {
            self.drop_link(Reason::TooSlow, now);
        }
    }

    /// The disk has done what it was asked for; `None` if its thread broke off, which ends the unit.
    fn written(&mut self, done: Option<Done>) {
        self.disk = None;
        match (done, &mut self.mailbox) {
            (Some(done), Some(mailbox)) => mailbox.handle_written(done),
            _ => self.end = Some(End::GaveUp(Reason::Other)),
        }
    }

    /// Milliseconds of UTC, as exact as the clock; 0 before 1970.
    fn now_ms(&self) -> u64 {
        self.clock.current_time().map_or(0, |time| time.as_secs() * 1_000)
    }

    fn tell_events(&mut self, now: Instant) {
        while let Some(event) = self.handset.poll_event() {
            match event {
                Event::GatewayLost => self.drop_link(Reason::LinkLost, now),
                Event::Refused(reason) => self.drop_link(reason, now),
                Event::Connected(_) => {
                    self.gateways.welcomed();
                    self.give_up_at = None;
                    if let Some(session) = self.phase.session_mut() {
                        session.welcomed(now);
                    }
                    self.tell(now, What::Handset(event));
                    self.greet_mail(now);
                }
                event @ (Event::Affiliated(_)
                | Event::AffiliateRefused(..)
                | Event::Requested(..)
                | Event::Granted(..)
                | Event::Denied(..)
                | Event::Queued(..)
                | Event::Revoked(..)
                | Event::Released(..)
                | Event::Taken(..)
                | Event::FirstAudio(..)
                | Event::Interrupted(..)
                | Event::Idle(..)
                | Event::Emergency(..)
                | Event::EmergencyEndRefused(..)
                | Event::FarSide(_)) => self.tell(now, What::Handset(event)),
            }
        }
    }

    fn tell(&self, at: Instant, what: What) {
        if let Err(error) = self.events.try_send(Happened { at, what }) {
            debug!(%error, "event dropped");
        }
    }

    /// Asks every talkgroup for its 20 ms; the clock stops when nothing plays or waits. The buffers judge by the nominal time:
    /// by the true one, ticks made up after a stop would look like delay to be cut short.
    fn play(&mut self, at: Instant, now: Instant) {
        let mut sounding = false;
        for talkgroup in self.talkgroups() {
            let Some(playout) = self.handset.playout(&talkgroup, at) else { continue };
            sounding = true;
            let spurt = self.handset.playing(&talkgroup);
            if self.ear.try_send(Heard { talkgroup, spurt, playout, at }).is_err() {
                debug!("sound dropped: the ear does not keep up");
            }
        }
        if sounding || self.handset.holds_frames() {
            self.ticks.go_on(at, now);
        }
    }
}

/// The result of the disk; `None` if its thread broke off. May be dropped at any time without loss.
async fn work_of(disk: &mut Option<JoinHandle<Done>>) -> Option<Done> {
    match disk {
        Some(work) => work.await.ok(),
        None => std::future::pending().await,
    }
}

async fn until(at: Option<Instant>) {
    if let Some(at) = at {
        time::sleep_until(at.into()).await;
    }
}
