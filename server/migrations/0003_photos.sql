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

-- Which version of the reading a table holds; an older one is read again when the database is opened.
CREATE TABLE projections (
    setting_id  TEXT NOT NULL REFERENCES settings,
    name        TEXT NOT NULL,
    version     BIGINT NOT NULL,
    PRIMARY KEY (setting_id, name)
);
