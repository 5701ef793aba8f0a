-- When a turn of the conversation last settled: an answer after a long rest says which conversation it continues.
ALTER TABLE conversations ADD COLUMN last_settled_ms INTEGER;
UPDATE conversations SET last_settled_ms = (SELECT max(settled_at_ms) FROM turns WHERE conversation = conversations.id);
-- The platform's code of the last refusal: told to whoever waits when no form of a message was taken.
ALTER TABLE messages ADD COLUMN problem_code INTEGER;
