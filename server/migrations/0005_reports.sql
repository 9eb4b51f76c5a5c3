-- What each tablet said it enforces when it last asked for its bundle.
CREATE TABLE bundle_reports (
    setting_id   TEXT NOT NULL,
    device_id    TEXT NOT NULL,
    generation   BIGINT NOT NULL,
    digest       TEXT,
    reported_at  BIGINT NOT NULL,
    PRIMARY KEY (setting_id, device_id),
    FOREIGN KEY (setting_id, device_id) REFERENCES devices
);

-- The last bundle that a tablet enforced and this server never issued: its data was put back from an earlier copy.
CREATE TABLE put_backs (
    setting_id    TEXT NOT NULL,
    device_id     TEXT NOT NULL,
    generation    BIGINT NOT NULL,
    digest        TEXT,
    noticed_at    BIGINT NOT NULL,
    settled_at    BIGINT,
    settled_by    TEXT,
    PRIMARY KEY (setting_id, device_id),
    FOREIGN KEY (setting_id, device_id) REFERENCES devices
);

-- That a tablet's events were refused, because they do not continue what is here.
CREATE TABLE record_conflicts (
    setting_id  TEXT NOT NULL,
    device_id   TEXT NOT NULL,
    since       BIGINT NOT NULL,
    last_at     BIGINT NOT NULL,
    times       BIGINT NOT NULL,
    problem     TEXT NOT NULL,
    -- When its events were taken again.
    over_at     BIGINT,
    PRIMARY KEY (setting_id, device_id),
    FOREIGN KEY (setting_id, device_id) REFERENCES devices
);
