//! Call records: who spoke where and when, one JSON object a line, for the authority's own archive.
//!
//! Beside the data path: the driver hands a [`Record`] to a bounded queue and goes on; a thread of its own appends it to
//! `records.jsonl`. Unlike logs, records name people. Each line is one write to a file opened for appending, so a killed
//! process leaves whole lines behind.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use tracing::warn;

/// Records waiting for the disk; the newest beyond are dropped, counted and warned of.
pub const QUEUE_RECORDS: usize = 4_096;
/// Least time between two calls of fsync.
const SYNC_EVERY: Duration = Duration::from_secs(1);

/// RFC 3339 in UTC with milliseconds.
const AT: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// What a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordKind {
    /// A talk burst that ended.
    Call,
    /// A floor request or the end of an emergency that was denied, or voice without a grant.
    Denied,
    /// A session that was refused.
    Refused,
    /// A session that began or ended.
    Session,
    /// A group emergency that began or ended.
    Emergency,
    /// A bridge that became active or ceased to be.
    Bridge,
    /// A spurt under way that a full border link does not carry any more, or carries again.
    Crossing,
    /// A session that sent what it must not.
    Misbehaved,
    /// The configuration was reloaded, or was not.
    Reload,
}

/// One line of `records.jsonl`; what does not apply is left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Record {
    /// When it was recorded: RFC 3339, UTC, milliseconds.
    pub at: String,
    /// What it is about.
    pub kind: RecordKind,
    /// The talkgroup as this gateway names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub talkgroup: Option<String>,
    /// Reference of the agreement: of a call the one under which it came in or was first heard across the border.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agreement: Option<String>,
    /// The other agreements under which a call was heard, at the home of several bridges.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub further_agreements: Vec<String>,
    /// Identity of who spoke.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub talker: Option<String>,
    /// Identity of whom else the record concerns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// The talker's agency.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agency: Option<String>,
    /// The talker's name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// Tier: `normal`, `peril`, `emergency`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    /// Level inside the tier; unknown of a talker that the home named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<u8>,
    /// Number of the spurt, `EPOCH.COUNTER`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spurt: Option<String>,
    /// How long it lasted, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// How it ended: `released`, a revoke or deny cause, `lost`, a refusal's reason, what was misdone, `began`, `ended`, `suspended` ...
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// How often, where one record stands for many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
    /// The other authority.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
    /// The authority that relayed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub via: Option<String>,
}

impl Record {
    /// A record of a kind and moment with nothing else filled in.
    pub fn new(kind: RecordKind, at: OffsetDateTime) -> Self {
        // The format has no part that a valid date lacks; an empty text would still be a whole line.
        let at = at.to_offset(time::UtcOffset::UTC).format(AT).unwrap_or_default();
        Self {
            at,
            kind,
            talkgroup: None,
            agreement: None,
            further_agreements: Vec::new(),
            talker: None,
            identity: None,
            agency: None,
            alias: None,
            tier: None,
            level: None,
            spurt: None,
            duration_ms: None,
            outcome: None,
            times: None,
            authority: None,
            via: None,
        }
    }
}

/// Records that cannot be kept: the state folder is at fault.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}; check that the state folder exists and is writable", file.display())]
pub struct RecordsError {
    /// The records file.
    pub file: PathBuf,
    /// What the operating system said.
    pub source: io::Error,
}

/// Handle for writing records; clones write to the same place. The thread ends with the last handle.
#[derive(Clone, Debug)]
pub struct Records {
    to: Destination,
    dropped: Arc<AtomicU64>,
}

#[derive(Clone, Debug)]
enum Destination {
    Thread(SyncSender<Item>),
    Memory(Arc<Mutex<Vec<Record>>>),
}

enum Item {
    Record(Box<Record>),
    Flush(SyncSender<()>),
}

impl std::fmt::Debug for Item {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Item")
    }
}

impl Records {
    /// Opens the file for appending, creates its folder, and starts the writing thread.
    ///
    /// # Errors
    /// [`RecordsError`] if folder or file cannot be written: the operator's fault.
    pub fn open(file: &Path) -> Result<Self, RecordsError> {
        let (records, receiver) = Self::queue();
        let dropped = Arc::clone(&records.dropped);
        let start = || -> io::Result<()> {
            if let Some(folder) = file.parent() {
                std::fs::create_dir_all(folder)?;
            }
            let writer = Writer::open(file)?;
            std::thread::Builder::new().name("talkbridge-rec".to_owned()).spawn(move || writer.run(&receiver, &dropped))?;
            Ok(())
        };
        start().map_err(|source| RecordsError { file: file.into(), source })?;
        Ok(records)
    }

    fn queue() -> (Self, Receiver<Item>) {
        let (sender, receiver) = sync_channel(QUEUE_RECORDS);
        (Self { to: Destination::Thread(sender), dropped: Arc::default() }, receiver)
    }

    /// Records kept in memory, with the place where they gather.
    pub fn sink_for_tests() -> (Self, Arc<Mutex<Vec<Record>>>) {
        let kept = Arc::new(Mutex::new(Vec::new()));
        (Self { to: Destination::Memory(Arc::clone(&kept)), dropped: Arc::default() }, kept)
    }

    /// Hands over a record; never waits. A record beyond [`QUEUE_RECORDS`] is dropped and counted.
    pub fn write(&self, record: Record) {
        match &self.to {
            Destination::Thread(sender) => match sender.try_send(Item::Record(Box::new(record))) {
                Ok(()) => {}
                Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                    self.dropped.fetch_add(1, Ordering::Relaxed);
                }
            },
            Destination::Memory(kept) => kept.lock().unwrap_or_else(PoisonError::into_inner).push(record),
        }
    }

    /// How many records were dropped since the start.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Waits until what was written so far is on the disk; `false` if that took longer than `limit`.
    pub fn flush(&self, limit: Duration) -> bool {
        let Destination::Thread(sender) = &self.to else { return true };
        let until = Instant::now() + limit;
        let (done, wait) = sync_channel(1);
        let mut item = Item::Flush(done);
        while let Err(refused) = sender.try_send(item) {
            match refused {
                TrySendError::Full(back) if Instant::now() < until => item = back,
                TrySendError::Full(_) | TrySendError::Disconnected(_) => return false,
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        wait.recv_timeout(until.saturating_duration_since(Instant::now())).is_ok()
    }
}

/// The thread's side.
struct Writer {
    file: File,
    unsynced: bool,
    synced_at: Instant,
    told: u64,
    failing: bool,
}

impl Writer {
    fn open(path: &Path) -> io::Result<Self> {
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        end_torn_line(&mut file)?;
        Ok(Self { file, unsynced: false, synced_at: Instant::now(), told: 0, failing: false })
    }

    fn run(mut self, receiver: &Receiver<Item>, dropped: &AtomicU64) {
        loop {
            match receiver.recv_timeout(SYNC_EVERY) {
                Ok(Item::Record(record)) => self.append(&record),
                Ok(Item::Flush(done)) => {
                    self.sync();
                    // The one who waited may have given up.
                    let _ = done.try_send(());
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if self.unsynced && self.synced_at.elapsed() >= SYNC_EVERY {
                self.sync();
            }
            let count = dropped.load(Ordering::Relaxed);
            if count != self.told {
                warn!(dropped = count - self.told, "call records dropped: the disk is too slow");
                self.told = count;
            }
        }
        self.sync();
    }

    fn append(&mut self, record: &Record) {
        let written = serde_json::to_vec(record).map_err(io::Error::from).and_then(|mut line| {
            line.push(b'\n');
            self.file.write_all(&line)
        });
        self.report(written);
        self.unsynced = true;
    }

    fn sync(&mut self) {
        if self.unsynced {
            let synced = self.file.sync_data();
            self.report(synced);
            self.unsynced = false;
        }
        self.synced_at = Instant::now();
    }

    /// Warns once per run of failures: a full disk must not fill the log too.
    fn report(&mut self, result: io::Result<()>) {
        match result {
            Ok(()) => self.failing = false,
            Err(error) if !self.failing => {
                warn!(%error, "call records cannot be written");
                self.failing = true;
            }
            Err(_) => {}
        }
    }
}

/// A power cut can leave half a line; the next record must begin on its own.
fn end_torn_line(file: &mut File) -> io::Result<()> {
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(());
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    if last != *b"\n" { file.write_all(b"\n") } else { Ok(()) }
}

#[cfg(test)]
#[path = "records_tests.rs"]
mod tests;
