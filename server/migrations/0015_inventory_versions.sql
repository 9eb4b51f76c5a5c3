-- Tells one inventory of a tablet from the next, so that what was read of it once need not be read again.
ALTER TABLE inventories ADD COLUMN version BIGINT NOT NULL DEFAULT 1;
