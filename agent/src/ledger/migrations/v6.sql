-- How a photo begins, keyed, with its length: tells most contents apart without reading them whole. NULL: not known.
-- Until the whole was read, keyed_hash is empty.
ALTER TABLE photo ADD COLUMN head BLOB;
CREATE INDEX photo_head ON photo (bytes, head);
DROP INDEX photo_content;
CREATE UNIQUE INDEX photo_content ON photo (keyed_hash) WHERE stage <> 'destroyed' AND keyed_hash <> x'';

-- Names of the photo itself that are left, so that photos are counted without their files.
ALTER TABLE photo ADD COLUMN names INTEGER NOT NULL DEFAULT 0;
UPDATE photo SET names = (SELECT count(*) FROM photo_file f
    WHERE f.photo = photo.id AND f.part = 'photo' AND f.state <> 'dropped');
CREATE TRIGGER photo_file_added AFTER INSERT ON photo_file WHEN new.part = 'photo' AND new.state <> 'dropped'
BEGIN
    UPDATE photo SET names = names + 1 WHERE id = new.photo;
END;
CREATE TRIGGER photo_file_removed AFTER DELETE ON photo_file WHEN old.part = 'photo' AND old.state <> 'dropped'
BEGIN
    UPDATE photo SET names = names - 1 WHERE id = old.photo;
END;
CREATE TRIGGER photo_file_changed AFTER UPDATE OF photo, state ON photo_file
WHEN new.part = 'photo' AND (new.photo <> old.photo OR (new.state = 'dropped') <> (old.state = 'dropped'))
BEGIN
    UPDATE photo SET names = names - (old.state <> 'dropped') WHERE id = old.photo;
    UPDATE photo SET names = names + (new.state <> 'dropped') WHERE id = new.photo;
END;
CREATE INDEX photo_counted ON photo (stage, found_month) WHERE names > 0 OR stage = 'sealed' OR stage = 'destroyed';

-- Entries are closed by file and by photo.
CREATE INDEX photo_journal_file ON photo_journal (file);
CREATE INDEX photo_journal_photo ON photo_journal (photo);
