-- Photos on their way into a vault, under the name that is made of photo and file: thousands at once, so by file alone and
-- without another index. Other acts stay in the journal.
CREATE TABLE photo_withholding (
    file INTEGER PRIMARY KEY REFERENCES photo_file (id),
    vault BLOB NOT NULL,
    begun_at TEXT NOT NULL
) STRICT;
INSERT OR IGNORE INTO photo_withholding SELECT file, vault, begun_at FROM photo_journal
    WHERE act = 'withhold' AND file IS NOT NULL AND vault IS NOT NULL;
DELETE FROM photo_journal WHERE act = 'withhold';

-- Photos of which only the beginning was read have no content to be found by.
DROP INDEX photo_past_content;
CREATE INDEX photo_past_content ON photo (keyed_hash) WHERE keyed_hash <> x'';
