-- Children somebody said are there in a session, besides those booked.
CREATE TABLE photo_present (
    session TEXT NOT NULL REFERENCES photo_session (id),
    child TEXT NOT NULL,
    PRIMARY KEY (session, child)
) STRICT, WITHOUT ROWID;
