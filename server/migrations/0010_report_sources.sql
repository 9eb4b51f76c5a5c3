-- What reports on a past week rest on.

-- The hours in which a tablet told how it stands. An inventory replaces the one before; that one came is kept here.
CREATE TABLE device_hours (
    setting_id   TEXT NOT NULL,
    device_id    TEXT NOT NULL,
    -- Hours since 1970.
    hour         BIGINT NOT NULL,
    first_at     BIGINT NOT NULL,
    last_at      BIGINT NOT NULL,
    -- The oldest reading of a control that the last of them rests on; absent: it told of none.
    measured_at  BIGINT,
    PRIMARY KEY (setting_id, device_id, hour),
    FOREIGN KEY (setting_id, device_id) REFERENCES devices
);

-- One week's events without reading all others.
CREATE INDEX events_by_time ON events (setting_id, device_id, at, seq);

CREATE INDEX audit_by_act ON audit (setting_id, act, at);

-- How each tablet stood after one of its events: a reading of `events`, so that a report on one week does not read the
-- year before it.
CREATE TABLE tallies (
    setting_id  TEXT NOT NULL,
    device_id   TEXT NOT NULL,
    seq         BIGINT NOT NULL,
    version     BIGINT NOT NULL,
    -- Events up to `seq` without a body.
    erased      BIGINT NOT NULL,
    tally       TEXT NOT NULL,
    PRIMARY KEY (setting_id, device_id),
    FOREIGN KEY (setting_id, device_id) REFERENCES devices
);

CREATE INDEX events_erased ON events (setting_id, device_id, seq) WHERE body IS NULL;
