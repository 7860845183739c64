//! What leaves the hub: messages and frames for sessions, and events for records, log and status.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use wire::control::{Message, Talker};
use wire::{Authority, DenyCause, Epoch, Identity, Level, Reason, RevokeCause, SessionId, Spurt, TalkgroupId, Tier};

use super::blame::Blame;
use super::figures::Watch;

/// Something for the links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// A control message.
    Control(SessionId, Message),
    /// One voice frame for many.
    Voice(Fanout),
    /// A heartbeat or a report of loss.
    Datagram(SessionId, Bytes),
    /// End the session; after what was sent before.
    Close(SessionId, Reason),
}

/// One voice frame and everybody who hears it with the same repeats; those who hear it with others have a fan-out of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fanout {
    /// The listeners, shared between frames.
    pub to: Arc<[SessionId]>,
    /// The talker's own session, which does not hear itself.
    pub except: SessionId,
    /// The datagram, shared between listeners.
    pub datagram: Bytes,
    /// The same with repeats of earlier frames, where they are wanted and there are any.
    pub repeating: Option<Bytes>,
    /// For the scheduler's class.
    pub tier: Tier,
    /// For the order inside normal voice.
    pub level: Level,
    /// Of the beginning of a spurt, which may come as one burst: exempt from the deadline.
    pub backlog: bool,
    /// When the frame arrived at this gateway: its deadline counts from there.
    pub arrived: Instant,
}

/// Something for records, log and status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A session exists.
    SessionUp(SessionId, Identity),
    /// A session ended, or was refused before it existed.
    SessionDown(SessionId, Identity, Reason),
    /// An identity was refused entry to a talkgroup.
    JoinRefused(TalkgroupId, Identity, Reason),
    /// A spurt is over.
    Call(Box<Call>),
    /// A request was denied here.
    Denied {
        /// Where.
        talkgroup: TalkgroupId,
        /// Who asked.
        identity: Identity,
        /// Why not.
        cause: DenyCause,
        /// The agreement that judged it, if it came from the other side.
        agreement: Option<String>,
    },
    /// The group emergency began, passed on or ended.
    Emergency {
        /// Where.
        talkgroup: TalkgroupId,
        /// Whether it lasts.
        active: bool,
        /// Who raised or ended it.
        by: Identity,
    },
    /// A bridge changed its state.
    Bridge {
        /// The agreement.
        agreement: String,
        /// The other side.
        far: Authority,
        /// The new state.
        state: super::bridges::BridgeState,
    },
    /// A spurt under way no longer crosses a full border link, or crosses it again.
    Crossing {
        /// Where.
        talkgroup: TalkgroupId,
        /// Who talks.
        talker: Identity,
        /// In which tier.
        tier: Tier,
        /// Under which number here, until now.
        spurt: Spurt,
        /// The far side.
        far: Authority,
        /// The agreement with it.
        agreement: String,
        /// Whether it crosses from now on.
        passes: bool,
    },
    /// The newest epoch in use; to be persisted.
    Epoch(Epoch),
    /// A unit sent voice without a grant; nobody heard it, and it was told so.
    Unheard {
        /// Where.
        talkgroup: TalkgroupId,
        /// Who.
        identity: Identity,
        /// The number it talked under.
        spurt: Spurt,
    },
    /// A session sent what it must not.
    Misbehaved {
        /// Which.
        session: SessionId,
        /// Whose it is.
        identity: Identity,
        /// What it did last.
        what: &'static str,
        /// How often it misbehaved since this was told last.
        times: u64,
    },
}

/// One talk burst, for the call record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Where.
    pub talkgroup: TalkgroupId,
    /// Who.
    pub talker: Talker,
    /// The agreements under which it crossed the border, that by which it came in or was first heard there in front.
    pub agreements: Vec<String>,
    /// The authority that relayed it, if not the talker's own.
    pub via: Option<Authority>,
    /// In which tier.
    pub tier: Tier,
    /// At which level; unknown of a talker that the home named.
    pub level: Option<Level>,
    /// Its number.
    pub spurt: Spurt,
    /// How long.
    pub duration: Duration,
    /// `None`: released by the talker.
    pub ended_by: Option<RevokeCause>,
}

/// Collects what the hub says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outbox {
    pub(crate) outputs: VecDeque<Output>,
    pub(crate) events: VecDeque<Event>,
    pub(super) blame: Blame,
    pub(super) watch: Watch,
    /// Sessions over whose link a request found no room, each time once.
    pub(super) no_room: Vec<SessionId>,
    /// Whether a floor may have changed since the links were last shared out.
    pub(super) stirred: bool,
}

impl Outbox {
    pub(crate) fn control(&mut self, to: SessionId, message: Message) {
        self.stirred = true;
        self.watch.said(to, &message);
        self.outputs.push_back(Output::Control(to, message));
    }

    pub(crate) fn close(&mut self, session: SessionId, reason: Reason) {
        self.outputs.push_back(Output::Close(session, reason));
    }

    pub(crate) fn event(&mut self, event: Event) {
        self.events.push_back(event);
    }

    pub(crate) fn misbehaved(&mut self, session: SessionId, what: &'static str, now: Instant) {
        self.events.extend(self.blame.blame(session, what, now));
    }
}
