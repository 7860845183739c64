//! What the window says, in the user's language: one Fluent catalogue per language, all with the same keys and variables.
//!
//! A catalogue that lacks a key fails the tests; in the field the key itself is shown, which is better than nothing.

use fluent_bundle::{FluentArgs, FluentBundle, FluentResource, FluentValue};
use unic_langid::LanguageIdentifier;
use wire::{DenyCause, Reason, RevokeCause};

/// A language with a complete catalogue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// English.
    #[default]
    English,
    /// Dutch.
    Dutch,
}

impl Language {
    /// Every language.
    pub const ALL: [Self; 2] = [Self::English, Self::Dutch];

    const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Dutch => "nl",
        }
    }

    const fn catalogue(self) -> &'static str {
        match self {
            Self::English => include_str!("en.ftl"),
            Self::Dutch => include_str!("nl.ftl"),
        }
    }

    /// The language of a locale as the environment names it, e.g. `nl_BE.UTF-8`; English if there is no catalogue.
    pub fn of_locale(locale: &str) -> Self {
        Self::ALL.into_iter().find(|language| locale.split(['_', '-', '.']).next() == Some(language.tag())).unwrap_or_default()
    }
}

/// A catalogue, ready to speak.
pub struct Words {
    language: Language,
    bundle: FluentBundle<FluentResource>,
}

impl std::fmt::Debug for Words {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Words").field("language", &self.language).finish_non_exhaustive()
    }
}

impl Words {
    /// The catalogue of a language.
    pub fn new(language: Language) -> Self {
        let tag: LanguageIdentifier = language.tag().parse().unwrap_or_default();
        let mut bundle = FluentBundle::new(vec![tag]);
        // The marks around variables would be drawn as boxes.
        bundle.set_use_isolating(false);
        let resource = match FluentResource::try_new(language.catalogue().to_owned()) {
            Ok(resource) | Err((resource, _)) => resource,
        };
        // A key said twice keeps its first text; the tests find it.
        bundle.add_resource(resource).ok();
        Self { language, bundle }
    }

    /// Which language it speaks.
    pub fn language(&self) -> Language {
        self.language
    }

    /// A text without variables.
    pub fn say(&self, key: &str) -> String {
        self.format(key, None)
    }

    /// A text with one variable.
    pub fn say_with<'a>(&self, key: &str, name: &'a str, value: impl Into<FluentValue<'a>>) -> String {
        let mut arguments = FluentArgs::new();
        arguments.set(name, value);
        self.format(key, Some(&arguments))
    }

    /// Why a request was refused.
    pub fn denied(&self, cause: DenyCause) -> String {
        self.say(&format!("deny-{cause}"))
    }

    /// Why a talk was cut off.
    pub fn revoked(&self, cause: RevokeCause) -> String {
        self.say(&format!("revoke-{cause}"))
    }

    /// Why there is no session.
    pub fn reason(&self, reason: Reason) -> String {
        self.say(&format!("reason-{reason}"))
    }

    fn format(&self, key: &str, arguments: Option<&FluentArgs<'_>>) -> String {
        let pattern = self.bundle.get_message(key).and_then(|message| message.value());
        let mut errors = Vec::new();
        let text = pattern.map(|pattern| self.bundle.format_pattern(pattern, arguments, &mut errors).into_owned());
        debug_assert!(text.is_some() && errors.is_empty(), "{key} in {:?}: {errors:?}", self.language);
        text.unwrap_or_else(|| key.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::tones::Tone;

    /// Keys with their variables, as written.
    fn keys(language: Language) -> BTreeMap<&'static str, BTreeSet<&'static str>> {
        let mut keys = BTreeMap::new();
        for line in language.catalogue().lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
            let (key, text) = line.split_once(" = ").unwrap();
            let variables = text.split("{ $").skip(1).map(|rest| rest.split_once(" }").unwrap().0).collect();
            assert_eq!(keys.insert(key, variables), None, "{key} is said twice in {language:?}");
        }
        keys
    }

    #[test]
    fn every_catalogue_has_the_same_keys_and_variables_and_parses() {
        let english = keys(Language::English);
        for language in Language::ALL {
            FluentResource::try_new(language.catalogue().to_owned()).unwrap();
            assert_eq!(keys(language), english, "{language:?}");
        }
    }

    #[test]
    fn every_cause_reason_and_tone_has_its_words() {
        for language in Language::ALL {
            let words = Words::new(language);
            let causes = DenyCause::ALL.iter().map(|cause| words.denied(*cause));
            let revokes = RevokeCause::ALL.iter().map(|cause| words.revoked(*cause));
            let reasons = Reason::ALL.iter().map(|reason| words.reason(*reason));
            let tones = Tone::ALL.iter().map(|tone| words.say_with("tone-heard", "meaning", words.say(tone.key())));
            assert!(causes.chain(revokes).chain(reasons).chain(tones).all(|text| text.chars().count() > 3));
        }
    }

    #[test]
    fn the_environments_locale_chooses_the_language() {
        assert_eq!(Language::of_locale("nl_BE.UTF-8"), Language::Dutch);
        assert_eq!(Language::of_locale("nl"), Language::Dutch);
        assert_eq!(Language::of_locale("C.UTF-8"), Language::English);
        assert_eq!(Words::new(Language::Dutch).say_with("face-queued", "position", 2), "IN DE RIJ 2");
    }
}
