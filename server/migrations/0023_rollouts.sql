-- Versions of profiles that some tablets have before the others. At most one of a profile is under way.
CREATE TABLE rollouts (
    setting_id   TEXT NOT NULL REFERENCES settings,
    profile      TEXT NOT NULL,
    begun_at     BIGINT NOT NULL,
    begun_by     TEXT NOT NULL,
    -- TOML, exactly as it was written.
    source       TEXT NOT NULL,
    -- The live version it was compared with.
    on_version   BIGINT NOT NULL,
    -- Why it goes no further, as JSON. NULL: it goes on.
    stopped      TEXT,
    ended_at     BIGINT,
    -- `live`, `taken_back`, or `overtaken` by another version that was made live.
    ended        TEXT,
    PRIMARY KEY (setting_id, profile, begun_at)
);

CREATE UNIQUE INDEX rollouts_under_way ON rollouts (setting_id, profile) WHERE ended_at IS NULL;

CREATE TABLE rollout_tablets (
    setting_id   TEXT NOT NULL,
    profile      TEXT NOT NULL,
    begun_at     BIGINT NOT NULL,
    device_id    TEXT NOT NULL,
    joined_at    BIGINT NOT NULL,
    -- Controls that were not as they should be before it joined, as a JSON list.
    already      TEXT NOT NULL,
    -- A person said that it goes on although this tablet is in trouble: it neither stops it any more nor is waited for.
    excused      INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (setting_id, profile, begun_at, device_id),
    FOREIGN KEY (setting_id, profile, begun_at) REFERENCES rollouts
);

CREATE INDEX rollout_tablets_by_device ON rollout_tablets (setting_id, device_id, joined_at);
