-- Subject access requests for photos: who asked, who agreed, what tablets answered, and what was received for them.

CREATE TABLE access_requests (
    setting_id      TEXT NOT NULL REFERENCES settings,
    request_id      TEXT NOT NULL,
    child_id        TEXT NOT NULL,
    -- The age recipient photos are encrypted to. Its identity is never here.
    recipient       TEXT NOT NULL,
    max_photos      BIGINT NOT NULL,
    asked_by        TEXT NOT NULL,
    asked_at        BIGINT NOT NULL,
    expires_at      BIGINT NOT NULL,
    -- The second person.
    agreed_by       TEXT,
    agreed_at       BIGINT,
    cancelled_by    TEXT,
    cancelled_at    BIGINT,
    -- First written to an archive.
    handed_over_by  TEXT,
    handed_over_at  BIGINT,
    -- What was received is gone from this server.
    purged_by       TEXT,
    purged_at       BIGINT,
    PRIMARY KEY (setting_id, request_id)
);

-- The tablets that are asked: those with photos in which somebody said the child is, when it was agreed to.
CREATE TABLE access_tablets (
    setting_id   TEXT NOT NULL,
    request_id   TEXT NOT NULL,
    device_id    TEXT NOT NULL,
    photos       BIGINT NOT NULL,
    -- As the tablet told.
    finished_at  BIGINT,
    PRIMARY KEY (setting_id, request_id, device_id),
    FOREIGN KEY (setting_id, request_id) REFERENCES access_requests,
    FOREIGN KEY (setting_id, device_id) REFERENCES devices
);

-- What the reviewer at the tablet said of a photo, what the tablet said it was about to send, and what arrived.
CREATE TABLE access_photos (
    setting_id   TEXT NOT NULL,
    request_id   TEXT NOT NULL,
    device_id    TEXT NOT NULL,
    photo_id     TEXT NOT NULL,
    reviewed     TEXT,
    told_sha256  TEXT,
    bytes        BIGINT,
    sha256       TEXT,
    received_at  BIGINT,
    PRIMARY KEY (setting_id, request_id, device_id, photo_id),
    FOREIGN KEY (setting_id, request_id, device_id) REFERENCES access_tablets
);
