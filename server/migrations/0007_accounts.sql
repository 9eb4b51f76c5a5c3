-- How people sign in to the console. A row here is what an operator made of their invitation.

CREATE TABLE accounts (
    setting_id    TEXT NOT NULL,
    operator_id   TEXT NOT NULL,
    -- Argon2id, as a PHC string.
    password      TEXT NOT NULL,
    -- Shared with the person's authenticator; base64.
    totp          TEXT NOT NULL,
    -- The newest time step a code was taken for: none is taken twice.
    totp_step     BIGINT NOT NULL,
    made_at       BIGINT NOT NULL,
    -- Refused tries in a row.
    failures      BIGINT NOT NULL DEFAULT 0,
    locked_until  BIGINT,
    PRIMARY KEY (setting_id, operator_id)
);

-- Printed codes that take the authenticator's place, each once. Digests.
CREATE TABLE recovery_codes (
    setting_id   TEXT NOT NULL,
    operator_id  TEXT NOT NULL,
    code_hash    TEXT NOT NULL,
    used_at      BIGINT,
    PRIMARY KEY (setting_id, operator_id, code_hash),
    FOREIGN KEY (setting_id, operator_id) REFERENCES accounts
);

-- Links with which an operator makes their account, each once. The newest of an operator is the only one.
CREATE TABLE invitations (
    setting_id   TEXT NOT NULL REFERENCES settings,
    token_hash   TEXT NOT NULL,
    operator_id  TEXT NOT NULL,
    expires_at   BIGINT NOT NULL,
    used_at      BIGINT,
    PRIMARY KEY (setting_id, token_hash)
);

CREATE TABLE sessions (
    setting_id    TEXT NOT NULL,
    session_hash  TEXT NOT NULL,
    operator_id   TEXT NOT NULL,
    begun_at      BIGINT NOT NULL,
    seen_at       BIGINT NOT NULL,
    ends_at       BIGINT NOT NULL,
    PRIMARY KEY (setting_id, session_hash),
    FOREIGN KEY (setting_id, operator_id) REFERENCES accounts
);

CREATE INDEX sessions_of_operator ON sessions (setting_id, operator_id);

-- Receipts are looked through the newest first, among photos of which most have none.
CREATE INDEX photos_with_receipt ON photos (setting_id, stage_at) WHERE receipt IS NOT NULL;
