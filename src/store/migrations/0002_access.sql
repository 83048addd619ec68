-- The firm and its history, what sources said, folders and who holds them, the journal, holds and findings.
CREATE TABLE firm_row (kind TEXT NOT NULL, key TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (kind, key)) STRICT, WITHOUT ROWID;

CREATE TABLE change (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    op           TEXT NOT NULL,
    author       TEXT NOT NULL,
    at           INTEGER NOT NULL,
    reason       TEXT NOT NULL,
    state        TEXT NOT NULL CHECK (state IN ('staged', 'published', 'rejected')),
    published_by TEXT,
    decided_at   INTEGER
) STRICT;

CREATE TABLE ledger (
    connection TEXT NOT NULL,
    id         TEXT NOT NULL,
    name       TEXT NOT NULL,
    kind       TEXT NOT NULL,
    is_ledger  INTEGER NOT NULL,
    profile    TEXT,
    accounts   TEXT,
    first_seen INTEGER NOT NULL,
    last_seen  INTEGER NOT NULL,
    lost_since INTEGER,
    PRIMARY KEY (connection, id)
) STRICT, WITHOUT ROWID;

-- Written by change only. `seen_*`: when we believed it. `true_from`: since when it is so.
CREATE TABLE fact (
    id              INTEGER PRIMARY KEY,
    connection      TEXT NOT NULL,
    kind            TEXT NOT NULL,
    source          TEXT NOT NULL,
    subject         TEXT NOT NULL,
    value           TEXT NOT NULL CHECK (value IN ('granted', 'denied', 'unknown')),
    role            TEXT,
    true_from       INTEGER NOT NULL,
    true_from_exact INTEGER NOT NULL,
    seen_from       INTEGER NOT NULL,
    seen_to         INTEGER,
    run             INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX fact_open ON fact (connection, kind, source, subject) WHERE seen_to IS NULL;
CREATE INDEX fact_history ON fact (connection, kind, source, subject, seen_from);

CREATE TABLE lane (
    id           INTEGER PRIMARY KEY,
    target       TEXT NOT NULL,
    client       TEXT NOT NULL,
    account      TEXT NOT NULL DEFAULT '',
    folder       TEXT,
    name         TEXT NOT NULL,
    parent       TEXT,
    owner        TEXT,
    marker       TEXT,
    created_step INTEGER,
    base         TEXT,
    UNIQUE (target, client, account)
) STRICT;
-- One folder is at most one lane.
CREATE UNIQUE INDEX lane_folder ON lane (target, folder) WHERE folder IS NOT NULL;

CREATE TABLE journal (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    run      INTEGER NOT NULL,
    lane     INTEGER REFERENCES lane (id),
    target   TEXT NOT NULL,
    kind     TEXT NOT NULL,
    holder   TEXT,
    op       TEXT NOT NULL,
    cause    TEXT,
    because  TEXT NOT NULL,
    reserved TEXT,
    -- A person approved the hold that this step was in: it fills no gate.
    approved INTEGER NOT NULL DEFAULT 0,
    state    TEXT NOT NULL CHECK (state IN ('intended', 'done', 'failed', 'unknown')),
    at       INTEGER NOT NULL,
    ended    INTEGER,
    result   TEXT
) STRICT;
CREATE INDEX journal_unsettled ON journal (state) WHERE state IN ('intended', 'unknown');
CREATE INDEX journal_ended ON journal (ended);
CREATE INDEX journal_run ON journal (run);

CREATE TABLE owned (
    lane          INTEGER NOT NULL REFERENCES lane (id),
    who           TEXT NOT NULL,
    address       TEXT NOT NULL,
    folder        TEXT NOT NULL,
    role          TEXT NOT NULL,
    permission    TEXT NOT NULL,
    step          INTEGER NOT NULL REFERENCES journal (id),
    since         INTEGER NOT NULL,
    invited_since INTEGER,
    PRIMARY KEY (lane, who)
) STRICT, WITHOUT ROWID;

CREATE TABLE applied (
    id        INTEGER PRIMARY KEY,
    lane      INTEGER NOT NULL REFERENCES lane (id),
    who       TEXT NOT NULL,
    role      TEXT NOT NULL,
    from_at   INTEGER NOT NULL,
    to_at     INTEGER,
    from_step INTEGER NOT NULL REFERENCES journal (id),
    to_step   INTEGER REFERENCES journal (id)
) STRICT;
CREATE UNIQUE INDEX applied_open ON applied (lane, who) WHERE to_at IS NULL;
CREATE INDEX applied_time ON applied (from_at, to_at);

CREATE TABLE accepted_holder (
    lane   INTEGER NOT NULL REFERENCES lane (id),
    holder TEXT NOT NULL,
    body   TEXT NOT NULL,
    by     TEXT NOT NULL,
    reason TEXT NOT NULL,
    at     INTEGER NOT NULL,
    PRIMARY KEY (lane, holder)
) STRICT, WITHOUT ROWID;

CREATE TABLE hold (digest TEXT PRIMARY KEY, run INTEGER NOT NULL, at INTEGER NOT NULL, gone_at INTEGER, body TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE plan (digest TEXT PRIMARY KEY, run INTEGER NOT NULL, at INTEGER NOT NULL, body TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE approval (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    digest  TEXT NOT NULL,
    by      TEXT NOT NULL,
    reason  TEXT NOT NULL,
    at      INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    used_at INTEGER
) STRICT;
CREATE INDEX approval_digest ON approval (digest);

CREATE TABLE finding (
    number   INTEGER PRIMARY KEY AUTOINCREMENT,
    scope    TEXT NOT NULL,
    code     TEXT NOT NULL,
    subject  TEXT NOT NULL,
    body     TEXT NOT NULL,
    opened   INTEGER NOT NULL,
    run      INTEGER NOT NULL,
    resolved INTEGER,
    how      TEXT
) STRICT;
CREATE UNIQUE INDEX finding_open ON finding (code, subject) WHERE resolved IS NULL;
