//! One source of push-to-talk as a table: where it stands, what can happen to it, and what follows.
//!
//! A source that was ended by force is spent: it presses again only after it was seen released, so that nothing that comes
//! back (the link, the screen, a device) opens the microphone by itself.

/// Where presses come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// A key of the window, while it has the focus.
    Key,
    /// The window's button, by pointer or assistive technology.
    Button,
    /// A key that the desktop hands on wherever the focus is.
    Desktop,
    /// `talkbridge-ptt ptt press`, through the local socket.
    Socket,
    /// The emergency, which opens the microphone by itself.
    HotMicrophone,
}

impl Source {
    /// Every source.
    pub const ALL: [Self; 5] = [Self::Key, Self::Button, Self::Desktop, Self::Socket, Self::HotMicrophone];

    /// Whether it lives on the window's focus: without it no release would ever come.
    pub const fn needs_focus(self) -> bool {
        matches!(self, Self::Key | Self::Button)
    }
}

/// Where a source stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// It cannot press: not there, not allowed, or lost.
    Gone,
    /// Ready.
    Up,
    /// It presses.
    Held,
    /// It presses still, but was ended by force.
    Spent,
}

/// What can happen to a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// It starts, or starts anew.
    Appear,
    /// It presses. Repeated while held by most keyboards.
    Press,
    /// It releases.
    Release,
    /// It is lost.
    Vanish,
    /// Every press ends by force.
    End,
}

/// Decides; `None` means that nothing changes.
pub(super) const fn decide(hold: Hold, event: Event) -> Option<Hold> {
    match (hold, event) {
        // Whatever it held before it started anew, its release went with it.
        (Hold::Gone | Hold::Held | Hold::Spent, Event::Appear) | (Hold::Held | Hold::Spent, Event::Release) => Some(Hold::Up),
        (Hold::Up, Event::Press) => Some(Hold::Held),
        (Hold::Held, Event::End) => Some(Hold::Spent),
        (Hold::Up | Hold::Held | Hold::Spent, Event::Vanish) => Some(Hold::Gone),

        (Hold::Gone, Event::Press | Event::Release | Event::Vanish | Event::End)
        | (Hold::Up, Event::Appear | Event::Release | Event::End)
        | (Hold::Held, Event::Press)
        | (Hold::Spent, Event::Press | Event::End) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    const HOLDS: [Hold; 4] = [Hold::Gone, Hold::Up, Hold::Held, Hold::Spent];
    const EVENTS: [Event; 5] = [Event::Appear, Event::Press, Event::Release, Event::Vanish, Event::End];

    #[test]
    fn the_table() {
        let mut text = String::new();
        for hold in HOLDS {
            for event in EVENTS {
                let outcome = decide(hold, event).map_or_else(|| "-".into(), |to| format!("{to:?}"));
                writeln!(text, "{:6} {:8} {outcome}", format!("{hold:?}"), format!("{event:?}")).unwrap();
            }
        }
        insta::assert_snapshot!(text);
    }

    #[test]
    fn only_a_press_of_a_released_source_holds() {
        for hold in HOLDS {
            for event in EVENTS {
                let holds = decide(hold, event) == Some(Hold::Held);
                assert_eq!(holds, (hold, event) == (Hold::Up, Event::Press), "{hold:?} {event:?}");
            }
        }
    }
}
