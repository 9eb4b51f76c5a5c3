-- Second factors: what authenticators share lies sealed, and passkeys take their place.

-- An age file in base64, to this server's release key. NULL: no authenticator, or one from before this column, which `serve`
-- seals at its next start. `totp` is empty from then on.
ALTER TABLE accounts ADD COLUMN sealed_totp TEXT;

CREATE TABLE passkeys (
    setting_id    TEXT NOT NULL,
    passkey_id    TEXT NOT NULL,
    operator_id   TEXT NOT NULL,
    -- As its owner calls it.
    name          TEXT NOT NULL,
    -- The authenticator's id of it; base64.
    credential    TEXT NOT NULL,
    -- Public key and what was agreed when it was added; base64.
    public_key    TEXT NOT NULL,
    -- What changes with each use, its counter above all; base64.
    state         TEXT NOT NULL,
    added_at      BIGINT NOT NULL,
    last_used_at  BIGINT,
    -- Its counter went back: there may be a copy. Nobody signs in with it any more.
    copied_at     BIGINT,
    PRIMARY KEY (setting_id, passkey_id),
    UNIQUE (setting_id, credential),
    FOREIGN KEY (setting_id, operator_id) REFERENCES accounts
);

CREATE INDEX passkeys_of_operator ON passkeys (setting_id, operator_id);
