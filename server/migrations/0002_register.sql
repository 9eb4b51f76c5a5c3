-- What was set here in spite of the booking system's file, with what the file said then; absent: nothing.
ALTER TABLE children ADD COLUMN set_here TEXT;

-- How the headings and words of a booking system's export are read.
CREATE TABLE mappings (
    setting_id       TEXT NOT NULL REFERENCES settings,
    name             TEXT NOT NULL,
    source           TEXT NOT NULL,
    saved_at         BIGINT NOT NULL,
    saved_by         TEXT NOT NULL,
    -- Of what a person agreed to: this source with this header. Absent: nobody has yet.
    accepted_digest  TEXT,
    accepted_at      BIGINT,
    accepted_by      TEXT,
    PRIMARY KEY (setting_id, name)
);

-- Answers to imports over the admin API, so that one sent twice is made once.
CREATE TABLE import_keys (
    setting_id   TEXT NOT NULL REFERENCES settings,
    import_key   TEXT NOT NULL,
    body_digest  TEXT NOT NULL,
    at           BIGINT NOT NULL,
    answer       TEXT NOT NULL,
    PRIMARY KEY (setting_id, import_key)
);

-- Files in the watched folder that wait for a person.
CREATE TABLE waiting_files (
    setting_id  TEXT NOT NULL REFERENCES settings,
    name        TEXT NOT NULL,
    digest      TEXT NOT NULL,
    since       BIGINT NOT NULL,
    why         TEXT NOT NULL,
    PRIMARY KEY (setting_id, name)
);
