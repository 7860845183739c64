//! What a terminal remembers from one start to the next: its configuration, its sound devices, its key.
//!
//! Lines of `name = value` in the user's configuration folder. A line that nobody understands is left out, for a terminal
//! without its preferences still talks.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use talkbridge_desktop::ptt::TalkKey;
use talkbridge_desktop::sound::Choice;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Prefs {
    pub(crate) config: Option<PathBuf>,
    pub(crate) choice: Choice,
    pub(crate) key: Option<TalkKey>,
}

/// Where they are kept; `None` for a user without a home.
fn place() -> Option<PathBuf> {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".config"));
    let folder = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).or_else(home)?;
    Some(folder.join("talkbridge-ptt").join("settings"))
}

impl Prefs {
    /// Those of the last time, or none.
    pub(crate) fn load() -> Self {
        place().and_then(|place| fs::read_to_string(place).ok()).map_or_else(Self::default, |text| Self::read(&text))
    }

    /// Keeps them. They are written beside the old ones and take their place whole.
    pub(crate) fn save(&self) -> io::Result<()> {
        let place = place().ok_or_else(|| io::Error::other("neither XDG_CONFIG_HOME nor HOME is set"))?;
        fs::create_dir_all(place.parent().unwrap_or_else(|| Path::new("/")))?;
        let beside = place.with_extension("new");
        fs::write(&beside, self.write())?;
        fs::rename(&beside, &place)
    }

    fn read(text: &str) -> Self {
        let mut prefs = Self::default();
        for (name, value) in text.lines().filter_map(|line| line.split_once(" = ")) {
            match name {
                "config" => prefs.config = Some(value.into()),
                "microphone" => prefs.choice.microphone = Some(value.into()),
                "loudspeaker" => prefs.choice.loudspeaker = Some(value.into()),
                "key" => prefs.key = TalkKey::named(value),
                _ => tracing::warn!(name, "a preference that is not known"),
            }
        }
        prefs
    }

    fn write(&self) -> String {
        let config = self.config.as_ref().map(|path| path.display().to_string());
        let lines = [
            ("config", config.as_deref()),
            ("microphone", self.choice.microphone.as_deref()),
            ("loudspeaker", self.choice.loudspeaker.as_deref()),
            ("key", self.key.map(TalkKey::name)),
        ];
        lines.into_iter().filter_map(|(name, value)| Some(format!("{name} = {}\n", value?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_what_is_read_and_an_unknown_line_costs_nothing() {
        let prefs = Prefs {
            config: Some("/etc/talkbridge/unit.toml".into()),
            choice: Choice { microphone: Some("Headset = best".into()), loudspeaker: None },
            key: TalkKey::named("F8"),
        };
        assert_eq!(Prefs::read(&prefs.write()), prefs);
        assert_eq!(Prefs::read(&format!("colour = blue\nnonsense\n{}key = A\n", prefs.write())), Prefs { key: None, ..prefs });
        assert_eq!(Prefs::read(""), Prefs::default());
    }
}
