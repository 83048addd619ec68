-- Who staged a change, as a person: nobody publishes their own, and one person may act under several names.
ALTER TABLE change ADD COLUMN person TEXT;
