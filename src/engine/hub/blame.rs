//! Whom log and records blame for what: the first time at once, then at most once a second for each session with the count of
//! what came between, so that one that misbehaves in every packet crowds nothing out.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use wire::{Identity, SessionId};

use super::output::Event;

/// Least time between two words about the same session.
const EVERY: Duration = Duration::from_secs(1);

/// One entry per session, from its connection to its end.
#[derive(Clone, Debug, Default)]
pub(super) struct Blame {
    sessions: BTreeMap<SessionId, Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    identity: Identity,
    told: Option<Instant>,
    what: &'static str,
    untold: u64,
}

impl Entry {
    fn tell(&mut self, session: SessionId) -> Option<Event> {
        let times = std::mem::take(&mut self.untold);
        let event = Event::Misbehaved { session, identity: self.identity.clone(), what: self.what, times };
        (times > 0).then_some(event)
    }
}

impl Blame {
    /// A session that may be blamed from here on.
    pub(super) fn begin(&mut self, session: SessionId, identity: Identity) {
        self.sessions.insert(session, Entry { identity, told: None, what: "", untold: 0 });
    }

    /// The session is blamed; what is to be told now, if anything.
    pub(super) fn blame(&mut self, session: SessionId, what: &'static str, now: Instant) -> Option<Event> {
        let entry = self.sessions.get_mut(&session)?;
        (entry.what, entry.untold) = (what, entry.untold + 1);
        if entry.told.is_some_and(|told| now.saturating_duration_since(told) < EVERY) {
            return None;
        }
        entry.told = Some(now);
        entry.tell(session)
    }

    /// The session ended; what it was blamed for and nobody was told yet.
    pub(super) fn end(&mut self, session: SessionId) -> Option<Event> {
        self.sessions.remove(&session)?.tell(session)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "an epoch to count virtual time from")]
    fn epoch() -> Instant {
        Instant::now()
    }

    fn times(event: Option<Event>) -> Option<u64> {
        event.map(|event| if let Event::Misbehaved { times, .. } = event { times } else { 0 })
    }

    #[test]
    fn a_session_that_misbehaves_in_every_packet_is_told_once_a_second_and_counted_whole() {
        let (mut blame, start, session) = (Blame::default(), epoch(), SessionId(7));
        blame.begin(session, "nl/unit/a".parse().unwrap());
        let told: Vec<u64> = (0..250).filter_map(|n| times(blame.blame(session, "noise", start + Duration::from_millis(10 * n)))).collect();
        assert_eq!(told, [1, 100, 100]);
        assert_eq!(times(blame.end(session)), Some(49));
        assert_eq!(times(blame.blame(session, "noise", start)), None, "it is gone");
    }
}
