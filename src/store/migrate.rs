//! The schema's versions. Each step is one transaction (D06); a copy is kept before the first; a newer schema than ours is
//! never touched (D05).

use std::path::{Path, PathBuf};

use ledgerward_contract::Timestamp;
use rusqlite::Connection;

use super::error::{Kind, Result, StoreError};

const MIGRATIONS: [&str; 7] = [
    include_str!("migrations/0001_state.sql"),
    include_str!("migrations/0002_access.sql"),
    include_str!("migrations/0003_statements.sql"),
    include_str!("migrations/0004_part_runs.sql"),
    include_str!("migrations/0005_change_person.sql"),
    include_str!("migrations/0006_change_turn.sql"),
    include_str!("migrations/0007_owned_end.sql"),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(conn: &Connection) -> Vec<(String, String)> {
        let mut stmt = conn.prepare("SELECT name, ifnull(sql, '') FROM sqlite_schema ORDER BY name").unwrap();
        stmt.query_map([], |r| Ok((r.get(0)?, r.get(1)?))).unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn d06_every_version_pair_leads_to_the_same_schema_and_a_second_run_changes_nothing() {
        let straight = Connection::open_in_memory().unwrap();
        up(&straight, VERSION).unwrap();
        for from in 0..=VERSION {
            let conn = Connection::open_in_memory().unwrap();
            up(&conn, from).unwrap();
            assert_eq!(version(&conn).unwrap(), from);
            up(&conn, VERSION).unwrap();
            up(&conn, VERSION).unwrap();
            assert_eq!((version(&conn).unwrap(), schema(&conn)), (VERSION, schema(&straight)), "from {from}");
        }
    }

    #[test]
    fn d06_a_step_that_fails_half_way_leaves_the_version_before_it_whole() {
        for from in 0..VERSION {
            let conn = Connection::open_in_memory().unwrap();
            up(&conn, from).unwrap();
            let before = schema(&conn);
            // What is in the way of the last thing that the step makes: a table, or a column.
            let sql = MIGRATIONS[from as usize];
            let name = |text: &str| text.split([' ', '(']).next().unwrap().to_owned();
            let (block, clear) = match (sql.rsplit_once("CREATE TABLE "), sql.rsplit_once("ALTER TABLE ")) {
                (Some((_, last)), _) => {
                    let table = name(last);
                    (format!("CREATE TABLE {table} (x)"), format!("DROP TABLE {table}"))
                }
                (None, Some((_, last))) => {
                    let (table, column) = last.split_once(" ADD COLUMN ").unwrap();
                    let column = name(column);
                    (
                        format!("ALTER TABLE {table} ADD COLUMN {column} INTEGER"),
                        format!("ALTER TABLE {table} DROP COLUMN {column}"),
                    )
                }
                (None, None) => panic!("step {from} makes nothing"),
            };
            conn.execute_batch(&block).unwrap();
            assert!(up(&conn, VERSION).is_err());
            assert!(conn.is_autocommit());
            conn.execute_batch(&clear).unwrap();
            assert_eq!((version(&conn).unwrap(), schema(&conn)), (from, before));
            up(&conn, VERSION).unwrap();
        }
    }

    #[test]
    fn every_table_is_strict() {
        let conn = Connection::open_in_memory().unwrap();
        up(&conn, VERSION).unwrap();
        let loose: Vec<String> = conn
            .prepare(
                "SELECT name FROM pragma_table_list WHERE schema = 'main' AND strict = 0 AND name NOT LIKE 'sqlite_%'",
            )
            .unwrap()
            .query_map([], |r| r.get(0))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert!(loose.is_empty(), "{loose:?}");
    }
}
