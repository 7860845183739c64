//! The gate before every ear: which frames of which spurt pass, each once.
//!
//! Every view has one, in the gateway (before the fan-out) and in the unit (before the jitter buffer). Whatever the
//! arbitration believes, a gate lets one spurt pass at a time: spurt numbers only rise, and from the first frame of a newer
//! spurt on, the older ones are silent. The tail of an older one may pass until then (design 3, rule 6), also of a voice that goes
//! on under another number: borders that heal renumber it, each for itself.

use wire::{Seq, Spurt};

/// How many frames behind the newest are told apart from duplicates.
const WINDOW: u16 = 64;
/// How many older spurts may still pass; one more closes the oldest.
const TAILS_MAX: usize = 16;

/// What a gate says about a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admit {
    /// It passes.
    Pass,
    /// It passes, and begins a spurt that no message has announced yet.
    Begins,
    /// Seen before.
    Duplicate,
    /// Of a spurt that is over, or too far behind.
    Stale,
}

/// One spurt in the gate.
#[derive(Clone, Copy, Debug)]
struct Slot {
    spurt: Spurt,
    newest: Option<u16>,
    /// Bit n: the frame n behind the newest was seen.
    seen: u64,
}

impl Slot {
    fn new(spurt: Spurt) -> Self {
        Self { spurt, newest: None, seen: 0 }
    }

    fn admit(&mut self, seq: Seq) -> Admit {
        let Some(newest) = self.newest else {
            (self.newest, self.seen) = (Some(seq.0), 1);
            return Admit::Pass;
        };
        if seq.0 > newest {
            let step = u32::from(seq.0 - newest);
            self.seen = self.seen.checked_shl(step).unwrap_or(0) | 1;
            self.newest = Some(seq.0);
            return Admit::Pass;
        }
        let behind = newest - seq.0;
        if behind >= WINDOW {
            return Admit::Stale;
        }
        let bit = 1u64 << behind;
        if self.seen & bit != 0 {
            return Admit::Duplicate;
        }
        self.seen |= bit;
        Admit::Pass
    }
}

/// The gate of one view.
#[derive(Clone, Debug)]
pub struct Gate {
    current: Slot,
    /// The spurts before, oldest first, while their tails may pass.
    before: Vec<Slot>,
    /// Whether frames of the current spurt may pass.
    open: bool,
    /// The newest number opened or known to be over; a late frame of it or of an older one begins nothing.
    known: Spurt,
}

impl Gate {
    /// A closed gate; only spurts after the base line will ever pass.
    pub fn new(baseline: Spurt) -> Self {
        Self { current: Slot::new(baseline), before: Vec::new(), open: false, known: baseline }
    }

    /// The newest spurt, whether it may pass or not.
    pub fn newest(&self) -> Spurt {
        self.current.spurt
    }

    /// Opens for a spurt that the source of truth announced. Older ones than the newest are ignored.
    pub fn open(&mut self, spurt: Spurt) {
        if spurt == self.current.spurt {
            self.open = true;
        } else if spurt.is_after(self.current.spurt) {
            if !self.open {
                self.before.clear();
            } else if self.before.len() == TAILS_MAX {
                self.before.remove(0);
            }
            self.before.extend(self.open.then_some(self.current));
            self.current = Slot::new(spurt);
            self.open = true;
            self.know(spurt);
        }
    }

    /// Numbers go on from here: nothing before it begins any more. The tail of what was open may still pass.
    pub fn advance(&mut self, to: Spurt) {
        if to.is_after(self.current.spurt) {
            self.open(to);
            self.open = false;
        }
    }

    /// Closes the spurt, now: no further frame of it passes (lost, cut, revoked without grace).
    pub fn cut(&mut self, spurt: Spurt) {
        if self.current.spurt == spurt {
            self.open = false;
        }
        self.before.retain(|slot| slot.spurt != spurt);
    }

    /// The source of truth says that the spurt is over. Its tail still passes if it was heard here; if it never was, because
    /// another one was heard instead, it does not begin any more.
    pub fn ended(&mut self, spurt: Spurt) {
        self.know(spurt);
    }

    fn know(&mut self, spurt: Spurt) {
        if spurt.is_after(self.known) {
            self.known = spurt;
        }
    }

    /// Closes everything that is open, now.
    pub fn cut_all(&mut self) {
        self.open = false;
        self.before.clear();
    }

    /// Judges a frame of the view's own arbiter or of an announced spurt; an unannounced newer spurt does not pass.
    pub fn admit(&mut self, spurt: Spurt, seq: Seq) -> Admit {
        if spurt == self.current.spurt && self.open {
            let verdict = self.current.admit(seq);
            if verdict == Admit::Pass {
                self.before.clear();
            }
            return verdict;
        }
        let Some(place) = self.before.iter().position(|slot| slot.spurt == spurt) else { return Admit::Stale };
        let verdict = self.before.get_mut(place).map_or(Admit::Stale, |slot| slot.admit(seq));
        if verdict == Admit::Pass {
            self.before.drain(..place);
        }
        verdict
    }

    /// Judges a frame from the view's source of truth: a higher number stands in for a message that is late or lost.
    pub fn admit_from_source(&mut self, spurt: Spurt, seq: Seq) -> Admit {
        let begins = spurt.is_after(self.known);
        if begins {
            self.open(spurt);
        }
        let verdict = self.admit(spurt, seq);
        if begins && verdict == Admit::Pass { Admit::Begins } else { verdict }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spurt(counter: u32) -> Spurt {
        Spurt::from_bits(0x0100_0000 | counter)
    }

    #[test]
    fn each_frame_passes_once_in_any_order() {
        let mut gate = Gate::new(spurt(0));
        gate.open(spurt(1));
        let verdicts: Vec<Admit> = [0u16, 2, 1, 2, 1, 0, 70, 6].into_iter().map(|s| gate.admit(spurt(1), Seq(s))).collect();
        use Admit::{Duplicate, Pass, Stale};
        assert_eq!(verdicts, [Pass, Pass, Pass, Duplicate, Duplicate, Duplicate, Pass, Stale]);
    }

    #[test]
    fn the_tail_passes_until_the_next_spurt_is_heard() {
        let mut gate = Gate::new(spurt(0));
        gate.open(spurt(1));
        assert_eq!(gate.admit(spurt(1), Seq(0)), Admit::Pass);
        gate.open(spurt(2));
        assert_eq!(gate.admit(spurt(1), Seq(1)), Admit::Pass);
        assert_eq!(gate.admit(spurt(2), Seq(0)), Admit::Pass);
        assert_eq!(gate.admit(spurt(1), Seq(2)), Admit::Stale);
    }

    #[test]
    fn a_voice_renumbered_twice_passes_under_each_number_and_never_under_an_older_one_again() {
        let mut gate = Gate::new(spurt(0));
        gate.open(spurt(1));
        assert_eq!(gate.admit(spurt(1), Seq(0)), Admit::Pass);
        gate.open(spurt(2));
        gate.open(spurt(3));
        assert_eq!(gate.admit(spurt(1), Seq(1)), Admit::Pass);
        assert_eq!(gate.admit(spurt(2), Seq(0)), Admit::Pass);
        assert_eq!(gate.admit(spurt(1), Seq(2)), Admit::Stale);
        assert_eq!(gate.admit(spurt(2), Seq(0)), Admit::Duplicate);
        assert_eq!(gate.admit(spurt(3), Seq(0)), Admit::Pass);
        assert_eq!(gate.admit(spurt(2), Seq(1)), Admit::Stale);
    }

    #[test]
    fn only_the_last_tails_are_kept() {
        let mut gate = Gate::new(spurt(0));
        let newest = 2 + u32::try_from(TAILS_MAX).unwrap();
        for number in 1..=newest {
            gate.open(spurt(number));
        }
        assert_eq!(gate.admit(spurt(1), Seq(0)), Admit::Stale);
        assert_eq!(gate.admit(spurt(2), Seq(0)), Admit::Pass);
    }

    #[test]
    fn only_the_source_of_truth_may_open_by_voice() {
        let mut gate = Gate::new(spurt(5));
        assert_eq!(gate.admit(spurt(6), Seq(0)), Admit::Stale);
        assert_eq!(gate.admit_from_source(spurt(6), Seq(0)), Admit::Begins);
        assert_eq!(gate.admit_from_source(spurt(6), Seq(1)), Admit::Pass);
        assert_eq!(gate.admit_from_source(spurt(5), Seq(9)), Admit::Stale);
    }

    #[test]
    fn a_spurt_that_is_over_does_not_begin_any_more() {
        let mut gate = Gate::new(spurt(0));
        gate.ended(spurt(2));
        gate.ended(spurt(1));
        for late in [1, 2] {
            assert_eq!(gate.admit_from_source(spurt(late), Seq(0)), Admit::Stale);
        }
        assert_eq!(gate.admit_from_source(spurt(3), Seq(0)), Admit::Begins);
        gate.ended(spurt(3));
        assert_eq!(gate.admit_from_source(spurt(3), Seq(1)), Admit::Pass, "the tail of what was heard");
    }

    #[test]
    fn what_is_known_keeps_pace_with_epochs_of_silence() {
        let mut gate = Gate::new(spurt(0));
        gate.ended(spurt(1));
        for epoch in (40..=250).step_by(70) {
            gate.advance(Spurt::start_of(wire::Epoch(epoch)));
        }
        assert_eq!(gate.admit_from_source(Spurt::start_of(wire::Epoch(250)).next(), Seq(0)), Admit::Begins);
    }

    #[test]
    fn a_cut_spurt_stays_silent() {
        let mut gate = Gate::new(spurt(0));
        gate.open(spurt(1));
        gate.cut(spurt(1));
        assert_eq!(gate.admit_from_source(spurt(1), Seq(3)), Admit::Stale);
        assert_eq!(gate.admit_from_source(spurt(2), Seq(0)), Admit::Begins);
    }
}
