-- People who go, and who is the lead for safeguarding on which day.

-- A row stays, so that a name in the audit log is one person's for ever.
ALTER TABLE operators ADD COLUMN removed_at BIGINT;

-- The days on which a deputy is the lead.
CREATE TABLE dsl_covers (
    setting_id   TEXT NOT NULL,
    operator_id  TEXT NOT NULL,
    first_day    TEXT NOT NULL,
    last_day     TEXT NOT NULL,
    PRIMARY KEY (setting_id, operator_id),
    FOREIGN KEY (setting_id, operator_id) REFERENCES operators
);
