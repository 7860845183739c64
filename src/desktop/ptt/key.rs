//! The keys that may talk: such as type no text, by their names, and by the numbers that X11 gives them.
//!
//! Keys that only pedals and headsets send talk wherever the focus is; those that also serve other programs only in the window.

/// A key that may talk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TalkKey(usize);

/// (name, X11 keysym).
const KEYS: [(&str, u32); 20] = [
    ("ControlRight", 0xffe4),
    ("AltRight", 0xffea),
    ("Insert", 0xff63),
    ("F7", 0xffc4),
    ("F8", 0xffc5),
    ("F9", 0xffc6),
    ("F12", 0xffc9),
    ("F13", 0xffca),
    ("F14", 0xffcb),
    ("F15", 0xffcc),
    ("F16", 0xffcd),
    ("F17", 0xffce),
    ("F18", 0xffcf),
    ("F19", 0xffd0),
    ("F20", 0xffd1),
    ("F21", 0xffd2),
    ("F22", 0xffd3),
    ("F23", 0xffd4),
    ("F24", 0xffd5),
    ("F6", 0xffc3),
];

/// From here on keys are those of pedals and headsets.
const FIRST_OF_PEDALS: u32 = 0xffca;
const LAST_OF_PEDALS: u32 = 0xffd5;

impl TalkKey {
    /// Every key that may talk.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..KEYS.len()).map(Self)
    }

    /// The key of that name.
    pub fn named(name: &str) -> Option<Self> {
        KEYS.iter().position(|(known, _)| *known == name).map(Self)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        KEYS.get(self.0).map_or("", |(name, _)| name)
    }

    /// Its number in X11.
    pub fn keysym(self) -> u32 {
        KEYS.get(self.0).map_or(0, |(_, keysym)| *keysym)
    }

    /// Whether it talks wherever the focus is, where the desktop lets it.
    pub fn is_global(self) -> bool {
        (FIRST_OF_PEDALS..=LAST_OF_PEDALS).contains(&self.keysym())
    }
}

/// The keys that talk: the chosen one, else the right control key; and always those of pedals.
pub fn talks(key: TalkKey, chosen: Option<TalkKey>) -> bool {
    key.is_global() || chosen.map_or_else(|| key.name() == "ControlRight", |chosen| chosen == key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_all_different_and_lead_back() {
        for key in TalkKey::all() {
            assert_eq!(TalkKey::named(key.name()), Some(key));
            assert_eq!(TalkKey::all().filter(|other| other.keysym() == key.keysym()).count(), 1, "{}", key.name());
        }
        assert_eq!(TalkKey::named("A"), None, "it types text");
    }

    #[test]
    fn pedals_always_talk_and_the_right_control_key_only_until_another_is_chosen() {
        let key = |name| TalkKey::named(name).unwrap();
        assert!(talks(key("F13"), None) && talks(key("F24"), Some(key("F8"))));
        assert!(talks(key("ControlRight"), None) && !talks(key("ControlRight"), Some(key("F8"))));
        assert!(talks(key("F8"), Some(key("F8"))) && !talks(key("F8"), None));
    }
}
