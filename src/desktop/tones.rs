//! What the terminal says without words, in packs, so that an agency's terminals sound like the radios its people know.
//!
//! The shapes are those of hand-portable radios: two high chirps for the permit, a steady low tone for a refusal. Every tone
//! has a name in the catalogues and is explained on the screen the first time it sounds.

use std::time::Duration;

use media::tone::sequence;

/// An occasion for a tone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tone {
    /// Talk: all sides hear.
    Permit,
    /// Talk: only the own side hears.
    PermitOwnSide,
    /// Refused or cut off: sounds until the key is released.
    Denied,
    /// The request waits.
    Queued,
    /// The talk limit is near.
    LimitNear,
    /// The talker, or the session with the gateway, is lost.
    Lost,
    /// The session is back.
    Back,
    /// The own emergency was sent.
    EmergencySent,
    /// Somebody is in emergency.
    Emergency,
}

impl Tone {
    /// Every tone.
    pub const ALL: [Self; 9] = [
        Self::Permit,
        Self::PermitOwnSide,
        Self::Denied,
        Self::Queued,
        Self::LimitNear,
        Self::Lost,
        Self::Back,
        Self::EmergencySent,
        Self::Emergency,
    ];

    /// The key of its explanation in the catalogues.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Permit => "tone-permit",
            Self::PermitOwnSide => "tone-permit-own-side",
            Self::Denied => "tone-denied",
            Self::Queued => "tone-queued",
            Self::LimitNear => "tone-limit-near",
            Self::Lost => "tone-lost",
            Self::Back => "tone-back",
            Self::EmergencySent => "tone-emergency-sent",
            Self::Emergency => "tone-emergency",
        }
    }
}

/// A set of tones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pack {
    /// Between 400 and 1,200 Hz.
    #[default]
    Standard,
    /// An octave lower, for loud engines and for ears that have lost the high notes.
    Low,
}

/// (Hz, milliseconds); 0 Hz is a pause.
type Shape = &'static [(u32, u32)];

impl Pack {
    /// Every pack.
    pub const ALL: [Self; 2] = [Self::Standard, Self::Low];

    const fn shape(tone: Tone) -> Shape {
        match tone {
            Tone::Permit => &[(1_200, 55), (0, 30), (1_200, 55)],
            Tone::PermitOwnSide => &[(1_200, 55), (0, 30), (600, 55)],
            Tone::Denied => &[(400, 400)],
            Tone::Queued => &[(800, 30)],
            Tone::LimitNear => &[(500, 80)],
            Tone::Lost => &[(800, 100), (0, 40), (630, 100), (0, 40), (500, 100)],
            Tone::Back => &[(500, 100), (0, 40), (630, 100), (0, 40), (800, 100)],
            Tone::EmergencySent => &[(1_000, 600)],
            Tone::Emergency => &[(1_000, 250), (700, 250), (1_000, 250), (700, 250), (1_000, 250), (700, 250), (1_000, 250), (700, 250)],
        }
    }

    /// The samples of a tone, 16 kHz mono.
    pub fn samples(self, tone: Tone) -> Vec<i16> {
        let divisor = match self {
            Self::Standard => 1,
            Self::Low => 2,
        };
        sequence(&Self::shape(tone).iter().map(|(hz, ms)| (hz / divisor, *ms)).collect::<Vec<_>>())
    }

    /// How long a tone lasts, the same in every pack: it decides when the microphone opens.
    pub fn length(tone: Tone) -> Duration {
        Duration::from_millis(Self::shape(tone).iter().map(|(_, ms)| u64::from(*ms)).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tones_of_a_pack_differ_and_none_is_louder_than_a_quarter_of_full_scale() {
        for pack in Pack::ALL {
            let all = Tone::ALL.map(|tone| pack.samples(tone));
            for (at, samples) in all.iter().enumerate() {
                let peak = samples.iter().map(|sample| sample.unsigned_abs()).max().unwrap();
                assert!((8_000..=8_192).contains(&peak), "{peak} of {:?}", Tone::ALL[at]);
                assert!(!all[..at].contains(samples), "{:?} sounds like another", Tone::ALL[at]);
                assert_eq!(samples.len(), usize::try_from(Pack::length(Tone::ALL[at]).as_millis()).unwrap() * 16);
            }
        }
    }

    #[test]
    fn nobody_waits_long_for_the_permit() {
        for tone in [Tone::Permit, Tone::PermitOwnSide] {
            assert!(Pack::length(tone) <= Duration::from_millis(150));
        }
    }
}
