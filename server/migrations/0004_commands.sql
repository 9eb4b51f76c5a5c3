-- What tablets were told to do, who wanted it, and what came of it.

CREATE TABLE commands (
    setting_id  TEXT NOT NULL,
    device_id   TEXT NOT NULL,
    command_id  TEXT NOT NULL,
    -- As the tablet gets it, with its approvals.
    command     TEXT NOT NULL,
    ordered_by  TEXT NOT NULL,
    -- As the tablet told; absent until it did.
    outcome     TEXT,
    outcome_at  BIGINT,
    PRIMARY KEY (setting_id, device_id, command_id),
    FOREIGN KEY (setting_id, device_id) REFERENCES devices
);
