//! Push-to-talk: many sources, one key. The key is down while any live source holds it and nothing forbids it.
//!
//! In the data path: before the request for the floor. Nothing here says whether the microphone is open: that follows, frame
//! by frame, from this key and the grant ([`crate::model::Model::microphone`]), so that no flag can be left standing.

mod key;
mod table;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

pub use key::{TalkKey, talks};
use table::{Event, decide};
pub use table::{Hold, Source};

/// A key that is held longer than this is taken for stuck: the longest talk limit of a gateway, and a little.
pub const HOLD_MAX: Duration = Duration::from_secs(65);

/// What forbids to talk, whoever presses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Block {
    /// No session with a gateway.
    NoLink,
    /// No microphone.
    NoMicrophone,
    /// The screen is locked.
    Locked,
    /// The machine sleeps or is about to.
    Asleep,
}

/// Why the key went up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Whoever pressed it released it.
    Released,
    /// The source that pressed it was lost.
    Lost(Source),
    /// Talking is forbidden.
    Blocked(Block),
    /// It was held for too long.
    TooLong,
}

/// What became of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It went down.
    Down,
    /// It went up.
    Up(Why),
    /// It was pressed in vain; nothing will come of it until it is released and pressed again.
    Refused(Block),
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Arbiter {
    sources: Sources,
    blocks: BTreeSet<Block>,
    down_since: Option<Instant>,
}

/// Where every source stands, in the order of [`Source::ALL`].
#[derive(Clone, Debug)]
struct Sources([(Source, Hold); Source::ALL.len()]);

impl Default for Sources {
    fn default() -> Self {
        Self(Source::ALL.map(|source| (source, Hold::Gone)))
    }
}

impl Sources {
    fn any(&self, hold: Hold) -> bool {
        self.0.iter().any(|(_, at)| *at == hold)
    }

    fn apply(&mut self, which: impl Fn(Source) -> bool, event: Event) {
        for (_, hold) in self.0.iter_mut().filter(|(source, _)| which(*source)) {
            *hold = decide(*hold, event).unwrap_or(*hold);
        }
    }
}

impl Arbiter {
    /// Whether the key is down.
    pub fn is_down(&self) -> bool {
        self.down_since.is_some()
    }

    /// Whether somebody still presses after the key was ended or refused.
    pub fn is_spent(&self) -> bool {
        self.sources.any(Hold::Spent)
    }

    /// Whether the emergency holds it.
    pub fn is_hot(&self) -> bool {
        self.sources().any(|each| each == (Source::HotMicrophone, Hold::Held))
    }

    /// Where each source stands.
    pub fn sources(&self) -> impl Iterator<Item = (Source, Hold)> {
        self.sources.0.into_iter()
    }

    /// What forbids to talk, the most telling first.
    pub fn block(&self) -> Option<Block> {
        self.blocks.first().copied()
    }

    /// A source is ready (again).
    pub fn appear(&mut self, source: Source, now: Instant) -> Option<Change> {
        self.apply(source, Event::Appear, Why::Lost(source), now)
    }

    /// A source is lost.
    pub fn vanish(&mut self, source: Source, now: Instant) -> Option<Change> {
        self.apply(source, Event::Vanish, Why::Lost(source), now)
    }

    /// A source presses. Forbidden to talk, it is spent at once.
    pub fn press(&mut self, source: Source, now: Instant) -> Option<Change> {
        let Some(block) = self.block() else { return self.apply(source, Event::Press, Why::Released, now) };
        let told = self.is_spent();
        self.sources.apply(|each| each == source, Event::Press);
        self.sources.apply(|_| true, Event::End);
        (self.is_spent() && !told).then_some(Change::Refused(block))
    }

    /// A source releases.
    pub fn release(&mut self, source: Source, now: Instant) -> Option<Change> {
        self.apply(source, Event::Release, Why::Released, now)
    }

    /// Whatever pressed is released by force: it must be seen released before it presses again.
    pub fn forbid(&mut self, block: Block, now: Instant) -> Option<Change> {
        self.blocks.insert(block);
        self.sources.apply(|_| true, Event::End);
        self.settle(Why::Blocked(block), now)
    }

    /// That reason is over.
    pub fn allow(&mut self, block: Block) {
        self.blocks.remove(&block);
    }

    /// When the key would be taken for stuck.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.down_since.map(|since| since + HOLD_MAX)
    }

    /// Ends a key that is stuck.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<Change> {
        self.poll_timeout().filter(|at| *at <= now)?;
        self.sources.apply(|_| true, Event::End);
        self.settle(Why::TooLong, now)
    }

    fn apply(&mut self, source: Source, event: Event, why: Why, now: Instant) -> Option<Change> {
        self.sources.apply(|each| each == source, event);
        self.settle(why, now)
    }

    /// The key follows its sources: the one place where it moves.
    fn settle(&mut self, why: Why, now: Instant) -> Option<Change> {
        match (self.down_since.is_some(), self.sources.any(Hold::Held)) {
            (false, true) => {
                self.down_since = Some(now);
                Some(Change::Down)
            }
            (true, false) => {
                self.down_since = None;
                Some(Change::Up(why))
            }
            (true, true) | (false, false) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready(now: Instant) -> Arbiter {
        let mut arbiter = Arbiter::default();
        for source in Source::ALL {
            assert_eq!(arbiter.appear(source, now), None);
        }
        arbiter
    }

    #[test]
    fn every_source_lost_while_it_presses_lets_the_key_go() {
        let now = Instant::now();
        for source in Source::ALL {
            let mut arbiter = ready(now);
            assert_eq!(arbiter.press(source, now), Some(Change::Down));
            assert_eq!(arbiter.press(source, now), None, "the keyboard repeats");
            assert_eq!(arbiter.vanish(source, now), Some(Change::Up(Why::Lost(source))));
            assert_eq!((arbiter.press(source, now), arbiter.is_down()), (None, false), "what is gone cannot press");
            arbiter.appear(source, now);
            assert_eq!(arbiter.press(source, now), Some(Change::Down));
            assert_eq!(arbiter.appear(source, now), Some(Change::Up(Why::Lost(source))), "started anew, its release is lost");
        }
    }

    #[test]
    fn whatever_forbids_to_talk_ends_the_key_and_its_end_does_not_press_it() {
        let now = Instant::now();
        for block in [Block::NoLink, Block::NoMicrophone, Block::Locked, Block::Asleep] {
            for source in Source::ALL {
                let mut arbiter = ready(now);
                arbiter.press(source, now);
                assert_eq!(arbiter.forbid(block, now), Some(Change::Up(Why::Blocked(block))));
                arbiter.allow(block);
                assert_eq!((arbiter.press(source, now), arbiter.is_down()), (None, false), "{source:?} after {block:?}");
                assert_eq!(arbiter.release(source, now), None);
                assert_eq!(arbiter.press(source, now), Some(Change::Down));
            }
        }
    }

    #[test]
    fn a_press_in_vain_is_told_once_and_stays_in_vain_until_released() {
        let now = Instant::now();
        let mut arbiter = ready(now);
        arbiter.forbid(Block::NoLink, now);
        assert_eq!(arbiter.press(Source::Key, now), Some(Change::Refused(Block::NoLink)));
        assert_eq!(arbiter.press(Source::Key, now), None);
        assert_eq!((arbiter.is_down(), arbiter.is_spent()), (false, true));
        arbiter.allow(Block::NoLink);
        assert_eq!(arbiter.press(Source::Key, now), None);
        assert_eq!((arbiter.release(Source::Key, now), arbiter.is_spent()), (None, false));
        assert_eq!(arbiter.press(Source::Key, now), Some(Change::Down));
    }

    #[test]
    fn the_key_is_down_while_any_source_holds_it_but_not_for_ever() {
        let now = Instant::now();
        let mut arbiter = ready(now);
        assert_eq!(arbiter.press(Source::Key, now), Some(Change::Down));
        assert_eq!(arbiter.press(Source::Socket, now), None);
        assert_eq!(arbiter.release(Source::Key, now), None);
        assert_eq!(arbiter.handle_timeout(now + HOLD_MAX - Duration::from_millis(1)), None);
        assert_eq!(arbiter.handle_timeout(now + HOLD_MAX), Some(Change::Up(Why::TooLong)));
        assert_eq!((arbiter.poll_timeout(), arbiter.is_spent()), (None, true));
        assert_eq!(arbiter.press(Source::Button, now), Some(Change::Down), "another source was never stuck");
    }
}
