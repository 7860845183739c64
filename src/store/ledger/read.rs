//! Questions to the file. Every answer is one page, so that no outbox, however long, lies in memory.

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use wire::data::MessageId;
use wire::data::keep::{Failure, Kept, Known, Load, Page, Place, Waiting};
use wire::{Identity, TalkgroupId};

use super::{Ledger, columns};

pub(super) const ENTRY: &str = "number, outbox, urgent, sender, expires_ms, id, party, kind, detail, status, at_ms, sum";

impl Ledger {
    /// The next entries of an outbox.
    ///
    /// # Errors
    /// [`Failure::Failed`]: the disk.
    pub fn page(&mut self, place: &Place, limit: usize) -> Result<Page, Failure> {
        let rows = rows(
            &self.connection,
            &format!("SELECT {ENTRY} FROM entry WHERE outbox = ? AND urgent = ? AND number > ? ORDER BY number LIMIT ?"),
            params![place.outbox.to_string(), place.urgent, columns::signed(place.after), count(limit)],
        );
        self.judge(rows)
    }

    /// Entries that are worthless by now, the oldest expiry first.
    ///
    /// # Errors
    /// [`Failure::Failed`]: the disk.
    pub fn due(&mut self, now_ms: u64, limit: usize) -> Result<Page, Failure> {
        let rows = rows(
            &self.connection,
            &format!("SELECT {ENTRY} FROM entry WHERE expires_ms <= ? ORDER BY expires_ms, number LIMIT ?"),
            params![columns::time(now_ms), count(limit)],
        );
        self.judge(rows)
    }

    /// When the next entry is worthless, in milliseconds of UTC.
    ///
    /// # Errors
    /// [`Failure::Failed`]: the disk.
    pub fn next_due_ms(&mut self) -> Result<Option<u64>, Failure> {
        let next = self.connection.query_row("SELECT min(expires_ms) FROM entry", [], |row| row.get::<_, Option<i64>>(0));
        self.judge(next.map(|next| next.and_then(|ms| u64::try_from(ms).ok())))
    }

    /// What is known about an id.
    ///
    /// # Errors
    /// [`Failure::Failed`]: the disk.
    pub fn known(&mut self, id: MessageId) -> Result<Option<Known>, Failure> {
        let known = known(&self.connection, id);
        self.judge(known)
    }

    /// Up to where a member has read its talkgroup's outbox, the urgent entries or the others; `None` for one that never did.
    ///
    /// # Errors
    /// [`Failure::Failed`]: the disk.
    pub fn place(&mut self, talkgroup: &TalkgroupId, member: &Identity, urgent: bool) -> Result<Option<u64>, Failure> {
        let (talkgroup, member) = (talkgroup.to_string(), member.to_string());
        let found = self
            .connection
            .query_row(
                "SELECT number, sum FROM place WHERE talkgroup = ? AND member = ? AND urgent = ?",
                params![talkgroup, member, urgent],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .optional();
        let found = self.judge(legible(found))?;
        Ok(found.flatten().and_then(|(number, sum): (i64, i64)| {
            let row = columns::Place { talkgroup, member, urgent, number };
            // A spoilt place reads as none: what is sent once more is told from a new message by its id.
            (row.sum() == sum).then(|| columns::unsigned(number))
        }))
    }
}

fn count(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

pub(super) fn known(connection: &Connection, id: MessageId) -> rusqlite::Result<Option<Known>> {
    let row = connection
        .prepare_cached("SELECT sender, recipient, back, digest, until_ms, sum FROM known WHERE id = ?")?
        .query_row([id.0], |row| {
            let known = columns::Known {
                sender: text(row, 0)?,
                recipient: text(row, 1)?,
                back: text(row, 2)?,
                digest: row.get(3)?,
                until_ms: row.get(4)?,
            };
            Ok((known, row.get(5)?))
        })
        .optional();
    Ok(legible(row)?.flatten().and_then(|(row, sum)| row.into_known(id, sum)))
}

pub(super) fn rows(connection: &Connection, sql: &str, params: impl rusqlite::Params) -> rusqlite::Result<Page> {
    let mut page = Page::default();
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    while let Some(row) = rows.next()? {
        let number = columns::unsigned(row.get(0)?);
        match legible(waiting(connection, number, row))?.flatten() {
            Some(waiting) => page.waiting.push(waiting),
            None => page.damaged.push(number),
        }
    }
    Ok(page)
}

/// One entry with its message; `None` if a bit of either has changed.
fn waiting(connection: &Connection, number: u64, row: &Row<'_>) -> rusqlite::Result<Option<Waiting>> {
    let entry = columns::Entry {
        outbox: text(row, 1)?,
        urgent: row.get(2)?,
        sender: text(row, 3)?,
        expires_ms: row.get(4)?,
        id: row.get(5)?,
        party: text(row, 6)?,
        kind: row.get(7)?,
        detail: row.get(8)?,
        status: row.get(9)?,
        at_ms: row.get(10)?,
    };
    let Some(entry) = entry.into_entry(number, row.get(11)?) else { return Ok(None) };
    let Load::Message { id, .. } = &entry.load else { return Ok(Some(Waiting { number, entry, kept: None })) };
    let kept = kept(connection, *id)?;
    Ok(kept.map(|kept| Waiting { number, entry, kept: Some(kept) }))
}

fn kept(connection: &Connection, id: MessageId) -> rusqlite::Result<Option<Kept>> {
    let row = connection
        .prepare_cached("SELECT signed, scheme, key, signature, sum FROM kept WHERE id = ?")?
        .query_row([id.0], |row| {
            let kept = columns::Kept { signed: row.get(0)?, scheme: row.get(1)?, key: row.get(2)?, signature: row.get(3)? };
            Ok((kept, row.get(4)?))
        })
        .optional();
    Ok(legible(row)?.flatten().and_then(|(row, sum)| row.into_kept(id, sum)))
}

/// A value that has become one of another kind is damage to a row, and no failure of the disk.
pub(super) fn legible<T>(read: rusqlite::Result<T>) -> rusqlite::Result<Option<T>> {
    use rusqlite::Error::{FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType};
    match read {
        Ok(value) => Ok(Some(value)),
        Err(FromSqlConversionFailure(..) | IntegralValueOutOfRange(..) | InvalidColumnType(..)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A text column, which may have become anything: what is no UTF-8 any more spoils the sum.
fn text(row: &Row<'_>, column: usize) -> rusqlite::Result<String> {
    Ok(String::from_utf8_lossy(row.get_ref(column)?.as_bytes()?).into_owned())
}
