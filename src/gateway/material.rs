//! What lies in the certificate files of a configuration: read into what the transport needs, and tried before it is used.
//!
//! Off the data path, at start, reload and `check`. The own certificate plays a whole handshake against the own root here:
//! one that nobody would believe never replaces one that works.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use transport::clock::UnixTime;
use transport::identity::OwnIdentity;
use transport::rehearsal;
use transport::trust::{Builder, Trust};
use wire::Reason;

use crate::config::{Config, TrustEntry};

/// Everything read from the certificate files of one configuration.
#[derive(Debug)]
pub(crate) struct Material {
    pub(crate) own: OwnIdentity,
    pub(crate) trust: Trust,
    /// The revocation lists that the trust was read from.
    pub(crate) marks: Marks,
}

/// A file that cannot be used, named in the text; the operator's or issuer's fault.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub(crate) struct Unusable {
    pub(crate) part: Part,
    text: String,
}

/// The part of the configuration that names the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Identity,
    /// The entry with that index.
    Trust(usize),
}

impl Part {
    fn fault(self, text: impl std::fmt::Display) -> Unusable {
        Unusable { part: self, text: text.to_string() }
    }
}

/// Reads certificate, key, roots and lists, and tries the own certificate.
pub(crate) fn read(config: &Config, now_unix_s: u64) -> Result<Material, Unusable> {
    let (trust, marks) = trust(config)?;
    let own = OwnIdentity::load(&config.identity.certificate, &config.identity.key).map_err(|why| Part::Identity.fault(why))?;
    rehearse(config, &own, now_unix_s)?;
    Ok(Material { own, trust, marks })
}

/// Reads roots and lists.
pub(crate) fn trust(config: &Config) -> Result<(Trust, Marks), Unusable> {
    // Before the reading: a list that changes meanwhile has another mark afterwards, and is read again.
    let marks = Marks::take(config);
    let mut builder = Trust::builder();
    for (index, entry) in config.trust.iter().enumerate() {
        builder = add(builder, entry, entry.units, entry.peers).map_err(|why| Part::Trust(index).fault(why))?;
    }
    Ok((builder.build(), marks))
}

fn add(builder: Builder, entry: &TrustEntry, units: bool, peers: bool) -> Result<Builder, String> {
    let read = |file: &Path| fs::read(file).map_err(|why| format!("{}: {why}", file.display()));
    let root = read(&entry.root)?;
    let revoked = entry.revoked.as_deref().map(read).transpose()?;
    builder.authority(entry.authority.clone(), &root, revoked.as_deref(), units, peers).map_err(|why| {
        let file = entry.revoked.as_ref().filter(|_| why.is_of_list()).unwrap_or(&entry.root);
        format!("{}: {why}", file.display())
    })
}

/// Tries the own certificate under the own root, if the configuration names one.
fn rehearse(config: &Config, own: &OwnIdentity, now_unix_s: u64) -> Result<(), Unusable> {
    let certificate = config.identity.certificate.display();
    if *own.identity() != config.gateway {
        let text = format!("{certificate} names {}, but this gateway is '{}'", own.identity(), config.gateway);
        return Err(Part::Identity.fault(text));
    }
    let entry = config.trust.iter().enumerate().find(|(_, entry)| entry.authority == *config.authority());
    let Some((index, entry)) = entry else { return Ok(()) };
    let trust = add(Trust::builder(), entry, true, true).map_err(|why| Part::Trust(index).fault(why))?.build();
    let now = UnixTime::since_unix_epoch(Duration::from_secs(now_unix_s));
    rehearsal::rehearse(own, &Arc::new(trust), now).map_err(|reason| {
        let root = entry.root.display();
        #[expect(clippy::wildcard_enum_match_arm, reason = "a verdict on a certificate is one of a few; the rest is told by its name")]
        let why = match reason {
            Reason::UnknownAuthority => format!("was not issued under {root}; use the root that issued it, or have it issued anew"),
            Reason::CertificateRevoked => "is on the authority's own revocation list; have a new one issued".to_owned(),
            Reason::CertificateExpired => "has expired; have a new one issued".to_owned(),
            Reason::CertificateNotYetValid => "is not valid yet; correct the clock, or have one issued that is".to_owned(),
            Reason::BadCertificate => "does not serve for answering and dialling; have it issued as a gateway's".to_owned(),
            _ => "fails a trial handshake".to_owned(),
        };
        Part::Identity.fault(format!("{certificate} {why} ({reason})"))
    })
}

/// The state of every revocation list at one moment, as far as the file system tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks(BTreeMap<PathBuf, Option<Mark>>);

/// When a file was written, how long it is, and which file it is: a list put in place by renaming is another file.
type Mark = (SystemTime, u64, u64);

impl Marks {
    /// The marks of the lists that a configuration names.
    pub(crate) fn take(config: &Config) -> Self {
        let mark = |file: &PathBuf| fs::metadata(file).and_then(|meta| Ok((meta.modified()?, meta.len(), meta.ino()))).ok();
        Self(config.trust.iter().filter_map(|entry| entry.revoked.clone()).map(|file| (file.clone(), mark(&file))).collect())
    }
}
