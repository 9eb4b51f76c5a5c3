-- What tablets told of their photos, read from the event log, and what people decided about them.

-- A reading of `events`: always the same as reading them again from the first. No image, no name.
CREATE TABLE photos (
    setting_id        TEXT NOT NULL,
    device_id         TEXT NOT NULL,
    photo_id          TEXT NOT NULL,
    -- Absent until the tablet told what its verdict rests on.
    media             TEXT,
    facts             TEXT,
    facts_at          BIGINT,
    stage             TEXT NOT NULL,
    stage_at          BIGINT,
    cause             TEXT,
    -- Since when a stage could not be carried out, and why.
    incomplete_since  BIGINT,
    incomplete        TEXT,
    receipt           TEXT,
    -- The last event that said anything about it.
    seq               BIGINT NOT NULL,
    PRIMARY KEY (setting_id, device_id, photo_id),
    FOREIGN KEY (setting_id, device_id) REFERENCES devices
);

CREATE INDEX photos_by_id ON photos (setting_id, photo_id);

-- Which version of the reading a table holds; an older one is read again when the database is opened. `changes` grows
-- with every batch of events that says something of photos.
CREATE TABLE projections (
    setting_id  TEXT NOT NULL REFERENCES settings,
    name        TEXT NOT NULL,
    version     BIGINT NOT NULL,
    changes     BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (setting_id, name)
);

-- The purposes a photo was usable for when it was last judged: what is missing next time has to be taken down. Not read
-- from events, so never made again.
CREATE TABLE photo_uses (
    setting_id  TEXT NOT NULL,
    device_id   TEXT NOT NULL,
    photo_id    TEXT NOT NULL,
    usable      TEXT NOT NULL,
    PRIMARY KEY (setting_id, device_id, photo_id),
    FOREIGN KEY (setting_id, device_id) REFERENCES devices
);

-- A manager's word on who is in a photo; the newest stands.
CREATE TABLE photo_corrections (
    setting_id  TEXT NOT NULL,
    device_id   TEXT NOT NULL,
    photo_id    TEXT NOT NULL,
    correction  TEXT NOT NULL,
    PRIMARY KEY (setting_id, device_id, photo_id),
    FOREIGN KEY (setting_id, device_id) REFERENCES devices
);

-- A manager's word on the photos that were on a tablet before it was enrolled.
CREATE TABLE found_photos (
    setting_id  TEXT NOT NULL,
    device_id   TEXT NOT NULL,
    found       TEXT NOT NULL,
    PRIMARY KEY (setting_id, device_id),
    FOREIGN KEY (setting_id, device_id) REFERENCES devices
);

-- People who want a sealed photo opened although the register does not say so.
CREATE TABLE unseal_decisions (
    setting_id    TEXT NOT NULL,
    device_id     TEXT NOT NULL,
    photo_id      TEXT NOT NULL,
    reason        TEXT NOT NULL,
    asked_by      TEXT NOT NULL,
    asked_at      BIGINT NOT NULL,
    confirmed_by  TEXT,
    confirmed_at  BIGINT,
    PRIMARY KEY (setting_id, device_id, photo_id),
    FOREIGN KEY (setting_id, device_id) REFERENCES devices
);

-- Which sealed file was opened as which photo: one authorised photo opens one file, whatever a tablet claims.
CREATE TABLE unsealed_files (
    setting_id     TEXT NOT NULL,
    stanza_digest  TEXT NOT NULL,
    device_id      TEXT NOT NULL,
    photo_id       TEXT NOT NULL,
    -- When the tablet said it had sealed this file; empty: it did not say.
    sealed_at      TEXT NOT NULL,
    answered_at    BIGINT NOT NULL,
    PRIMARY KEY (setting_id, stanza_digest),
    UNIQUE (setting_id, device_id, photo_id, sealed_at),
    FOREIGN KEY (setting_id, device_id) REFERENCES devices
);

-- What a person has to do. `task_key` says what it is about: while one is open, no second is made.
CREATE TABLE tasks (
    setting_id  TEXT NOT NULL REFERENCES settings,
    task_id     TEXT NOT NULL,
    task_key    TEXT NOT NULL,
    kind        TEXT NOT NULL,
    subject     TEXT NOT NULL,
    owner       TEXT NOT NULL,
    due         TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    closed_at   BIGINT,
    closed_by   TEXT,
    note        TEXT,
    PRIMARY KEY (setting_id, task_id)
);

CREATE INDEX tasks_by_key ON tasks (setting_id, task_key);
