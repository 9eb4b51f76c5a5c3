-- When somebody at the tablet last said who is in a photo, and when the manager's word that was taken over last was given.
ALTER TABLE photo ADD COLUMN tagged_at TEXT;
ALTER TABLE photo ADD COLUMN corrected_at TEXT;
-- Whether the server was told what its verdict rests on, as it is now.
ALTER TABLE photo ADD COLUMN told INTEGER NOT NULL DEFAULT 0;
CREATE INDEX photo_untold ON photo (id) WHERE told = 0 AND found_month IS NULL AND stage <> 'destroyed';

-- The journal learns of unsealing.
CREATE TABLE photo_journal_2 (
    id INTEGER PRIMARY KEY,
    act TEXT NOT NULL CHECK (act IN ('withhold', 'restore', 'seal', 'unseal', 'destroy')),
    photo TEXT NOT NULL REFERENCES photo (id),
    file INTEGER REFERENCES photo_file (id),
    vault BLOB,
    name BLOB,
    detail TEXT,
    begun_at TEXT NOT NULL
) STRICT;
INSERT INTO photo_journal_2 SELECT id, act, photo, file, vault, name, detail, begun_at FROM photo_journal;
DROP TABLE photo_journal;
ALTER TABLE photo_journal_2 RENAME TO photo_journal;
