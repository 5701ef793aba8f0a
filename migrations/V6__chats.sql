-- Chats in which somebody whom ally works for has written, and since when, by the platform's clock: what was missed is
-- looked for in these.
CREATE TABLE chats (
    channel       TEXT NOT NULL,
    chat          TEXT NOT NULL,
    chat_kind     TEXT NOT NULL,
    known_since_ms INTEGER NOT NULL,
    PRIMARY KEY (channel, chat)
) STRICT, WITHOUT ROWID;
INSERT INTO chats (channel, chat, chat_kind, known_since_ms)
SELECT channel, chat, chat_kind, min(coalesce(sent_at_ms, received_at_ms)) FROM inbound
WHERE kind = 'message' AND chat IS NOT NULL AND chat_kind IS NOT NULL GROUP BY channel, chat;
INSERT INTO chats (channel, chat, chat_kind, known_since_ms)
SELECT channel, chat, chat_kind, min(created_at_ms) FROM conversations WHERE true GROUP BY channel, chat
ON CONFLICT DO NOTHING;
-- The newest row of a channel.
CREATE INDEX inbound_channel ON inbound (channel);
-- A chat's conversations, as they were last used.
CREATE INDEX conversations_recent ON conversations (channel, chat, active_at_ms);
-- Which conversation goes on with a thread.
CREATE INDEX conversations_thread ON conversations (thread) WHERE thread IS NOT NULL;
