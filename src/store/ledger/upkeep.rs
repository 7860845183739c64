//! What keeps the file small and the operator informed.

use super::{Ledger, columns};
use wire::data::keep::Failure;

/// How much waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Entries in all outboxes.
    pub entries: u64,
    /// Messages that are kept for them.
    pub messages: u64,
    /// Bytes of the file.
    pub bytes: u64,
}

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
}
