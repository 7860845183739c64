//! The SQLite file: opening, the transaction for many writes, and what happens when the disk is full or fails.

mod columns;
mod open;
mod read;
mod upkeep;

use rusqlite::{Connection, params};

pub use open::{Opened, Options};

use crate::reserve::Reserve;
use wire::data::keep::Failure;
use wire::data::keep::{Change, Entry, Outcome, Write};

/// A store in the hands of one thread.
#[derive(Debug)]
pub struct Ledger {
    connection: Connection,
    options: Options,
    reserve: Option<Reserve>,
    /// The entry number given last; those of a transaction that failed are not given again.
    last: u64,
    /// Why nothing is accepted any more: the disk failed.
    poison: Option<String>,
    full: bool,
}

impl Ledger {
    /// Carries out the writes in one transaction; an outcome for each, in order. When there is no room for all of them each one
    /// is tried alone, so that what makes room, and alerts, still pass.
    pub fn commit(&mut self, writes: &[Write]) -> Vec<Outcome> {
        let mut outcomes = self.attempt(writes);
        if matches!(outcomes, Err(Failure::Full)) {
            outcomes = Ok(writes.iter().map(|write| self.alone(write)).collect());
        }
        outcomes.unwrap_or_else(|failure| writes.iter().map(|_| Outcome::Refused(failure)).collect())
    }

    /// Why nothing is accepted any more, if so: for the operator.
    pub fn poison(&self) -> Option<&str> {
        self.poison.as_deref()
    }

    /// Whether the last write that needed room found none.
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// One write, with the reserve if it may.
    fn alone(&mut self, write: &Write) -> Outcome {
        let one = std::slice::from_ref(write);
        let mut outcome = self.attempt(one);
        if outcome == Err(Failure::Full) && write.is_vital() {
            if let Some(reserve) = &self.reserve {
                reserve.free();
            }
            // A limit that cannot be moved leaves the write refused, or the next one with more room than it should have.
            let _ = self.limit(true);
            outcome = self.attempt(one);
            let _ = self.limit(false);
        }
        if !write.is_vital() {
            self.full = outcome == Err(Failure::Full);
        }
        match outcome.map(|mut outcomes| outcomes.pop()) {
            Ok(Some(outcome)) => outcome,
            Ok(None) => Outcome::Refused(Failure::Failed),
            Err(failure) => Outcome::Refused(failure),
        }
    }

    /// One transaction for all of them. After an error nothing of it has happened.
    fn attempt(&mut self, writes: &[Write]) -> Result<Vec<Outcome>, Failure> {
        if self.poison.is_some() {
            return Err(Failure::Failed);
        }
        let done = transaction(&mut self.connection, &mut self.last, writes);
        self.judge(done)
    }

    /// An error that is not *full* ends all writing: what is on the disk is not known any more.
    fn judge<T>(&mut self, done: rusqlite::Result<T>) -> Result<T, Failure> {
        done.map_err(|error| {
            let failure = crate::failure::failure(&error);
            if failure == Failure::Failed && self.poison.is_none() {
                self.poison = Some(error.to_string());
            }
            failure
        })
    }
}

fn transaction(connection: &mut Connection, last: &mut u64, writes: &[Write]) -> rusqlite::Result<Vec<Outcome>> {
    // Dropped without a commit it rolls back.
    let transaction = connection.transaction()?;
    let outcomes = writes.iter().map(|write| apply(&transaction, last, write)).collect::<rusqlite::Result<_>>()?;
    transaction.commit()?;
    Ok(outcomes)
}

fn apply(connection: &Connection, last: &mut u64, write: &Write) -> rusqlite::Result<Outcome> {
    if let Some(known) = &write.remember {
        let id = known.id.0;
        let there = read::known(connection, known.id)?;
        if let Some(there) = there {
            return Ok(Outcome::Known { same: there.digest == known.digest && there.sender == known.sender });
        }
        let row = columns::Known::of(known);
        // A row that the disk has spoilt reads as unknown, and is replaced.
        connection.prepare_cached("INSERT OR REPLACE INTO known VALUES (?, ?, ?, ?, ?, ?, ?)")?.execute(params![
            id,
            row.sender,
            row.recipient,
            row.back,
            row.digest,
            row.until_ms,
            row.sum(known.id)
        ])?;
    }
    let mut numbers = Vec::new();
    for change in &write.changes {
        match change {
            Change::Keep(kept) => {
                let row = columns::Kept::of(kept);
                connection.prepare_cached("INSERT OR REPLACE INTO kept VALUES (?, ?, ?, ?, ?, ?)")?.execute(params![
                    kept.id.0,
                    row.signed,
                    row.scheme,
                    row.key,
                    row.signature,
                    row.sum(kept.id)
                ])?;
            }
            Change::Put(entry) => {
                *last += 1;
                put(connection, *last, entry)?;
                numbers.push(*last);
            }
            Change::Settle(number) => settle(connection, *number)?,
            Change::Advance { talkgroup, member, urgent, number } => {
                let (talkgroup, member) = (talkgroup.to_string(), member.to_string());
                let row = columns::Place { talkgroup, member, urgent: *urgent, number: columns::signed(*number) };
                connection
                    .prepare_cached(
                        "INSERT INTO place VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE SET number = ?4, sum = ?5 WHERE number < ?4",
                    )?
                    .execute(params![row.talkgroup, row.member, row.urgent, row.number, row.sum()])?;
            }
        }
    }
    Ok(Outcome::Committed(numbers))
}

fn put(connection: &Connection, number: u64, entry: &Entry) -> rusqlite::Result<()> {
    let row = columns::Entry::of(entry);
    let number = columns::signed(number);
    connection
        .prepare_cached(
            "INSERT INTO entry (number, outbox, urgent, sender, expires_ms, id, party, kind, detail, status, at_ms, sum)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )?
        .execute(params![
            number,
            row.outbox,
            row.urgent,
            row.sender,
            row.expires_ms,
            row.id,
            row.party,
            row.kind,
            row.detail,
            row.status,
            row.at_ms,
            row.sum(number)
        ])?;
    Ok(())
}

/// Takes an entry out, and the message's bytes with its last one.
fn settle(connection: &Connection, number: u64) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached("DELETE FROM entry WHERE number = ? RETURNING id")?;
    let mut rows = statement.query([columns::signed(number)])?;
    let id: Option<Vec<u8>> = match rows.next()? {
        Some(row) => read::legible(row.get(0))?,
        None => None,
    };
    // The statement has run only when it was asked to the end.
    while rows.next()?.is_some() {}
    drop(rows);
    if let Some(id) = id {
        connection
            .prepare_cached("DELETE FROM kept WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM entry WHERE id = ?1 AND kind = 0)")?
            .execute([id])?;
    }
    Ok(())
}
