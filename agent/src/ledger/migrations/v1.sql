-- Facts about this tablet that are replaced, never listed.
CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- The first row is the enrolment's, without a statement; each later one carries the statement that made it.
CREATE TABLE anchors (
    version INTEGER PRIMARY KEY,
    anchors TEXT NOT NULL,
    statement TEXT
) STRICT;

-- The bundle in force and the one before it, as received.
CREATE TABLE bundle (
    generation INTEGER PRIMARY KEY,
    signed TEXT NOT NULL,
    digest TEXT NOT NULL,
    anchors_version INTEGER NOT NULL REFERENCES anchors (version)
) STRICT;

-- The hash chain. Body and salt are NULL once erased.
CREATE TABLE events (
    seq INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    body TEXT,
    salt BLOB,
    body_digest BLOB NOT NULL,
    previous BLOB NOT NULL,
    hash BLOB NOT NULL,
    acknowledged_at TEXT
) STRICT;

-- Repeats within a window, counted until it ends. The first of them are already in the chain.
CREATE TABLE repeats (
    key TEXT PRIMARY KEY,
    opened_at TEXT NOT NULL,
    chained INTEGER NOT NULL,
    held INTEGER NOT NULL,
    body TEXT
) STRICT, WITHOUT ROWID;

-- Each control's last outcome, for comparison after a restart and for a status without the agent.
CREATE TABLE outcomes (
    control TEXT PRIMARY KEY,
    report TEXT NOT NULL
) STRICT, WITHOUT ROWID;
