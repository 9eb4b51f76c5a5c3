-- The setting's registers: incidents, concerns, staff, the acceptable use policy, custody. An entry is the lines that were
-- written about it, and lines are only ever added; a later one goes on, corrects or ends what is before it.

CREATE TABLE entries (
    setting_id  TEXT NOT NULL REFERENCES settings,
    register    TEXT NOT NULL,
    entry_id    TEXT NOT NULL,
    begun_at    BIGINT NOT NULL,
    -- Absent: it is open.
    closed_at   BIGINT,
    -- What no two open entries of a register may be about; absent: nothing of the kind.
    subject     TEXT,
    -- Who may read it, where not everybody may whom the register is for; an age file in base64 to this server's release key.
    circle      TEXT,
    PRIMARY KEY (setting_id, register, entry_id)
);

CREATE UNIQUE INDEX entries_open_about ON entries (setting_id, register, subject)
    WHERE closed_at IS NULL AND subject IS NOT NULL;
CREATE INDEX entries_open ON entries (setting_id, register, begun_at) WHERE closed_at IS NULL;
CREATE INDEX entries_by_time ON entries (setting_id, register, begun_at);

CREATE TABLE entry_lines (
    setting_id  TEXT NOT NULL,
    register    TEXT NOT NULL,
    entry_id    TEXT NOT NULL,
    seq         BIGINT NOT NULL,
    at          BIGINT NOT NULL,
    written_by  TEXT NOT NULL,
    -- Codes, times and ids; neither a name nor free text.
    act         TEXT NOT NULL,
    -- Names and free text, sealed as above. Absent: none was written, or it was erased.
    words       TEXT,
    -- The first of the two people who erase words.
    erase_asked_by   TEXT,
    erase_asked_why  TEXT,
    erased_at   BIGINT,
    erased_why  TEXT,
    PRIMARY KEY (setting_id, register, entry_id, seq),
    FOREIGN KEY (setting_id, register, entry_id) REFERENCES entries
);
