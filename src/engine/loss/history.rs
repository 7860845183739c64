//! The sender of a hop keeps the last frames of the spurt under way, and puts earlier ones into the next.

use std::collections::VecDeque;

use bytes::Bytes;
use wire::datagram::{Repeat, Voice};
use wire::{Seq, Spurt};

use super::Repeats;

/// Frames that are kept: the newest, and as far back as a repeat reaches.
const KEPT: usize = 5;

/// The newest frames of one spurt, in the order in which they were sent; the oldest goes for the next.
#[derive(Clone, Debug, Default)]
pub struct History {
    spurt: Option<Spurt>,
    frames: VecDeque<(Seq, Bytes)>,
}

impl History {
    /// A frame goes out.
    pub fn push(&mut self, voice: &Voice) {
        if self.spurt != Some(voice.spurt) {
            self.spurt = Some(voice.spurt);
            self.frames.clear();
        }
        if self.frames.len() == KEPT {
            self.frames.pop_front();
        }
        self.frames.push_back((voice.seq, voice.payload.clone()));
    }

    /// The frame with what it is to repeat of those before it; `None` if that is nothing.
    pub fn repeating(&self, voice: &Voice, repeats: Repeats) -> Option<Voice> {
        if self.spurt != Some(voice.spurt) {
            return None;
        }
        let repeats: Vec<Repeat> = repeats
            .backs()
            .iter()
            .filter_map(|back| {
                let seq = voice.seq.0.checked_sub((*back).into())?;
                let (_, payload) = self.frames.iter().find(|(kept, _)| kept.0 == seq)?;
                Some(Repeat { back: *back, payload: payload.clone() })
            })
            .collect();
        (!repeats.is_empty()).then(|| Voice { repeats, ..voice.clone() })
    }
}
