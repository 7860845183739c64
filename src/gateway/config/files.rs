//! Looks into the files that a configuration names, so that a fault is told with the line that names the file.
//!
//! Last station of a configuration file, after the validation of its words: existence, kind and dates of each file, then
//! all of them are read as the transport needs them and the own certificate is tried.

use time::OffsetDateTime;
use transport::clock;

use super::Config;
use super::locate::ConfigError;
use super::raw::{RawConfig, Text};
use super::validate::Pass;
use crate::material::{self, Material, Part};
use crate::trust_files::{self, Fault};
use crate::wall;

/// Reads the files; what is doubtful in them is remarked on.
pub(super) fn look_into(pass: &mut Pass<'_>, raw: &RawConfig, config: &Config) -> Result<Material, ConfigError> {
    let now_unix_s = wall::now_unix_s(&config.state, &clock::system());
    let now = i64::try_from(now_unix_s).ok().and_then(|unix_s| OffsetDateTime::from_unix_timestamp(unix_s).ok());
    let now = now.unwrap_or_else(OffsetDateTime::now_utc);
    let files = &config.identity;
    let own = trust_files::certificate(&files.certificate, &config.gateway, now);
    remark(pass, &raw.identity.certificate, "identity.certificate", own)?;
    remark(pass, &raw.identity.key, "identity.key", trust_files::key(&files.key, &files.certificate))?;
    for (entry, raw) in config.trust.iter().zip(&raw.trust) {
        remark(pass, &raw.root, "trust.root", trust_files::root(&entry.root, now))?;
        if let (Some(path), Some(text)) = (&entry.revoked, &raw.revoked) {
            remark(pass, text, "trust.revoked", trust_files::revocation_list(path, now))?;
        }
    }
    material::read(config, now_unix_s).map_err(|why| {
        let entry = if let Part::Trust(index) = why.part { raw.trust.get(index) } else { None };
        let (text, field) = entry.map_or((&raw.identity.certificate, "identity.certificate"), |entry| (&entry.root, "trust.root"));
        pass.error(text, field, why.to_string())
    })
}

fn remark(pass: &mut Pass<'_>, text: &Text, field: &'static str, found: Result<Vec<String>, Fault>) -> Result<(), ConfigError> {
    for message in found.map_err(|fault| pass.error(text, field, fault.to_string()))? {
        pass.warn(text, field, message);
    }
    Ok(())
}
