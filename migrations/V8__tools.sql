-- Calls of an agent's own tools that were let in. The id is the tool server's, one a call: a call that is made again because
-- its answer was lost is recognised. Of a conversation only what limits and repetitions need is kept.
CREATE TABLE tool_calls (
    id           TEXT PRIMARY KEY,
    conversation TEXT NOT NULL REFERENCES conversations (id),
    turn         TEXT NOT NULL REFERENCES turns (id),
    tool         TEXT NOT NULL,
    -- What the agent was told.
    told         TEXT NOT NULL,
    at_ms        INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX tool_calls_conversation ON tool_calls (conversation, at_ms);
