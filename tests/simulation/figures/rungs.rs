//! The ladder: links from fibre to 30 % loss, the same for units and the border.

use testkit::Link;

use super::stage::ms;
use crate::life::script::Path;

/// A kind of link, one direction of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rung {
    pub(crate) name: &'static str,
    pub(crate) link: Link,
    /// What its figures have to keep, where the design says so for this kind of link.
    pub(crate) limits: Limits,
}

/// `None`: shown without a limit.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Limits {
    /// Press to grant across the border, p95.
    pub(crate) grant_ms: Option<f64>,
    /// Emergency grant, p99.
    pub(crate) emergency_ms: Option<f64>,
    /// Mouth to ear, p95.
    pub(crate) mouth_to_ear_ms: Option<f64>,
    /// Whether losses are independent, so that the share of frames in time follows from them, and a heal from the round trip.
    pub(crate) loss: Option<f64>,
    /// Whether the floor of a killed unit is free in time: the way to the arbiter and back has to be short for that.
    pub(crate) freed: bool,
}

/// Bottom up. The round trip from a unit to the home and back, through its own gateway, is four times the delay of a link.
pub(crate) fn ladder() -> [Rung; 7] {
    let near = Limits { emergency_ms: Some(500.0), freed: true, ..Limits::default() };
    [
        Rung { name: "fibre", link: Path::Fibre.link(), limits: Limits { loss: Some(0.0), ..near } },
        Rung { name: "wifi", link: Path::Wifi.link(), limits: near },
        Rung { name: "mobile", link: Path::Mobile.link(), limits: Limits::default() },
        Rung { name: "satellite", link: Path::Satellite.link(), limits: Limits { loss: Some(0.0), ..Limits::default() } },
        Rung {
            name: "torn",
            link: Path::Torn.link(),
            limits: Limits { emergency_ms: Some(1_500.0), loss: Some(0.30), ..Limits::default() },
        },
        Rung {
            name: "120ms-1%",
            link: Link::delayed(ms(30)).losing(0.01),
            limits: Limits { grant_ms: Some(300.0), loss: Some(0.01), ..near },
        },
        Rung {
            name: "80ms-5%",
            link: Link::delayed(ms(20)).losing(0.05),
            limits: Limits { mouth_to_ear_ms: Some(250.0), loss: Some(0.05), ..near },
        },
    ]
}
