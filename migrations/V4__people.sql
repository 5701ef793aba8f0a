-- How risky a request is, as it was judged when it came, and by what words of it.
ALTER TABLE gates ADD COLUMN class TEXT NOT NULL DEFAULT 'unknown';
ALTER TABLE gates ADD COLUMN why TEXT;
-- The sandbox holds what is asked for.
ALTER TABLE gates ADD COLUMN sandboxed INTEGER NOT NULL DEFAULT 0;
-- It is of no use without a network, and to allow it gives none.
ALTER TABLE gates ADD COLUMN needs_network INTEGER NOT NULL DEFAULT 0;
-- The first request of the card that lists this one.
ALTER TABLE gates ADD COLUMN card TEXT;
-- When the card first showed it.
ALTER TABLE gates ADD COLUMN shown_at_ms INTEGER;
-- The rule that its decision made, or that decided it.
ALTER TABLE gates ADD COLUMN rule INTEGER REFERENCES rules (number);
ALTER TABLE gates ADD COLUMN by_rule INTEGER NOT NULL DEFAULT 0;
UPDATE gates SET card = id;
CREATE INDEX gates_card ON gates (card, number) WHERE card IS NOT NULL;
CREATE INDEX gates_rule ON gates (rule) WHERE rule IS NOT NULL;

-- What was allowed for longer than once. Kept after its end: the audit names it.
CREATE TABLE rules (
    number        INTEGER PRIMARY KEY AUTOINCREMENT,
    channel       TEXT NOT NULL,
    chat          TEXT NOT NULL,
    -- Of a rule that ends with its task.
    turn          TEXT REFERENCES turns (id),
    span          TEXT NOT NULL CHECK (span IN ('task', 'hours', 'always')),
    subject       TEXT NOT NULL,
    directory     TEXT NOT NULL,
    class         TEXT NOT NULL,
    sandboxed     INTEGER NOT NULL,
    made_by       TEXT NOT NULL,
    made_name     TEXT NOT NULL,
    made_at_ms    INTEGER NOT NULL,
    expires_at_ms INTEGER,
    uses          INTEGER NOT NULL DEFAULT 0,
    last_used_ms  INTEGER,
    ended_at_ms   INTEGER,
    ended_by      TEXT
) STRICT;
CREATE INDEX rules_in_force ON rules (channel, chat, directory) WHERE ended_at_ms IS NULL;
CREATE INDEX rules_turn ON rules (turn) WHERE turn IS NOT NULL;

-- How a chat works, where it is not as configured.
CREATE TABLE settings (
    channel TEXT NOT NULL,
    chat    TEXT NOT NULL,
    key     TEXT NOT NULL,
    value   TEXT NOT NULL,
    set_by  TEXT,
    at_ms   INTEGER NOT NULL,
    PRIMARY KEY (channel, chat, key)
) STRICT, WITHOUT ROWID;
-- Where chats work: each directory is one step, however many topics work in it.
CREATE INDEX settings_value ON settings (key, value);
CREATE INDEX conversations_directory ON conversations (directory);

-- Approvers decide in one chat; admins everywhere.
CREATE TABLE new_grants (
    channel    TEXT NOT NULL,
    what       TEXT NOT NULL CHECK (what IN ('owner', 'admin', 'approver', 'user', 'chat')),
    -- Of an approver; '' of all others.
    chat       TEXT NOT NULL DEFAULT '',
    id         TEXT NOT NULL,
    given_by   TEXT,
    given_at_ms INTEGER NOT NULL,
    PRIMARY KEY (channel, what, chat, id)
) STRICT, WITHOUT ROWID;
INSERT INTO new_grants (channel, what, id, given_by, given_at_ms) SELECT channel, what, id, given_by, given_at_ms FROM grants;
DROP TABLE grants;
ALTER TABLE new_grants RENAME TO grants;

-- How far the agent might go by itself when the turn was submitted.
ALTER TABLE turns ADD COLUMN level TEXT;
-- Who let it reach the network.
ALTER TABLE turns ADD COLUMN network_by TEXT;
-- Every thread that a turn of a chat was handed over on: people go on with an old one.
CREATE TABLE threads (
    channel      TEXT NOT NULL,
    chat         TEXT NOT NULL,
    thread       TEXT NOT NULL,
    runtime_home TEXT NOT NULL,
    directory    TEXT NOT NULL,
    -- The first words that went into it, and what people call it.
    title        TEXT NOT NULL,
    name         TEXT,
    -- Where its conversation left it.
    cursor       TEXT,
    settled      INTEGER NOT NULL DEFAULT 0,
    -- A turn of it was to make a plan: runtimes keep to that until they are told otherwise.
    has_planned  INTEGER NOT NULL DEFAULT 0,
    active_at_ms INTEGER NOT NULL,
    PRIMARY KEY (channel, chat, thread)
) STRICT, WITHOUT ROWID;
CREATE INDEX threads_recent ON threads (channel, chat, active_at_ms);
CREATE INDEX threads_thread ON threads (thread);
INSERT INTO threads (channel, chat, thread, runtime_home, directory, title, settled, active_at_ms)
SELECT c.channel, c.chat, t.thread, t.runtime_home, t.directory, t.title, 1,
       (SELECT max(created_at_ms) FROM turns u WHERE u.conversation = c.id AND u.thread = t.thread)
FROM turns t JOIN conversations c ON c.id = t.conversation
WHERE t.thread IS NOT NULL AND t.thread <> 'never opened'
ORDER BY t.ord
ON CONFLICT DO NOTHING;
-- Where it was, as far as that is known.
ALTER TABLE audit ADD COLUMN channel TEXT;
ALTER TABLE audit ADD COLUMN chat TEXT;
CREATE INDEX audit_time ON audit (at_ms);
CREATE INDEX audit_chat ON audit (channel, chat, at_ms);
-- The messages of a chat that became tasks.
CREATE INDEX inbound_turns ON inbound (chat, seq) WHERE state = 'turn';
