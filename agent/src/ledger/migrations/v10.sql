-- What lies in a vault and in no other folder, so that another one under its name is not taken for it. NULL: it was not
-- marked yet.
ALTER TABLE photo_vault ADD COLUMN mark BLOB;
