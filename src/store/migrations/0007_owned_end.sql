-- When the target ends a grant by itself, because we said so: what ends then was not taken away by hand.
ALTER TABLE owned ADD COLUMN ends INTEGER;
