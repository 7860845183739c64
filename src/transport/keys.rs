//! The two secrets that let a restarted gateway tell its old sessions that they are gone.
//!
//! With the same reset key and connection-id key as before, the first packet of an old session is answered by a
//! stateless reset within one round trip, instead of running into the idle timeout. Rotate both by deleting the
//! files at a planned restart, at least monthly: a reset token seen once could end a later connection with the same id.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::hmac;
use quinn_proto::HashedConnectionIdGenerator;
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};
use tracing::warn;

/// File of the stateless reset key inside the state folder: 64 random bytes.
pub const RESET_FILE: &str = "reset.key";
/// File of the connection-id key inside the state folder: 8 random bytes.
pub const CID_FILE: &str = "cid.key";

/// A file of keys that cannot be read, written or used; the operator's to mend.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", path.display())]
pub struct KeysError {
    /// The file or folder.
    pub path: PathBuf,
    /// What the operating system said.
    pub source: io::Error,
}

/// Reset key, connection-id key and, in simulation only, the seed of quinn's random numbers.
#[derive(Clone)]
pub struct Keys {
    reset: [u8; 64],
    cid: u64,
    rng_seed: Option<[u8; 32]>,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("rng_seed", &self.rng_seed).finish_non_exhaustive()
    }
}

impl Keys {
    /// Reads the keys from the state folder, or makes the folder and new keys (mode 0600).
    ///
    /// # Errors
    /// [`KeysError`] if a file cannot be read or written, or has the wrong length.
    pub fn load_or_create(dir: &Path) -> Result<Self, KeysError> {
        fs::create_dir_all(dir).map_err(|source| KeysError { path: dir.to_owned(), source })?;
        let mut reset = [0; 64];
        load_or_fill(&dir.join(RESET_FILE), &mut reset)?;
        let mut cid = [0; 8];
        load_or_fill(&dir.join(CID_FILE), &mut cid)?;
        Ok(Self { reset, cid: u64::from_be_bytes(cid), rng_seed: None })
    }

    /// Fresh keys that live as long as the process: for units, which nobody resumes a session with.
    pub fn ephemeral() -> Self {
        let mut rng = StdRng::from_os_rng();
        let mut reset = [0; 64];
        rng.fill_bytes(&mut reset);
        Self { reset, cid: rng.next_u64(), rng_seed: None }
    }

    /// Keys and random numbers of quinn that depend on the seed alone: for simulation, never for a network.
    pub fn simulated(seed: u64) -> Self {
        let mut reset = [0; 64];
        let mut rng_seed = [0; 32];
        for bytes in reset.chunks_exact_mut(8).chain(rng_seed.chunks_exact_mut(8)) {
            bytes.copy_from_slice(&seed.to_be_bytes());
        }
        Self { reset, cid: seed, rng_seed: Some(rng_seed) }
    }

    /// The same keys with another seed for quinn's random numbers: a simulated restart.
    #[must_use]
    pub fn reseeded(&self, seed: u64) -> Self {
        Self { rng_seed: Self::simulated(seed).rng_seed, ..self.clone() }
    }

    /// quinn's endpoint configuration with these keys.
    pub(crate) fn endpoint_config(&self) -> quinn::EndpointConfig {
        let mut config = quinn::EndpointConfig::new(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, &self.reset)));
        let cid = self.cid;
        config.cid_generator(move || Box::new(HashedConnectionIdGenerator::from_key(cid)));
        config.rng_seed(self.rng_seed);
        config
    }
}

fn load_or_fill(path: &Path, key: &mut [u8]) -> Result<(), KeysError> {
    let fail = |source| KeysError { path: path.to_owned(), source };
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(mut file) => {
            StdRng::from_os_rng().fill_bytes(key);
            file.write_all(key).and_then(|()| file.sync_all()).map_err(fail)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let mut file = fs::File::open(path).map_err(fail)?;
            let mode = file.metadata().map_err(fail)?.permissions().mode() & 0o777;
            if mode & 0o077 != 0 {
                warn!(path = %path.display(), mode = format_args!("{mode:04o}"), "key file is open to others, should be 0600");
            }
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).map_err(fail)?;
            if bytes.len() != key.len() {
                let text = format!("holds {} bytes instead of {}; delete it to get a new key", bytes.len(), key.len());
                return Err(fail(io::Error::new(io::ErrorKind::InvalidData, text)));
            }
            key.copy_from_slice(&bytes);
            Ok(())
        }
        Err(error) => Err(fail(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_start_finds_the_keys_of_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("var/nl");
        let first = Keys::load_or_create(&state).unwrap();
        let second = Keys::load_or_create(&state).unwrap();
        assert_eq!((first.reset, first.cid), (second.reset, second.cid));
        for file in [RESET_FILE, CID_FILE] {
            assert_eq!(fs::metadata(state.join(file)).unwrap().permissions().mode() & 0o777, 0o600);
        }
        let other = Keys::load_or_create(&dir.path().join("be")).unwrap();
        assert_ne!(first.reset, other.reset);
    }

    #[test]
    fn a_cut_off_key_file_is_refused_with_its_path() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(RESET_FILE), b"short").unwrap();
        let error = Keys::load_or_create(dir.path()).unwrap_err();
        assert!(error.to_string().contains(RESET_FILE) && error.to_string().contains("5 bytes"), "{error}");
    }

    #[test]
    fn keys_never_appear_in_debug_output() {
        assert_eq!(format!("{:?}", Keys::ephemeral()), "Keys { rng_seed: None, .. }");
    }
}
