-- The photos of a session are asked for when it ends, and when somebody ticks who is here.
CREATE INDEX photo_of_session ON photo (session) WHERE session IS NOT NULL;

-- Photos are counted after every pass: without looking any of them up.
DROP INDEX photo_counted;
CREATE INDEX photo_counted ON photo (stage, found_month, names, captured_at)
    WHERE names > 0 OR stage = 'sealed' OR stage = 'destroyed';
