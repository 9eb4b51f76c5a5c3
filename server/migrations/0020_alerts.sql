-- What is told to people by e-mail.

-- Where alerts for a person go.
CREATE TABLE operator_addresses (
    setting_id   TEXT NOT NULL,
    operator_id  TEXT NOT NULL,
    address      TEXT NOT NULL,
    PRIMARY KEY (setting_id, operator_id),
    FOREIGN KEY (setting_id, operator_id) REFERENCES operators
);

-- What was put into mails: once for every key. Whom it was sent to is not kept.
CREATE TABLE alerts (
    setting_id    TEXT NOT NULL REFERENCES settings,
    alert_key     TEXT NOT NULL,
    -- Whose it is to look at it in the console. NULL: nobody's in particular.
    owner         TEXT,
    made_at       BIGINT NOT NULL,
    opened_at     BIGINT,
    opened_by     TEXT,
    -- When it went on to who stands in for the owner.
    passed_on_at  BIGINT,
    PRIMARY KEY (setting_id, alert_key)
);

CREATE INDEX alerts_by_time ON alerts (setting_id, made_at);

-- Mails on their way. One that was sent is gone from here.
CREATE TABLE mails (
    setting_id   TEXT NOT NULL,
    mail_key   TEXT NOT NULL,
    operator_id  TEXT NOT NULL,
    subject      TEXT NOT NULL,
    body         TEXT NOT NULL,
    made_at      BIGINT NOT NULL,
    tries        BIGINT NOT NULL DEFAULT 0,
    next_try_at  BIGINT NOT NULL,
    problem      TEXT,
    gave_up_at   BIGINT,
    PRIMARY KEY (setting_id, mail_key, operator_id),
    FOREIGN KEY (setting_id, operator_id) REFERENCES operators
);

-- How sending goes: one row once anything was tried.
CREATE TABLE mail_state (
    setting_id   TEXT NOT NULL PRIMARY KEY REFERENCES settings,
    sent_at      BIGINT,
    failed_at    BIGINT,
    problem      TEXT
);
