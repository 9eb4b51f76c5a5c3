-- Tokens of other programs: several of a person, each for some acts and until a day.
CREATE TABLE api_tokens (
    setting_id    TEXT NOT NULL,
    token_id      TEXT NOT NULL,
    operator_id   TEXT NOT NULL,
    -- A digest.
    token_hash    TEXT NOT NULL,
    -- Which program has it.
    name          TEXT NOT NULL,
    scopes        TEXT NOT NULL,
    created_at    BIGINT NOT NULL,
    expires_at    BIGINT NOT NULL,
    -- To the minute.
    last_used_at  BIGINT,
    revoked_at    BIGINT,
    PRIMARY KEY (setting_id, token_id),
    UNIQUE (setting_id, token_hash),
    FOREIGN KEY (setting_id, operator_id) REFERENCES operators
);

-- Those there were could do everything, for ever. They go on for 90 days.
INSERT INTO api_tokens
    (setting_id, token_id, operator_id, token_hash, name, scopes, created_at, expires_at)
SELECT setting_id, lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-' || hex(randomblob(2)) || '-' || hex(randomblob(2))
        || '-' || hex(randomblob(6))), operator_id, token_hash, 'from before tokens had names',
    '["read_tablets","import"]',
    CAST(strftime('%s', 'now') AS INTEGER) * 1000000,
    (CAST(strftime('%s', 'now') AS INTEGER) + 90 * 86400) * 1000000
FROM operators WHERE token_hash IS NOT NULL AND removed_at IS NULL;

UPDATE operators SET token_hash = NULL;
