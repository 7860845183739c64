//! Certificates for a run: an authority, its gateway and its units, made once by the product's own pki.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use pki::{Authority, Kind, ROOT_FILE, Request};
use transport::{OwnIdentity, SharedTrust, Trust};

/// Its gateway.
const GATEWAY: &str = "gw-1";

/// Writes everything into a folder.
pub(crate) fn make(folder: &Path, authority: &str, units: usize) -> Result<()> {
    let authority = Authority::generate(authority)?;
    authority.save(folder)?;
    authority.issue(&Request::new(Kind::Gateway, GATEWAY))?.save(folder)?;
    for number in 0..units {
        authority.issue(&Request::new(Kind::Unit, unit(number)))?.save(folder)?;
    }
    Ok(())
}

fn unit(number: usize) -> String {
    format!("unit-{number}")
}

/// What was made.
#[derive(Debug)]
pub(crate) struct Office {
    folder: PathBuf,
    /// Its name.
    pub(crate) authority: String,
    /// The authority alone.
    pub(crate) trust: SharedTrust,
}

impl Office {
    /// Reads the root.
    pub(crate) fn open(folder: &Path, authority: &str) -> Result<Self> {
        let root = folder.join(ROOT_FILE);
        let pem = std::fs::read(&root).with_context(|| root.display().to_string())?;
        let trust = Trust::builder().authority(authority.parse()?, &pem, None, true, false)?.build().shared();
        Ok(Self { folder: folder.to_owned(), authority: authority.to_owned(), trust })
    }

    /// Certificate and key of a unit.
    pub(crate) fn unit(&self, number: usize) -> Result<OwnIdentity> {
        self.holder(&unit(number))
    }

    /// Certificate and key of the gateway.
    pub(crate) fn gateway(&self) -> Result<OwnIdentity> {
        self.holder(GATEWAY)
    }

    fn holder(&self, name: &str) -> Result<OwnIdentity> {
        let file = |end: &str| self.folder.join(format!("{name}.{end}"));
        Ok(OwnIdentity::load(&file("pem"), &file("key"))?)
    }
}
