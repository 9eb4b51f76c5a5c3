-- The newest receipts without reading every photo.
CREATE INDEX photos_receipts ON photos (setting_id, stage_at DESC, photo_id) WHERE receipt IS NOT NULL;
