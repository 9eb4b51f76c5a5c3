-- A command that was taken back. Whatever its tablet tells of it later is still noted: it may have had it already.
ALTER TABLE commands ADD COLUMN cancelled_by TEXT;
ALTER TABLE commands ADD COLUMN cancelled_at BIGINT;
