-- What was read as statements, and which files stand where.
CREATE TABLE statement (
    key        TEXT NOT NULL,
    version    INTEGER NOT NULL,
    hash       TEXT NOT NULL,
    data       TEXT NOT NULL,
    first_read INTEGER NOT NULL,
    PRIMARY KEY (key, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE delivered (
    lane    INTEGER NOT NULL REFERENCES lane (id),
    key     TEXT NOT NULL,
    version INTEGER NOT NULL,
    format  TEXT NOT NULL,
    path    TEXT NOT NULL,
    file    TEXT NOT NULL,
    tag     TEXT NOT NULL,
    size    INTEGER NOT NULL,
    sha256  TEXT NOT NULL,
    step    INTEGER NOT NULL REFERENCES journal (id),
    at      INTEGER NOT NULL,
    PRIMARY KEY (lane, key)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX delivered_path ON delivered (lane, path);
