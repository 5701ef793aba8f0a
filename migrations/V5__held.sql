-- How far the runtime's output had been read when the turn was submitted: a new bridge reads again from there.
ALTER TABLE turns ADD COLUMN position INTEGER;
