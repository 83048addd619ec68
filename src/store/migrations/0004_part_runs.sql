-- A run that looked at some clients only says nothing about the others, however well it ended.
ALTER TABLE run ADD COLUMN part INTEGER NOT NULL DEFAULT 0;
