-- What a command asks for: those that mark tablets as lost or found, and those that are limited to so many an hour, are found
-- without reading all.
ALTER TABLE commands ADD COLUMN kind TEXT NOT NULL DEFAULT '';
UPDATE commands SET kind = json_extract(command, '$.command.do');
CREATE INDEX commands_of_kind ON commands (setting_id, kind, command_id);
