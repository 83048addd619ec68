//! The schema's versions. Each step is one transaction (D06); a copy is kept before the first; a newer schema than ours is
//! never touched (D05).

use std::path::{Path, PathBuf};

use ledgerward_contract::Timestamp;
use rusqlite::Connection;

use super::error::{Kind, Result, StoreError};

const MIGRATIONS: [&str; 3] = [
    include_str!("migrations/0001_state.sql"),
    include_str!("migrations/0002_access.sql"),
    include_str!("migrations/0003_statements.sql"),
];

/// The schema this program writes.
pub const VERSION: u32 = MIGRATIONS.len() as u32;

pub(crate) fn version(conn: &Connection) -> Result<u32> {
    Ok(conn.query_row("PRAGMA user_version", [], |r| r.get(0))?)
}

/// Brings the schema to `to`. Running it again after a crash goes on where it stopped.
pub(crate) fn up(conn: &Connection, to: u32) -> Result<()> {
    let from = version(conn)?;
    for (n, sql) in (1_u32..).zip(MIGRATIONS) {
        if n > from && n <= to {
            let step = format!("BEGIN IMMEDIATE;\n{sql}\nPRAGMA user_version = {n};\nCOMMIT;");
            if let Err(e) = conn.execute_batch(&step) {
                if !conn.is_autocommit() {
                    let _unused = conn.execute_batch("ROLLBACK");
                }
                return Err(e.into());
            }
        }
    }
    Ok(())
}

/// Keeps a copy of an older state before its first migration, and gives its path.
pub(crate) fn copy_before(conn: &Connection, dir: &Path, from: u32, at: Timestamp) -> Result<PathBuf> {
    let path = super::backup::folder(dir)?.join(format!("before-v{VERSION}-was-v{from}-{}.db", at.as_second()));
    if !path.exists() {
        super::backup::write_copy(conn, &path)?;
    }
    Ok(path)
}

pub(crate) fn too_new(found: u32, dir: &Path) -> StoreError {
    let backups = dir.join("backups");
    StoreError::new(
        Kind::Newer,
        format!("the state was written by a newer ledgerward (schema {found}, this program knows {VERSION}); it was not touched"),
    )
    .next(format!(
        "Install the newer version again; or go back with the copy it kept before its migration: `ledgerward restore {}/before-v{found}-….db`.",
        backups.display()
    ))
}
