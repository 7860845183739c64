//! The folder of an authority and the files of its holders: written whole or not at all, keys for their owner's eyes
//! only. Gateways and units read these files; nothing here is in the data path.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::authority::{Authority, Revocation};
use crate::error::PkiError;
use crate::request::Issued;

/// File name of an authority's root certificate.
pub const ROOT_FILE: &str = "root.pem";
/// File name of an authority's private key.
pub const ROOT_KEY_FILE: &str = "root.key";
/// File name of an authority's revocation list.
pub const LIST_FILE: &str = "revoked.pem";

const PUBLIC: u32 = 0o644;
const SECRET: u32 = 0o600;

impl Authority {
    /// Writes root, key and revocation list into a folder, which is created, and returns the paths.
    ///
    /// # Errors
    /// [`PkiError::Exists`] if one of the files is there, then nothing is written; [`PkiError::File`] for the machine's faults.
    pub fn save(&self, folder: &Path) -> Result<Vec<PathBuf>, PkiError> {
        // The root comes last: a folder with a root is complete.
        let files = [
            (ROOT_KEY_FILE.to_owned(), SECRET, self.key_pem()),
            (LIST_FILE.to_owned(), PUBLIC, self.revoked_pem().to_owned()),
            (ROOT_FILE.to_owned(), PUBLIC, self.root_pem().to_owned()),
        ];
        create_all(folder, &files)
    }

    /// Replaces the folder's revocation list by this authority's, at once, and returns its path. A reader meets the old
    /// list or the new one, never a part.
    ///
    /// # Errors
    /// [`PkiError::File`] for the machine's faults; the old list is then still in place.
    pub fn save_revoked(&self, folder: &Path) -> Result<PathBuf, PkiError> {
        let path = folder.join(LIST_FILE);
        let fresh = folder.join(format!(".{LIST_FILE}.new"));
        let written = (|| {
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(PUBLIC).open(&fresh)?;
            file.write_all(self.revoked_pem().as_bytes())?;
            file.sync_all()?;
            fs::rename(&fresh, &path)?;
            File::open(folder)?.sync_all()
        })();
        written.map_err(PkiError::file(&path))?;
        Ok(path)
    }

    /// Reads an authority back from its folder. A missing revocation list is an error: a new, empty one would let all
    /// the revoked back in.
    ///
    /// # Errors
    /// [`PkiError::File`] or [`PkiError::Damaged`], which name the file to restore.
    pub fn load(folder: &Path) -> Result<Self, PkiError> {
        let read = |name: &str| {
            let path = folder.join(name);
            fs::read_to_string(&path).map_err(PkiError::file(&path))
        };
        Self::from_pem(&read(ROOT_FILE)?, &read(ROOT_KEY_FILE)?, &read(LIST_FILE)?).map_err(|error| error.below(folder))
    }
}

impl Issued {
    /// Writes `NAME.pem` and `NAME.key` into a folder, which is created, and returns the paths.
    ///
    /// # Errors
    /// [`PkiError::Exists`] if one of the files is there, then nothing is written; [`PkiError::File`] for the machine's faults.
    pub fn save(&self, folder: &Path) -> Result<Vec<PathBuf>, PkiError> {
        let files = [
            (format!("{}.pem", self.name), PUBLIC, self.certificate_pem.clone()),
            (format!("{}.key", self.name), SECRET, self.key_pem.clone()),
        ];
        create_all(folder, &files)
    }
}

/// Revokes a certificate in an authority's folder. Two processes doing so at once wait for each other, so that neither
/// loses the other's entry.
///
/// # Errors
/// Those of [`Authority::load`], [`Authority::revoke`] and [`Authority::save_revoked`].
pub fn revoke_in(folder: &Path, certificate_pem: &str) -> Result<Revocation, PkiError> {
    // The root's file is the lock: it is always there and never replaced, as the list is.
    let path = folder.join(ROOT_FILE);
    let lock = File::open(&path).map_err(PkiError::file(&path))?;
    lock.lock().map_err(PkiError::file(&path))?;
    let mut authority = Authority::load(folder)?;
    let revocation = authority.revoke(certificate_pem)?;
    if revocation == Revocation::Added {
        authority.save_revoked(folder)?;
    }
    Ok(revocation)
}

/// Creates all files or, as far as the machine allows, none of them.
fn create_all(folder: &Path, files: &[(String, u32, String)]) -> Result<Vec<PathBuf>, PkiError> {
    fs::create_dir_all(folder).map_err(PkiError::file(folder))?;
    if let Some(path) = files.iter().map(|(name, ..)| folder.join(name)).find(|path| path.symlink_metadata().is_ok()) {
        return Err(PkiError::Exists(path));
    }
    let mut created = Vec::new();
    for (name, mode, text) in files {
        let path = folder.join(name);
        match create(&path, *mode, text, &mut created) {
            Ok(()) => {}
            Err(source) => {
                for done in &created {
                    // Best effort: what stays behind is named in the way of the next attempt.
                    fs::remove_file(done).ok();
                }
                let raced = source.kind() == io::ErrorKind::AlreadyExists;
                return Err(if raced { PkiError::Exists(path) } else { PkiError::File { path, source } });
            }
        }
    }
    Ok(created)
}

fn create(path: &Path, mode: u32, text: &str, created: &mut Vec<PathBuf>) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    created.push(path.to_path_buf());
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
