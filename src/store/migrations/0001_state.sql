-- The installation itself: keys, sign-ins, audit, runs, small memory. Times are whole microseconds since 1970, UTC.
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;

-- Data keys, wrapped by the key-encryption key. Values name the key they were sealed with.
CREATE TABLE data_key (
    id      INTEGER PRIMARY KEY,
    kek_id  TEXT NOT NULL,
    wrapped BLOB NOT NULL,
    made_at INTEGER NOT NULL
) STRICT;

CREATE TABLE signin (
    id                 TEXT PRIMARY KEY,
    connection         TEXT NOT NULL,
    subject            TEXT NOT NULL,
    email              TEXT,
    realm              TEXT,
    scopes             TEXT NOT NULL,
    state              TEXT NOT NULL CHECK (state IN ('active', 'refreshing', 'needs_reauth')),
    state_since        INTEGER NOT NULL,
    attempt            INTEGER NOT NULL DEFAULT 0,
    why                TEXT,
    generation         INTEGER NOT NULL CHECK (generation > 0),
    access             BLOB,
    refresh            BLOB,
    previous           BLOB,
    access_issued_at   INTEGER,
    access_expires_at  INTEGER,
    refresh_expires_at INTEGER,
    last_refreshed     INTEGER,
    issued_at          INTEGER NOT NULL
) STRICT;
-- One person may consent for many companies, each with tokens of its own.
CREATE UNIQUE INDEX signin_who ON signin (connection, subject, ifnull(realm, ''));

-- An authorisation that a person has begun and not finished. The PKCE verifier is sealed.
CREATE TABLE pending_oauth (
    state      TEXT PRIMARY KEY,
    connection TEXT NOT NULL,
    verifier   BLOB NOT NULL,
    body       TEXT NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;

CREATE TABLE audit (
    seq    INTEGER PRIMARY KEY,
    at     INTEGER NOT NULL,
    actor  TEXT NOT NULL,
    act    TEXT NOT NULL,
    subject TEXT NOT NULL,
    before TEXT,
    after  TEXT,
    reason TEXT,
    hash   TEXT NOT NULL
) STRICT;
CREATE TRIGGER audit_append_only_update BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;
CREATE TRIGGER audit_append_only_delete BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;

CREATE TABLE doc (kind TEXT NOT NULL, key TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (kind, key)) STRICT, WITHOUT ROWID;

CREATE TABLE run (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    kind     TEXT NOT NULL,
    actor    TEXT NOT NULL,
    started  INTEGER NOT NULL,
    ended    INTEGER,
    exit     INTEGER,
    complete INTEGER NOT NULL DEFAULT 0,
    step     TEXT,
    summary  TEXT
) STRICT;
CREATE INDEX run_by_kind ON run (kind, id);

CREATE TABLE day_count (name TEXT NOT NULL, day TEXT NOT NULL, used INTEGER NOT NULL, PRIMARY KEY (name, day)) STRICT, WITHOUT ROWID;
