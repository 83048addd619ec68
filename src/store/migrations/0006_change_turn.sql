-- In which order changes took effect: a staged one is published after others that were made after it. Never less than an id
-- that was given before, so that what a folder's plan took in by its id stays taken in.
ALTER TABLE change ADD COLUMN turn INTEGER;
UPDATE change SET turn = id WHERE state = 'published';
CREATE INDEX change_turn ON change (turn);
