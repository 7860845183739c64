//! Texts for people: aliases, agencies, titles and names of agreements. One bound for all of them, in characters as
//! certificates have it (RFC 5280, upper bounds of O and CN), so that no script is worse off than another.
//!
//! Such a text never ends a session: what no screen could show is left out, both when it is written and when it is read.

/// Longest text for people, in characters.
pub const DISPLAY_MAX_CHARS: usize = 64;
/// The same in bytes of UTF-8: what fits into the characters always fits into these.
pub const DISPLAY_MAX_BYTES: usize = 4 * DISPLAY_MAX_CHARS;

/// A text made fit for a screen and a log: no control characters, cut after [`DISPLAY_MAX_CHARS`].
#[must_use]
pub fn clamp_display(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(DISPLAY_MAX_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters_and_loses_what_no_screen_shows() {
        assert_eq!(clamp_display("Maas 12"), "Maas 12");
        assert_eq!(clamp_display("a\u{1b}[2Jb\n"), "a[2Jb");
        for wide in ["\u{e9}", "\u{20ac}", "\u{1f692}"] {
            let longest = wide.repeat(DISPLAY_MAX_CHARS);
            assert!(longest.len() <= DISPLAY_MAX_BYTES);
            assert_eq!(clamp_display(&longest), longest);
            assert_eq!(clamp_display(&wide.repeat(DISPLAY_MAX_CHARS + 1)), longest);
        }
    }
}
