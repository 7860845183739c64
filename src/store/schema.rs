//! The tables, their version, and the steps from each version to the next.

use rusqlite::{Connection, Result};

/// Tells SQLite's `file` and us that it is ours: "TkBr".
pub(crate) const APPLICATION_ID: i64 = 0x546b_4272;

/// Step N leads from version N to N + 1; a step that was released is never changed.
const STEPS: &[&str] = &["
    -- Ids that were seen; outlives the message, so that a late copy is told from a new one.
    CREATE TABLE known (
        id        BLOB PRIMARY KEY,
        sender    TEXT NOT NULL,
        recipient TEXT NOT NULL,
        back      TEXT NOT NULL,        -- whose outbox takes the reports
        digest    INTEGER NOT NULL,
        until_ms  INTEGER NOT NULL,
        sum       INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX known_until ON known (until_ms);

    -- Messages as they were signed, once for all their entries.
    CREATE TABLE kept (
        id        BLOB PRIMARY KEY,
        signed    BLOB NOT NULL,
        scheme    INTEGER NOT NULL,
        key       BLOB NOT NULL,
        signature BLOB NOT NULL,
        sum       INTEGER NOT NULL
    );

    -- What waits, in the order of its numbers; AUTOINCREMENT never gives one twice.
    CREATE TABLE entry (
        number     INTEGER PRIMARY KEY AUTOINCREMENT,
        outbox     TEXT NOT NULL,
        urgent     INTEGER NOT NULL,
        sender     TEXT NOT NULL,
        expires_ms INTEGER NOT NULL,
        id         BLOB NOT NULL,
        party      TEXT NOT NULL,       -- a message's recipient in the receiver's words, or whom a report is about
        kind       INTEGER NOT NULL,    -- 0 message, 1 undelivered, 2 delivered, 3 read
        detail     INTEGER NOT NULL,    -- of a message its hops, of undelivered the reason
        status     INTEGER,             -- translated
        at_ms      INTEGER NOT NULL,    -- of a report
        sum        INTEGER NOT NULL
    );
    CREATE INDEX entry_outbox ON entry (outbox, urgent, number);
    CREATE INDEX entry_expires ON entry (expires_ms);
    CREATE INDEX entry_id ON entry (id);

    -- Up to where each member has read its talkgroup's outbox.
    CREATE TABLE place (
        talkgroup TEXT NOT NULL,
        member    TEXT NOT NULL,
        urgent    INTEGER NOT NULL,
        number    INTEGER NOT NULL,
        sum       INTEGER NOT NULL,
        PRIMARY KEY (talkgroup, member, urgent)
    ) WITHOUT ROWID;
"];

/// The version of [`STEPS`].
pub(crate) const VERSION: i64 = STEPS.len() as i64;

/// The version of a file; 0 for an empty one.
pub(crate) fn version(connection: &Connection) -> Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Whether the file is empty or ours.
pub(crate) fn is_ours(connection: &Connection) -> Result<bool> {
    let id: i64 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(id == APPLICATION_ID || (id == 0 && tables == 0))
}

/// Brings a file from its version to ours; all steps are one transaction.
pub(crate) fn migrate(connection: &mut Connection) -> Result<()> {
    let from = version(connection)?;
    let transaction = connection.transaction()?;
    for (number, step) in (0..).zip(STEPS) {
        if number >= from {
            transaction.execute_batch(step)?;
        }
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()
}
