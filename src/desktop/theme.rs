//! Colours of the window: dark, light, and a night theme that leaves the eyes adapted to the dark.
//!
//! Red is an emergency and nothing else; green receives, amber transmits. No state is told by colour alone: each has its
//! word, and its frame (see [`Look`]). Contrast is held by tests, not by eye.

/// Red, green, blue.
pub type Rgb = [u8; 3];

/// A theme.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Theme {
    /// For rooms.
    #[default]
    Dark,
    /// For daylight.
    Light,
    /// For vehicles at night.
    Night,
}

/// How a state looks. Its second cue beside the colour is its word, and for some the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Nobody talks: a thin outline.
    Free,
    /// Asked for.
    Wait,
    /// The own voice goes out: a thick frame.
    OnAir,
    /// Somebody else talks: an arrow inwards.
    Receiving,
    /// In the queue: a striped frame.
    Queued,
    /// Refused or cut off: crossed.
    Denied,
    /// An emergency: a triangle; blinks until acknowledged.
    Emergency,
    /// Something is missing: an exclamation mark.
    Degraded,
    /// No session: hatched.
    NotConnected,
}

impl Look {
    /// Every look.
    pub const ALL: [Self; 9] = [
        Self::Free,
        Self::Wait,
        Self::OnAir,
        Self::Receiving,
        Self::Queued,
        Self::Denied,
        Self::Emergency,
        Self::Degraded,
        Self::NotConnected,
    ];
}

/// Colours of one state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paint {
    /// The ground.
    pub fill: Rgb,
    /// Words and frame on it.
    pub text: Rgb,
}

/// Colours of everything that is no state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ground {
    /// Behind everything.
    pub window: Rgb,
    /// Panels.
    pub panel: Rgb,
    /// Controls.
    pub control: Rgb,
    /// Words.
    pub text: Rgb,
    /// Words that matter less.
    pub faint: Rgb,
    /// Frames of panels and controls, and the mark of the focus.
    pub outline: Rgb,
}

const BLACK: Rgb = [0, 0, 0];
const WHITE: Rgb = [255, 255, 255];

impl Theme {
    /// Every theme.
    pub const ALL: [Self; 3] = [Self::Dark, Self::Light, Self::Night];

    /// The key of its name in the catalogues.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Dark => "theme-dark",
            Self::Light => "theme-light",
            Self::Night => "theme-night",
        }
    }

    /// Colours of everything that is no state.
    pub const fn ground(self) -> Ground {
        match self {
            Self::Dark => Ground {
                window: [18, 20, 24],
                panel: [29, 32, 38],
                control: [48, 53, 62],
                text: [240, 242, 245],
                faint: [178, 186, 198],
                outline: [138, 148, 164],
            },
            Self::Light => Ground {
                window: [246, 247, 249],
                panel: WHITE,
                control: [226, 230, 236],
                text: [16, 18, 22],
                faint: [72, 80, 92],
                outline: [98, 108, 122],
            },
            Self::Night => Ground {
                window: BLACK,
                panel: [18, 6, 4],
                control: [44, 14, 10],
                text: [255, 122, 96],
                faint: [224, 104, 82],
                outline: [176, 72, 54],
            },
        }
    }

    /// Colours of a state.
    pub const fn paint(self, look: Look) -> Paint {
        match (self, look) {
            (Self::Dark, Look::Free | Look::Wait) => Paint { fill: [44, 48, 56], text: WHITE },
            (Self::Light, Look::Free | Look::Wait) => Paint { fill: [222, 226, 232], text: BLACK },
            (Self::Dark | Self::Light, Look::OnAir) => Paint { fill: [255, 179, 0], text: BLACK },
            (Self::Dark | Self::Light, Look::Receiving) => Paint { fill: [14, 110, 52], text: WHITE },
            (Self::Dark | Self::Light, Look::Queued) => Paint { fill: [92, 82, 52], text: WHITE },
            (Self::Dark | Self::Light, Look::Denied) => Paint { fill: [74, 78, 86], text: WHITE },
            (Self::Dark | Self::Light, Look::Emergency) => Paint { fill: [190, 18, 24], text: WHITE },
            (Self::Dark | Self::Light, Look::Degraded) => Paint { fill: [255, 222, 60], text: BLACK },
            (Self::Dark, Look::NotConnected) => Paint { fill: [24, 26, 30], text: WHITE },
            (Self::Light, Look::NotConnected) => Paint { fill: [236, 238, 242], text: BLACK },
            // Red light alone: states differ in brightness, word and frame.
            (Self::Night, Look::Free | Look::Wait) => Paint { fill: [34, 10, 7], text: [255, 122, 96] },
            (Self::Night, Look::OnAir) => Paint { fill: [214, 104, 30], text: BLACK },
            (Self::Night, Look::Receiving) => Paint { fill: [84, 22, 14], text: [255, 176, 156] },
            (Self::Night, Look::Queued) => Paint { fill: [66, 30, 8], text: [255, 160, 120] },
            (Self::Night, Look::Denied) => Paint { fill: [52, 18, 14], text: [255, 140, 116] },
            (Self::Night, Look::Emergency) => Paint { fill: [176, 0, 8], text: WHITE },
            (Self::Night, Look::Degraded) => Paint { fill: [196, 92, 34], text: BLACK },
            (Self::Night, Look::NotConnected) => Paint { fill: [14, 4, 3], text: [255, 122, 96] },
        }
    }
}

/// Contrast of two colours as WCAG 2.1 computes it, 1 to 21.
pub fn contrast(one: Rgb, other: Rgb) -> f64 {
    let (light, dark) = (luminance(one).max(luminance(other)), luminance(one).min(luminance(other)));
    (light + 0.05) / (dark + 0.05)
}

fn luminance(colour: Rgb) -> f64 {
    let [red, green, blue] = colour.map(|channel| {
        let channel = f64::from(channel) / 255.0;
        if channel <= 0.04045 { channel / 12.92 } else { ((channel + 0.055) / 1.055).powf(2.4) }
    });
    0.2126 * red + 0.7152 * green + 0.0722 * blue
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contrast_is_computed_as_the_standard_says() {
        assert!((contrast(BLACK, WHITE) - 21.0).abs() < 0.001);
        assert!((contrast([119, 119, 119], WHITE) - 4.48).abs() < 0.01);
    }

    #[test]
    fn every_text_has_a_contrast_of_4_5_and_every_frame_of_3() {
        for theme in Theme::ALL {
            for look in Look::ALL {
                let Paint { fill, text } = theme.paint(look);
                assert!(contrast(fill, text) >= 4.5, "{theme:?} {look:?}: {:.2}", contrast(fill, text));
            }
            let Ground { window, panel, control, text, faint, outline } = theme.ground();
            for ground in [window, panel, control] {
                assert!(contrast(text, ground) >= 4.5, "{theme:?} text on {ground:?}: {:.2}", contrast(text, ground));
                assert!(contrast(faint, ground) >= 4.5, "{theme:?} faint on {ground:?}: {:.2}", contrast(faint, ground));
                assert!(contrast(outline, ground) >= 3.0, "{theme:?} outline on {ground:?}: {:.2}", contrast(outline, ground));
            }
        }
    }
}
