//! What keeps the file small and the operator informed.

use rusqlite::params;
use wire::data::Message;
use wire::data::keep::{Backlog, Depth, Failure, Load, Standing, Waiting};

use super::{Ledger, columns, read};

impl Ledger {
    /// Forgets ids whose time is over, at most `limit`, and makes the reserve again if it was used and there is room. Tells how many
    /// ids it forgot: fewer than the limit means that it is done for now.
    ///
    /// # Errors
    /// [`Failure`]: nothing was forgotten.
    pub fn upkeep(&mut self, now_ms: u64, limit: usize) -> Result<usize, Failure> {
        if self.poison.is_some() {
            return Err(Failure::Failed);
        }
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let forgotten = self
            .connection
            .prepare_cached("DELETE FROM known WHERE id IN (SELECT id FROM known WHERE until_ms <= ? ORDER BY until_ms LIMIT ?)")
            .and_then(|mut statement| statement.execute([columns::time(now_ms), limit]));
        let forgotten = self.judge(forgotten)?;
        if let Some(reserve) = &self.reserve {
            // Without room it is tried again at the next upkeep.
            let _ = reserve.fill();
        }
        Ok(forgotten)
    }

    /// How much waits.
    ///
    /// # Errors
    /// [`Failure::Failed`]: the disk.
    pub fn depth(&mut self) -> Result<Depth, Failure> {
        let one = |sql: &str| self.connection.query_row(sql, [], |row| row.get::<_, i64>(0)).map(columns::unsigned);
        let depth = || -> rusqlite::Result<Depth> {
            let bytes = one("PRAGMA page_count")? * one("PRAGMA page_size")?;
            Ok(Depth { entries: one("SELECT count(*) FROM entry")?, messages: one("SELECT count(*) FROM kept")?, bytes })
        };
        let depth = depth();
        self.judge(depth)
    }

    /// How much waits, outbox by outbox: counted by the index, and one entry read of each.
    ///
    /// # Errors
    /// [`Failure::Failed`]: the disk.
    pub fn standing(&mut self) -> Result<Standing, Failure> {
        let backlog = self.backlog();
        Ok(Standing { last: self.last, backlog: self.judge(backlog)? })
    }

    fn backlog(&self) -> rusqlite::Result<Vec<Backlog>> {
        let mut statement = self.connection.prepare("SELECT outbox, count(*), min(number) FROM entry GROUP BY outbox ORDER BY outbox")?;
        let mut rows = statement.query([])?;
        let mut backlog = Vec::new();
        while let Some(row) = rows.next()? {
            let (name, entries, first): (String, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            // A spoilt name is nobody's outbox; the entry is told as damaged when it is due.
            let Ok(outbox) = name.parse() else { continue };
            let oldest = read::rows(&self.connection, &format!("SELECT {} FROM entry WHERE number = ?", read::ENTRY), params![first])?;
            backlog.push(Backlog { outbox, entries: columns::unsigned(entries), oldest_ms: oldest.waiting.first().and_then(taken_ms) });
        }
        Ok(backlog)
    }
}

/// When an entry's message was taken, or its report made.
fn taken_ms(waiting: &Waiting) -> Option<u64> {
    match (&waiting.entry.load, &waiting.kept) {
        (Load::Report(report), _) => Some(report.at_ms),
        (Load::Message { .. }, Some(kept)) => Message::decode(&kept.signed).ok().map(|message| message.sent_ms),
        (Load::Message { .. }, None) => None,
    }
}
