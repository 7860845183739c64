//! The gate against a plain memory of what passed: nothing twice, never backwards, nothing of a spurt that was cut.

use std::collections::BTreeSet;

use engine::gate::{Admit, Gate};
use wire::{Seq, Spurt};

use super::{Script, trace};

/// Numbers near each other and near the wrap, so that few bytes make spurts meet.
const STARTS: [u32; 4] = [0x0000_0000, 0x07ff_fffe, 0x7fff_fffe, 0xffff_fffe];

#[derive(Debug)]
enum Op {
    Open(Spurt),
    Cut(Spurt),
    CutAll,
    Admit(Spurt, Seq),
    AdmitFromSource(Spurt, Seq),
}

impl Op {
    fn read(script: &mut Script<'_>, newest: Spurt) -> Self {
        let op = script.byte();
        // Mostly the newest and its neighbours; now and then any number at all.
        let spurt = match op >> 4 {
            0..=7 => newest,
            8..=11 => newest.next(),
            12 => Spurt::from_bits(newest.to_bits().wrapping_sub(1)),
            13 => newest.next().next(),
            _ => Spurt::from_bits(script.long()),
        };
        let seq = |script: &mut Script<'_>| Seq(if op & 8 == 0 { script.byte().into() } else { script.word() });
        match op & 7 {
            0 => Self::Open(spurt),
            1 => Self::Cut(spurt),
            2 => Self::CutAll,
            3 | 4 => Self::Admit(spurt, seq(script)),
            _ => Self::AdmitFromSource(spurt, seq(script)),
        }
    }
}

/// What has passed, of the newest spurt and the one before it.
struct Memory {
    newest: Spurt,
    passed: BTreeSet<(u32, u16)>,
    shut: BTreeSet<u32>,
    /// The newest spurt of which a frame passed.
    heard: Option<Spurt>,
}

impl Memory {
    /// Only a later number becomes the newest; what the one before the newest had heard is forgotten with it.
    fn follow(&mut self, gate: &Gate) {
        let (was, is) = (self.newest, gate.newest());
        if was == is {
            return;
        }
        assert!(is.is_after(was), "the gate went back from {was} to {is}");
        self.newest = is;
        let keep = [was.to_bits(), is.to_bits()];
        self.passed.retain(|(spurt, _)| *spurt == keep[0]);
        self.shut.retain(|spurt| *spurt == keep[0]);
        self.heard = self.heard.filter(|heard| *heard == was);
    }

    fn frame(&mut self, spurt: Spurt, seq: Seq, verdict: Admit, from_source: bool) {
        if matches!(verdict, Admit::Duplicate | Admit::Stale) {
            return;
        }
        assert!(verdict == Admit::Pass || from_source, "only the source of truth begins a spurt by voice");
        assert!(self.passed.insert((spurt.to_bits(), seq.0)), "{spurt} {seq:?} passes twice");
        assert!(!self.shut.contains(&spurt.to_bits()), "{spurt} passes after its cut");
        if self.heard == Some(self.newest) {
            assert_eq!(spurt, self.newest, "an older spurt after the newest was heard");
        }
        self.heard = Some(spurt);
    }
}

/// Drives a gate.
pub(crate) fn gate(data: &[u8]) {
    let mut script = Script::new(data);
    let base = Spurt::from_bits(*script.pick(&STARTS));
    let mut gate = Gate::new(base);
    let mut memory = Memory { newest: base, passed: BTreeSet::new(), shut: BTreeSet::new(), heard: None };
    while !script.is_over() {
        let op = Op::read(&mut script, gate.newest());
        trace(&op);
        match op {
            Op::Open(spurt) => {
                gate.open(spurt);
                memory.follow(&gate);
                // Said again after a cut, the newest is heard again.
                memory.shut.remove(&gate.newest().to_bits());
            }
            Op::Cut(spurt) => {
                gate.cut(spurt);
                memory.shut.insert(spurt.to_bits());
            }
            Op::CutAll => {
                gate.cut_all();
                memory.shut.extend(memory.passed.iter().map(|(spurt, _)| *spurt));
                memory.shut.insert(gate.newest().to_bits());
            }
            Op::Admit(spurt, seq) => {
                let verdict = gate.admit(spurt, seq);
                memory.follow(&gate);
                memory.frame(spurt, seq, verdict, false);
            }
            Op::AdmitFromSource(spurt, seq) => {
                let verdict = gate.admit_from_source(spurt, seq);
                memory.follow(&gate);
                memory.frame(spurt, seq, verdict, true);
            }
        }
    }
}
