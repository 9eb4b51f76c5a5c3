-- A photo's names are the photo itself, or sidecars that describe it.
ALTER TABLE photo_file ADD COLUMN part TEXT NOT NULL DEFAULT 'photo' CHECK (part IN ('photo', 'sidecar'));
-- Pictures of one moment or one picture's earlier versions: what is said of one is said of all.
ALTER TABLE photo ADD COLUMN companion_of TEXT;
CREATE INDEX photo_companion ON photo (companion_of) WHERE companion_of IS NOT NULL;
CREATE INDEX photo_file_any_path ON photo_file (path);
