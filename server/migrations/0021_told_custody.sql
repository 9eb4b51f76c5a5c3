-- What tablets told of who has them, until it is written into the registers: kept in the transaction that keeps the events, so
-- that none is lost between the two.
CREATE TABLE told_custody (
    setting_id  TEXT NOT NULL REFERENCES settings,
    device_id   TEXT NOT NULL,
    seq         BIGINT NOT NULL,
    -- Microseconds, by the tablet's trusted time.
    at          BIGINT NOT NULL,
    body        TEXT NOT NULL,
    PRIMARY KEY (setting_id, device_id, seq)
);
