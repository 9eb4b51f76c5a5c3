-- Reviews for subject access requests: for which recipient one was begun, and when it was finished.
CREATE TABLE access_review (
    request TEXT PRIMARY KEY,
    -- Whose fingerprint was typed. Another one begins anew.
    recipient TEXT NOT NULL,
    begun_at TEXT NOT NULL,
    finished_at TEXT
) STRICT, WITHOUT ROWID;

-- What the reviewer said. said: not finished, or left out. waiting: to be sent. ready: encrypted, its digest on record. sent:
-- the server has it.
CREATE TABLE access_photo (
    request TEXT NOT NULL REFERENCES access_review (request),
    photo TEXT NOT NULL,
    reviewed TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('said', 'waiting', 'ready', 'sent')),
    bytes INTEGER,
    sha256 BLOB,
    PRIMARY KEY (request, photo)
) STRICT, WITHOUT ROWID;
