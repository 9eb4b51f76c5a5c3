-- In the subset that SQLite and PostgreSQL share. Times are microseconds since 1970 unless a chain commits to their text;
-- ids, digests (hex) and keys (base64) are text. Every row belongs to a setting.

CREATE TABLE settings (
    setting_id  TEXT NOT NULL PRIMARY KEY,
    name        TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    -- Grows with every change that may show in a bundle.
    inputs      BIGINT NOT NULL DEFAULT 0
);

CREATE TABLE devices (
    setting_id      TEXT NOT NULL REFERENCES settings,
    device_id       TEXT NOT NULL,
    name            TEXT NOT NULL,
    profile         TEXT NOT NULL,
    rooms           TEXT NOT NULL,
    overrides       TEXT NOT NULL,
    platform        TEXT NOT NULL,
    agent_version   TEXT NOT NULL,
    time_zone_data  TEXT NOT NULL,
    enrolled_at     BIGINT NOT NULL,
    last_seen_at    BIGINT,
    revoked_at      BIGINT,
    revoked_why     TEXT,
    PRIMARY KEY (setting_id, device_id)
);

-- Every key a tablet ever had, so that heads it signed long ago can still be checked.
CREATE TABLE device_keys (
    setting_id   TEXT NOT NULL,
    device_id    TEXT NOT NULL,
    public_key   TEXT NOT NULL,
    certificate  TEXT NOT NULL,
    issued_at    BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL,
    PRIMARY KEY (setting_id, device_id, public_key, issued_at),
    FOREIGN KEY (setting_id, device_id) REFERENCES devices
);

CREATE TABLE enrol_tokens (
    setting_id  TEXT NOT NULL REFERENCES settings,
    token_hash  TEXT NOT NULL,
    name        TEXT NOT NULL,
    profile     TEXT NOT NULL,
    rooms       TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL,
    used_at     BIGINT,
    used_by     TEXT,
    PRIMARY KEY (setting_id, token_hash)
);

CREATE TABLE events (
    setting_id   TEXT NOT NULL,
    device_id    TEXT NOT NULL,
    seq          BIGINT NOT NULL,
    -- The text the chain commits to.
    at           TEXT NOT NULL,
    kind         TEXT NOT NULL,
    -- Erased together; the chain commits to body_digest.
    body         TEXT,
    salt         TEXT,
    body_digest  TEXT NOT NULL,
    previous     TEXT NOT NULL,
    hash         TEXT NOT NULL,
    received_at  BIGINT NOT NULL,
    erased_at    BIGINT,
    erased_why   TEXT,
    PRIMARY KEY (setting_id, device_id, seq),
    FOREIGN KEY (setting_id, device_id) REFERENCES devices
);

CREATE INDEX events_by_kind ON events (setting_id, kind, received_at);

CREATE TABLE event_heads (
    setting_id   TEXT NOT NULL,
    device_id    TEXT NOT NULL,
    seq          BIGINT NOT NULL,
    payload      TEXT NOT NULL,
    key_id       TEXT NOT NULL,
    signature    TEXT NOT NULL,
    public_key   TEXT NOT NULL,
    received_at  BIGINT NOT NULL,
    PRIMARY KEY (setting_id, device_id, seq),
    FOREIGN KEY (setting_id, device_id, seq) REFERENCES events
);

CREATE TABLE bundles (
    setting_id      TEXT NOT NULL,
    device_id       TEXT NOT NULL,
    generation      BIGINT NOT NULL,
    content_digest  TEXT NOT NULL,
    payload_digest  TEXT NOT NULL,
    holds_digest    TEXT NOT NULL,
    issued_at       BIGINT NOT NULL,
    expires_at      BIGINT NOT NULL,
    key_id          TEXT NOT NULL,
    signature       TEXT NOT NULL,
    -- Of the newest only; an older one says nothing that may be acted on.
    payload         TEXT,
    PRIMARY KEY (setting_id, device_id, generation),
    FOREIGN KEY (setting_id, device_id) REFERENCES devices
);

CREATE TABLE inventories (
    setting_id   TEXT NOT NULL,
    device_id    TEXT NOT NULL,
    received_at  BIGINT NOT NULL,
    inventory    TEXT NOT NULL,
    PRIMARY KEY (setting_id, device_id),
    FOREIGN KEY (setting_id, device_id) REFERENCES devices
);

CREATE TABLE nonces (
    setting_id  TEXT NOT NULL REFERENCES settings,
    nonce_hash  TEXT NOT NULL,
    expires_at  BIGINT NOT NULL,
    PRIMARY KEY (setting_id, nonce_hash)
);

CREATE TABLE profiles (
    setting_id  TEXT NOT NULL REFERENCES settings,
    name        TEXT NOT NULL,
    version     BIGINT NOT NULL,
    source      TEXT NOT NULL,
    applied_at  BIGINT NOT NULL,
    applied_by  TEXT NOT NULL,
    PRIMARY KEY (setting_id, name, version)
);

-- The only place that knows a child's name.
CREATE TABLE children (
    setting_id  TEXT NOT NULL REFERENCES settings,
    child_id    TEXT NOT NULL,
    reference   TEXT NOT NULL,
    first_name  TEXT NOT NULL,
    last_name   TEXT NOT NULL,
    family_id   TEXT,
    entry       TEXT NOT NULL,
    PRIMARY KEY (setting_id, child_id),
    UNIQUE (setting_id, reference)
);

CREATE TABLE consents (
    setting_id   TEXT NOT NULL,
    consent_id   TEXT NOT NULL,
    child_id     TEXT NOT NULL,
    purpose      TEXT NOT NULL,
    state        TEXT NOT NULL,
    recorded_at  BIGINT NOT NULL,
    record       TEXT NOT NULL,
    PRIMARY KEY (setting_id, consent_id),
    FOREIGN KEY (setting_id, child_id) REFERENCES children
);

CREATE INDEX consents_by_child ON consents (setting_id, child_id);

CREATE TABLE holds (
    setting_id            TEXT NOT NULL REFERENCES settings,
    hold_id               TEXT NOT NULL,
    hold                  TEXT NOT NULL,
    opened_by             TEXT NOT NULL,
    release_requested_by  TEXT,
    release_requested_at  BIGINT,
    released_by           TEXT,
    released_at           BIGINT,
    PRIMARY KEY (setting_id, hold_id)
);

CREATE TABLE operators (
    setting_id   TEXT NOT NULL REFERENCES settings,
    operator_id  TEXT NOT NULL,
    name         TEXT NOT NULL,
    roles        TEXT NOT NULL,
    created_at   BIGINT NOT NULL,
    -- Of the token for the admin API; absent: none was given out.
    token_hash   TEXT,
    PRIMARY KEY (setting_id, operator_id),
    UNIQUE (setting_id, name)
);

CREATE TABLE audit (
    setting_id  TEXT NOT NULL REFERENCES settings,
    seq         BIGINT NOT NULL,
    at          BIGINT NOT NULL,
    who         TEXT NOT NULL,
    act         TEXT NOT NULL,
    subject     TEXT NOT NULL,
    detail      TEXT NOT NULL,
    PRIMARY KEY (setting_id, seq)
);
