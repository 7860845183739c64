//! The gateway's TOML, key by key, before anything is judged: the contract that operators write against.
//!
//! First station of a configuration file. Every key is listed here with its unit, default and danger; an unknown key is
//! refused, so that a misspelt right is never silently absent. `validate` turns these into [`super::Config`].

use serde::Deserialize;
use toml::Spanned;

/// A text with the place where it stands.
pub(super) type Text = Spanned<String>;

/// The whole file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawConfig {
    /// Code of the own authority, `a-z 0-9 - _ .`, 1 to 16 bytes. Must be the one in the certificate.
    pub(super) authority: Text,
    /// Name of this gateway inside the authority. Must be the one in the certificate.
    pub(super) name: Text,
    /// Folder for secrets, epochs and call records; created at run. Danger: two gateways must never share one.
    pub(super) state: Text,
    /// Refuse every session with *standby*, so that units try the next gateway. Default false.
    #[serde(default)]
    pub(super) standby: bool,
    /// The addresses.
    pub(super) listen: RawListen,
    /// The own certificate.
    pub(super) identity: RawIdentity,
    /// Whose certificates are believed. Without any nobody can connect.
    #[serde(default)]
    pub(super) trust: Vec<RawTrust>,
    /// What holds for every unit.
    #[serde(default)]
    pub(super) units: RawUnits,
    /// Where messages are kept.
    pub(super) store: Option<RawStore>,
    /// Codes of statuses between authorities.
    #[serde(default)]
    pub(super) status_map: Vec<RawStatusMap>,
    /// The own talkgroups.
    #[serde(default)]
    pub(super) talkgroup: Vec<RawTalkgroup>,
    /// Gateways of other authorities.
    #[serde(default)]
    pub(super) peer: Vec<RawPeer>,
    /// Agreements with other authorities.
    #[serde(default)]
    pub(super) bridge: Vec<RawBridge>,
}

/// `[listen]`: every address is `IP:PORT`; port 0 takes any free one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawListen {
    /// UDP addresses for units, at least one.
    pub(super) units: Spanned<Vec<Text>>,
    /// UDP addresses for other gateways. Default none: then only this side dials.
    #[serde(default)]
    pub(super) peers: Vec<Text>,
    /// TCP address of the console. Default none. Plain HTTP without login, hence loopback only.
    pub(super) console: Option<Text>,
}

/// `[identity]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawIdentity {
    /// PEM file: the certificate, then intermediates, without the root.
    pub(super) certificate: Text,
    /// PEM file: the private key. Danger: readable by the gateway's user only.
    pub(super) key: Text,
}

/// `[[trust]]`: one authority whose certificates are believed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTrust {
    /// Which authority; once per file.
    pub(super) authority: Text,
    /// PEM file: its root certificate.
    pub(super) root: Text,
    /// PEM file: its revocation list. Default none. Danger: without it a stolen terminal stays welcome until it expires.
    pub(super) revoked: Option<Text>,
    /// `"units"`: its units may log in here; `"peers"`: its gateways may connect.
    #[serde(rename = "for")]
    pub(super) purpose: Spanned<Vec<Spanned<RawPurpose>>>,
}

/// What an authority is trusted for.
#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(super) enum RawPurpose {
    /// Its units and dispatchers may log in.
    Units,
    /// Its gateways may connect.
    Peers,
}

/// `[units]`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawUnits {
    /// Capacity of one unit's link, kbit/s of IP bytes. Default 128. Danger: above the real rate, voice queues in the radio network instead of here.
    pub(super) rate_kbps: Option<Spanned<i64>>,
}

/// `[store]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawStore {
    /// SQLite file. Danger: must lie on a disk that keeps what it has acknowledged.
    pub(super) path: Text,
}

/// `[[talkgroup]]`: patterns are `AUTHORITY/KIND/NAME`, a part `*` is any; they judge those who log in here.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTalkgroup {
    /// Name inside the own authority.
    pub(super) name: Text,
    /// Title for people, at most 64 characters. Default: the name.
    pub(super) title: Option<Text>,
    /// Agency for people, at most 64 characters. Default empty.
    pub(super) agency: Option<Text>,
    /// Who may join and listen. Default nobody.
    #[serde(default)]
    pub(super) join: Vec<Text>,
    /// Who may talk, having joined. Default nobody.
    #[serde(default)]
    pub(super) talk: Vec<Text>,
    /// Who may raise an emergency. Default nobody. Danger: an emergency cuts everybody else.
    #[serde(default)]
    pub(super) emergency: Vec<Text>,
    /// Who may declare imminent peril. Default nobody.
    #[serde(default)]
    pub(super) peril: Vec<Text>,
    /// Highest level that counts, 0 to 255. Default 16, the level of routine traffic.
    pub(super) level_max: Option<Spanned<i64>>,
    /// Hours for which a message is kept for members who are away, 1 to 168. Default 24.
    pub(super) retention_h: Option<Spanned<i64>>,
    /// Floor timers.
    pub(super) timers: Option<RawTimers>,
}

/// `[[status_map]]`: what the statuses of one authority are called at another; the original always travels beside it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawStatusMap {
    /// Whose codes. One of `from` and `to` is the own authority, or both are others, at the home that passes on between them.
    pub(super) from: Text,
    /// In whose codes they are told.
    pub(super) to: Text,
    /// Pairs of codes, 0 to 65535: `[[32770, 32801], ...]`.
    pub(super) codes: Vec<Spanned<(i64, i64)>>,
}

/// `timers = { ... }`, all in seconds.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTimers {
    /// T1, silence of the talker's link until its floor is freed. Default 1.3.
    pub(super) t1_s: Option<Spanned<Seconds>>,
    /// T2, longest talk burst. Default 30, at most 600.
    pub(super) t2_s: Option<Spanned<Seconds>>,
    /// T2 of an emergency. Default 60, at most 600.
    pub(super) t2_emergency_s: Option<Spanned<Seconds>>,
    /// T3, time to finish after being pre-empted by a higher level. Default 0.5.
    pub(super) t3_s: Option<Spanned<Seconds>>,
    /// T20, repeat of an unanswered grant. Default 1.
    pub(super) t20_s: Option<Spanned<Seconds>>,
}

/// `[[peer]]`: a gateway of another authority.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPeer {
    /// Its authority.
    pub(super) authority: Text,
    /// Its name, as in its certificate.
    pub(super) name: Text,
    /// Where to dial it, `IP:PORT`. Default none: it dials us, from anywhere. If every peer has one, callers from other networks
    /// (/24, IPv6 /64) are not heard on the peer port.
    pub(super) address: Option<Text>,
    /// Capacity of the link, kbit/s of IP bytes. Default 512. Danger: above the real rate an emergency waits in somebody else's queue.
    pub(super) rate_kbps: Option<Spanned<i64>>,
}

/// `[[bridge]]`: carries only while the other side configures the same.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawBridge {
    /// Reference of the agreement, the same text on both sides; 1 to 64 printable characters.
    pub(super) agreement: Text,
    /// The talkgroup whose gateway arbitrates, `AUTHORITY/NAME`.
    pub(super) home: Text,
    /// The talkgroup of the other side, `AUTHORITY/NAME`.
    pub(super) partner: Text,
    /// What the other side may do here. Default nothing.
    #[serde(default)]
    pub(super) inbound: RawInbound,
    /// What this side lets out. Default nothing.
    #[serde(default)]
    pub(super) outbound: RawOutbound,
    /// Third authorities that the home may pass this on to. Default none. Danger: they hear what this agreement carries.
    #[serde(default)]
    pub(super) onward: Vec<Text>,
    /// When the agreement holds. Default always.
    pub(super) valid: Option<Spanned<RawValid>>,
}

/// `inbound = { ... }`; what is absent is not allowed.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawInbound {
    /// Talk. Default false.
    pub(super) talk: bool,
    /// Send short data. Default false.
    pub(super) short_data: bool,
    /// Raise emergencies. Default false.
    pub(super) emergency: Option<Spanned<bool>>,
    /// The highest claim admitted.
    pub(super) ceiling: RawCeiling,
}

/// `ceiling = { ... }`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawCeiling {
    /// `normal`, `peril` or `emergency`. Default normal.
    pub(super) tier: Option<Text>,
    /// 0 to 255; higher claims are clamped. Default 16.
    pub(super) level: Option<Spanned<i64>>,
    /// Whether a foreign dispatcher's rank counts. Default false.
    pub(super) dispatcher: bool,
}

/// `outbound = { ... }`; what is absent is not allowed.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawOutbound {
    /// Voice. Default false.
    pub(super) talk: bool,
    /// Short data. Default false.
    pub(super) short_data: bool,
    /// Emergencies. Default false: an own emergency then stays on this side.
    pub(super) emergency: Option<Spanned<bool>>,
}

/// `valid = { ... }`: TOML date-times with an offset.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawValid {
    /// First moment. Default since ever.
    pub(super) from: Option<Spanned<toml::value::Datetime>>,
    /// First moment after it. Default for ever.
    pub(super) until: Option<Spanned<toml::value::Datetime>>,
}

/// Seconds written as `30` or `0.5`.
#[derive(Clone, Copy)]
pub(super) struct Seconds(pub(super) f64);

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Seconds;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("seconds, such as 30 or 0.5")
            }
            fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Seconds, E> {
                // Out of i32 is out of every bound; the bounds then say so.
                Ok(Seconds(i32::try_from(value).map_or(f64::INFINITY, f64::from)))
            }
            fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Seconds, E> {
                Ok(Seconds(value))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}
