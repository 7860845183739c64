//! Opening: the checks before the first write, and what is done with a file that is spoilt.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::{Ledger, columns};
use crate::failure::{OpenError, is_busy, is_corrupt};
use crate::reserve::Reserve;
use crate::schema;

/// Bytes of a page; SQLite's own default, written down because [`Options::max_bytes`] is counted in it.
const PAGE_BYTES: u64 = 4_096;

/// How large a store may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Largest file, in bytes; beyond it a write is refused as on a full disk. At least some 100 KiB, or nothing fits.
    pub max_bytes: u64,
    /// Space for alerts and for what makes room, on the disk and above the largest file; 0: none.
    pub reserve_bytes: u64,
}

impl Default for Options {
    /// A gibibyte, some 200,000 of the longest messages; 16 MiB for alerts.
    fn default() -> Self {
        Self { max_bytes: 1 << 30, reserve_bytes: 16 << 20 }
    }
}

/// What was found when the store was opened, for the operator.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// The file was spoilt, and lies here now; the store began empty. An alarm: messages were lost, and old ids are forgotten.
    pub moved_aside: Option<PathBuf>,
    /// The disk had no room for the reserve: alerts are refused too when it is full.
    pub without_reserve: bool,
}

impl Ledger {
    /// Opens the store at that path, or makes it; `now_ms` names a spoilt file that is moved aside.
    ///
    /// # Errors
    /// [`OpenError`]: the operator's, and no retry helps before something has changed.
    pub fn open(path: &Path, options: Options, now_ms: u64) -> Result<(Self, Opened), OpenError> {
        let mut opened = Opened::default();
        let connection = match sound(path) {
            Err(error) if is_corrupt(&error) => {
                opened.moved_aside = Some(move_aside(path, now_ms)?);
                sound(path)
            }
            other => other,
        };
        let connection = connection.map_err(|source| unusable(path, source))?;
        let mut ledger = Self::over(connection, path, options)?;
        let reserve = Reserve::beside(path, options.reserve_bytes);
        opened.without_reserve = options.reserve_bytes > 0 && reserve.fill().is_err();
        ledger.reserve = (options.reserve_bytes > 0).then_some(reserve);
        Ok((ledger, opened))
    }

    /// A store that is gone with the process: for simulations.
    ///
    /// # Errors
    /// [`OpenError`]: no memory.
    pub fn in_memory(options: Options) -> Result<Self, OpenError> {
        let path = Path::new(":memory:");
        let connection = Connection::open_in_memory().map_err(|source| unusable(path, source))?;
        Self::over(connection, path, options)
    }

    fn over(mut connection: Connection, path: &Path, options: Options) -> Result<Self, OpenError> {
        let whole = |source| unusable(path, source);
        if !schema::is_ours(&connection).map_err(whole)? {
            return Err(OpenError::Foreign { path: path.into() });
        }
        let found = schema::version(&connection).map_err(whole)?;
        if found > schema::VERSION {
            return Err(OpenError::Newer { path: path.into(), found, known: schema::VERSION });
        }
        schema::migrate(&mut connection).map_err(whole)?;
        connection.set_prepared_statement_cache_capacity(32);
        // SQLite keeps the largest number ever given, also of what is settled.
        let last = connection.query_row("SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'entry'), 0)", [], |row| row.get(0));
        let last = columns::unsigned(last.map_err(whole)?);
        let ledger = Self { connection, options, reserve: None, last, poison: None, full: false };
        ledger.limit(false).map_err(whole)?;
        Ok(ledger)
    }

    /// Sets how large the file may grow, with the reserve or without.
    pub(super) fn limit(&self, with_reserve: bool) -> rusqlite::Result<()> {
        let bytes = self.options.max_bytes + if with_reserve { self.options.reserve_bytes } else { 0 };
        let pages = i64::try_from(bytes / PAGE_BYTES).unwrap_or(i64::MAX).min(i64::from(u32::MAX - 1));
        self.connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))
    }
}

/// A connection to a file that holds, with the promises of this store switched on.
fn sound(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    // One gateway per store; the lock is taken by the first read and kept.
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    connection.pragma_update(None, "page_size", PAGE_BYTES.cast_signed())?;
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    // Each commit reaches the disk before it returns: with NORMAL a power cut takes what was accepted.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "journal_size_limit", 16 << 20)?;
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if verdict == "ok" {
        Ok(connection)
    } else {
        let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
        Err(rusqlite::Error::SqliteFailure(code, Some(verdict)))
    }
}

fn unusable(path: &Path, source: rusqlite::Error) -> OpenError {
    if is_busy(&source) { OpenError::InUse { path: path.into() } } else { OpenError::Sqlite { path: path.into(), source } }
}

/// Gives a spoilt file and its journal another name: somebody may still find something in them.
fn move_aside(path: &Path, now_ms: u64) -> Result<PathBuf, OpenError> {
    let with = |ending: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    };
    let aside = format!(".corrupt-{now_ms}");
    for journal in ["-wal", "-shm"] {
        // There may be none.
        let _ = std::fs::rename(with(journal), with(&format!("{aside}{journal}")));
    }
    let aside = with(&aside);
    std::fs::rename(path, &aside).map_err(|source| OpenError::Io { path: path.into(), source })?;
    Ok(aside)
}
