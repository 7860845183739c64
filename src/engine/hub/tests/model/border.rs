//! The links between the sites: sessions that each end notices to be lost by itself, ordered control, frames in any order.
//!
//! Control is reliable and in order while a session lives. When one end gives a session up, what was on the way to it is lost;
//! of what it had sent before, the other end still hears a beginning, as long as that end does not notice. Datagrams may come late, in
//! any order or never. A link may get a new session while the partner still believes in the old one.

use std::collections::VecDeque;

use wire::SessionId;

use super::pool::{Leaves, PacketId};

/// The home's end of a link, and the partner's.
pub(super) const ENDS: [usize; 2] = [0, 1];

/// A session between two gateways; index 0 is the home's end.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Session {
    pub(super) id: SessionId,
    /// Whether that end still believes in it.
    pub(super) alive: [bool; 2],
    /// What that end has sent and the other has not heard.
    pub(super) control: [VecDeque<PacketId>; 2],
    /// Frames and copies of emergency requests likewise, each once and sorted, for their order means nothing.
    pub(super) datagrams: [Vec<PacketId>; 2],
}

/// The link of one partner.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Link {
    made: u8,
    /// Older first.
    pub(super) sessions: Vec<Session>,
}

impl Link {
    /// A new session; its number tells the link.
    pub(super) fn open(&mut self, link: usize) -> SessionId {
        self.made += 1;
        let id = SessionId(100 * (link as u64 + 1) + u64::from(self.made));
        self.sessions.push(Session { id, alive: [true; 2], control: Default::default(), datagrams: Default::default() });
        id
    }

    /// The link that a session belongs to.
    pub(super) fn of(session: SessionId) -> usize {
        usize::try_from(session.0 / 100).unwrap() - 1
    }

    /// Takes what an end says.
    pub(super) fn take(&mut self, end: usize, leaves: Leaves) {
        let (Leaves::Control(id, _) | Leaves::Datagram(id, _) | Leaves::Close(id)) = leaves;
        let Some(session) = self.sessions.iter_mut().find(|session| session.id == id) else { return };
        match leaves {
            Leaves::Close(_) => {
                session.alive[end] = false;
                session.control[1 - end].clear();
                session.datagrams[1 - end].clear();
            }
            Leaves::Control(_, packet) if session.alive == [true; 2] => session.control[end].push_back(packet),
            Leaves::Datagram(_, packet) if session.alive == [true; 2] => {
                if let Err(place) = session.datagrams[end].binary_search(&packet) {
                    session.datagrams[end].insert(place, packet);
                }
            }
            Leaves::Control(..) | Leaves::Datagram(..) => {}
        }
        self.sessions.retain(|session| session.alive != [false; 2]);
    }

    /// A session exists and both ends believe in the same one.
    pub(super) fn is_up(&self) -> bool {
        matches!(self.sessions.as_slice(), [session] if session.alive == [true; 2])
    }

    /// Nothing is on the way, and both ends believe the same.
    pub(super) fn is_quiet(&self) -> bool {
        let nothing_flies = self.sessions.iter().all(|session| session.control.iter().all(VecDeque::is_empty));
        nothing_flies && (self.sessions.is_empty() || self.is_up())
    }

    /// Whether the home, which dials, has no session left.
    pub(super) fn may_dial(&self) -> bool {
        self.sessions.iter().all(|session| !session.alive[0])
    }
}
