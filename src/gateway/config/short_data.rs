//! Judges what the configuration says of short data: how long talkgroups keep messages, and the codes of statuses.

use std::collections::BTreeMap;
use std::time::Duration;

use toml::Spanned;
use wire::Authority;

use super::StatusMap;
use super::locate::ConfigError;
use super::raw::RawStatusMap;
use super::validate::Pass;

/// Longest retention in hours: no message lives longer.
const RETENTION_MAX_H: u64 = 168;

/// The time for which a talkgroup keeps a message.
pub(super) fn retention(pass: &Pass<'_>, hours: &Spanned<i64>) -> Result<Duration, ConfigError> {
    match u64::try_from(*hours.get_ref()) {
        Ok(number) if (1..=RETENTION_MAX_H).contains(&number) => Ok(Duration::from_secs(number * 3_600)),
        _ => {
            let message = format!("{} is out of range; give 1 to {RETENTION_MAX_H} hours", hours.get_ref());
            Err(pass.error(hours, "talkgroup.retention_h", message))
        }
    }
}

/// Turns the `[[status_map]]` tables into maps.
pub(super) fn status_maps(pass: &Pass<'_>, raw: &[RawStatusMap]) -> Result<Vec<StatusMap>, ConfigError> {
    let mut maps: Vec<StatusMap> = Vec::new();
    for raw in raw {
        let from: Authority = pass.name(&raw.from, "status_map.from")?;
        let to: Authority = pass.name(&raw.to, "status_map.to")?;
        if from == to {
            return Err(pass.error(&raw.to, "status_map.to", format!("'{to}' is 'from' as well; a table leads to another authority")));
        }
        if maps.iter().any(|map| map.from == from && map.to == to) {
            return Err(pass.error(&raw.from, "status_map.from", format!("'{from}' to '{to}' has a table already; put its codes there")));
        }
        let mut codes = BTreeMap::new();
        for pair in &raw.codes {
            let (here, there) = *pair.get_ref();
            let (Ok(here), Ok(there)) = (u16::try_from(here), u16::try_from(there)) else {
                return Err(pass.error(pair, "status_map.codes", format!("[{here}, {there}] is out of range; a status is 0 to 65535")));
            };
            if codes.insert(here, there).is_some() {
                return Err(pass.error(pair, "status_map.codes", format!("{here} is listed twice; remove one")));
            }
        }
        maps.push(StatusMap { from, to, codes });
    }
    Ok(maps)
}
