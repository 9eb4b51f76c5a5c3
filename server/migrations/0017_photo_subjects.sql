-- Who tablets said is in a photo, so that one child's photos are found without reading everybody's. A reading of `events`,
-- like `photos`. The empty child stands for a photo in which anybody may be.
CREATE TABLE photo_subjects (
    setting_id  TEXT NOT NULL,
    child_id    TEXT NOT NULL,
    device_id   TEXT NOT NULL,
    photo_id    TEXT NOT NULL,
    PRIMARY KEY (setting_id, child_id, device_id, photo_id),
    FOREIGN KEY (setting_id, device_id) REFERENCES devices
);

CREATE INDEX photo_subjects_by_photo ON photo_subjects (setting_id, device_id, photo_id);
