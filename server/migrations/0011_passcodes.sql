-- Passcodes that were set in the console and wait for their tablet. A row goes, and what it held is overwritten, as soon as
-- its command has ended; who set it, for what, and when it took effect stay with the command and in the audit log.
CREATE TABLE waiting_passcodes (
    setting_id  TEXT NOT NULL,
    device_id   TEXT NOT NULL,
    command_id  TEXT NOT NULL,
    -- An age file in base64, to this server's release key: nonce and code.
    sealed      TEXT NOT NULL,
    PRIMARY KEY (setting_id, device_id, command_id),
    FOREIGN KEY (setting_id, device_id, command_id) REFERENCES commands
);
