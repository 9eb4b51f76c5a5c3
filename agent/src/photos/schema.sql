-- Who may have been there when photos were taken; many photos share one set.
CREATE TABLE photo_cohort (
    id INTEGER PRIMARY KEY,
    children TEXT NOT NULL UNIQUE
) STRICT;

-- One row per content. Of one content at most one photo is not destroyed.
CREATE TABLE photo (
    id TEXT PRIMARY KEY,
    keyed_hash BLOB NOT NULL,
    bytes INTEGER NOT NULL,
    media TEXT NOT NULL,
    -- Trusted time at which it was first seen. What the file says of itself is never asked.
    captured_at TEXT NOT NULL,
    session TEXT,
    rooms TEXT NOT NULL,
    cohort INTEGER NOT NULL REFERENCES photo_cohort (id),
    staff TEXT,
    tagging TEXT NOT NULL,
    unregistered_person INTEGER NOT NULL,
    care_record INTEGER NOT NULL,
    -- The month of a photo that was there before its root was looked after; NULL for all others.
    found_month TEXT,
    uploaded_at TEXT,
    stage TEXT NOT NULL,
    withheld_at TEXT,
    sealed_at TEXT,
    sealed_vault BLOB,
    sealed_name BLOB,
    sealed_bytes INTEGER,
    sealed_sha256 BLOB,
    destroyed_at TEXT,
    -- The stage last told in observe mode.
    observed TEXT
) STRICT;
CREATE UNIQUE INDEX photo_content ON photo (keyed_hash) WHERE stage <> 'destroyed';
CREATE INDEX photo_past_content ON photo (keyed_hash);
CREATE INDEX photo_destroyed ON photo (destroyed_at) WHERE destroyed_at IS NOT NULL;

-- Every name a photo has or had. present: in a root. vaulted: withheld. dropping: sealed, its plaintext is going and
-- never comes back. dropped: gone; kept until the photo is destroyed, because thumbnails are named after paths.
CREATE TABLE photo_file (
    id INTEGER PRIMARY KEY,
    photo TEXT NOT NULL REFERENCES photo (id),
    path BLOB NOT NULL,
    root BLOB NOT NULL,
    in_trash INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('present', 'vaulted', 'dropping', 'dropped')),
    vault BLOB,
    vault_name BLOB,
    dev INTEGER NOT NULL,
    ino INTEGER NOT NULL,
    born_ns INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    ctime_ns INTEGER NOT NULL,
    -- What a photo that is unsealed one day comes back with.
    mode INTEGER NOT NULL,
    uid INTEGER NOT NULL,
    gid INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX photo_file_path ON photo_file (path) WHERE state = 'present';
CREATE INDEX photo_file_photo ON photo_file (photo);

CREATE TABLE photo_tag (
    photo TEXT NOT NULL REFERENCES photo (id),
    child TEXT NOT NULL,
    PRIMARY KEY (photo, child)
) STRICT, WITHOUT ROWID;

CREATE TABLE photo_session (
    id TEXT PRIMARY KEY,
    rooms TEXT NOT NULL,
    started_at TEXT NOT NULL,
    ended_at TEXT
) STRICT;

-- Acts that were begun and not yet known to be done. Read at every start.
CREATE TABLE photo_journal (
    id INTEGER PRIMARY KEY,
    act TEXT NOT NULL CHECK (act IN ('withhold', 'restore', 'seal', 'destroy')),
    photo TEXT NOT NULL REFERENCES photo (id),
    file INTEGER REFERENCES photo_file (id),
    vault BLOB,
    name BLOB,
    detail TEXT,
    begun_at TEXT NOT NULL
) STRICT;

-- What became of a photo's files, for its receipt.
CREATE TABLE photo_artefact (
    photo TEXT NOT NULL REFERENCES photo (id),
    kind TEXT NOT NULL,
    result TEXT NOT NULL
) STRICT;
CREATE INDEX photo_artefact_photo ON photo_artefact (photo);

-- Capture roots as the policy writes them. What was in one before begun_ns was found there, unless done.
CREATE TABLE photo_root (
    pattern TEXT PRIMARY KEY,
    begun_ns INTEGER NOT NULL,
    done INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Every vault ever used.
CREATE TABLE photo_vault (
    path BLOB PRIMARY KEY
) STRICT, WITHOUT ROWID;
