-- The ledger of ally: what was accepted, what was done, what is certain.
-- Times are Unix milliseconds; ids of ours are UUIDv7 text; ids of others are opaque text.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

-- One row for everything that a channel handed in. Kept as long as the ledger: it recognises redeliveries.
CREATE TABLE inbound (
    seq            INTEGER PRIMARY KEY,
    channel        TEXT NOT NULL,
    dedupe_key     TEXT NOT NULL,
    kind           TEXT NOT NULL CHECK (kind IN ('message', 'click', 'reaction', 'recall', 'membership', 'other')),
    state          TEXT NOT NULL CHECK (state IN ('received', 'turn', 'command', 'decision', 'waiting', 'refused', 'cancelled')),
    reason         TEXT,
    chat           TEXT,
    chat_kind      TEXT,
    message_id     TEXT,
    sender         TEXT,
    raw            TEXT,
    sent_at_ms     INTEGER,
    received_at_ms INTEGER NOT NULL,
    turn           TEXT REFERENCES turns (id),
    -- Words that went (or wait to go) into a turn that was already running.
    steer          TEXT CHECK (steer IN ('wanted', 'sent', 'taken', 'returned')),
    steer_text     TEXT,
    UNIQUE (channel, dedupe_key)
) STRICT;
CREATE INDEX inbound_received ON inbound (seq) WHERE state = 'received';
CREATE INDEX inbound_waiting ON inbound (chat, seq) WHERE state = 'waiting';
CREATE INDEX inbound_message ON inbound (message_id);
CREATE INDEX inbound_turn ON inbound (turn);

-- One chat, or one topic of a chat, bound to one runtime thread and one directory.
CREATE TABLE conversations (
    id             TEXT PRIMARY KEY,
    channel        TEXT NOT NULL,
    chat           TEXT NOT NULL,
    chat_kind      TEXT NOT NULL,
    -- The topic's root message; '' for the chat itself.
    root           TEXT NOT NULL,
    topic          TEXT,
    directory      TEXT NOT NULL,
    lang           TEXT NOT NULL,
    runtime_kind   TEXT NOT NULL,
    runtime_home   TEXT NOT NULL,
    profile        INTEGER NOT NULL DEFAULT 1,
    thread         TEXT,
    -- Newest turn known to exist on the thread: the cursor of the next submit.
    thread_cursor  TEXT,
    settled_on_thread INTEGER NOT NULL DEFAULT 0,
    state          TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'held')),
    held_why       TEXT CHECK (held_why IN ('lost', 'elsewhere', 'quarantined', 'restored', 'locked', 'history_gone')),
    held_turn      TEXT REFERENCES turns (id),
    gate_number    INTEGER NOT NULL DEFAULT 0,
    created_at_ms  INTEGER NOT NULL,
    active_at_ms   INTEGER NOT NULL,
    UNIQUE (channel, chat, root)
) STRICT;
CREATE INDEX conversations_topic ON conversations (channel, chat, topic) WHERE topic IS NOT NULL;

CREATE TABLE turns (
    id              TEXT PRIMARY KEY,
    conversation    TEXT NOT NULL REFERENCES conversations (id),
    -- Place in the queue. A continued turn takes the place of the one that it continues.
    ord             INTEGER NOT NULL,
    state           TEXT NOT NULL CHECK (state IN ('queued', 'submitting', 'running', 'waiting', 'settled')),
    outcome         TEXT CHECK ((outcome IS NOT NULL) = (state = 'settled')),
    version         INTEGER NOT NULL DEFAULT 0,
    attempt         INTEGER NOT NULL DEFAULT 0,
    requester       TEXT NOT NULL,
    requester_name  TEXT NOT NULL,
    title           TEXT NOT NULL,
    reply_to        TEXT,
    prompt          TEXT NOT NULL,
    directory       TEXT NOT NULL,
    runtime_kind    TEXT NOT NULL,
    runtime_home    TEXT NOT NULL,
    profile         INTEGER NOT NULL DEFAULT 1,
    thread          TEXT,
    cursor          TEXT,
    client_id       TEXT,
    native_turn     TEXT,
    generation      INTEGER REFERENCES generations (number),
    evidence        TEXT,
    boot_id         TEXT,
    continues       TEXT REFERENCES turns (id),
    merged_into     TEXT REFERENCES turns (id),
    stop_requested_at_ms INTEGER,
    stop_reason     TEXT,
    stop_by         TEXT,
    tool_seen       INTEGER NOT NULL DEFAULT 0,
    -- Steps and the last painted text (at most 5 s old), as JSON: what a lost turn is told by.
    progress        TEXT,
    answer          TEXT,
    failure         TEXT,
    lost_how        TEXT,
    tokens          INTEGER,
    not_before_ms   INTEGER NOT NULL DEFAULT 0,
    created_at_ms   INTEGER NOT NULL,
    submitted_at_ms INTEGER,
    started_at_ms   INTEGER,
    settled_at_ms   INTEGER
) STRICT;
CREATE INDEX turns_queue ON turns (conversation, ord, created_at_ms) WHERE state <> 'settled';
CREATE INDEX turns_active ON turns (state) WHERE state <> 'settled';
CREATE INDEX turns_settled ON turns (settled_at_ms) WHERE state = 'settled';
CREATE UNIQUE INDEX turns_client ON turns (client_id) WHERE client_id IS NOT NULL;

CREATE TABLE generations (
    number        INTEGER PRIMARY KEY AUTOINCREMENT,
    kind          TEXT NOT NULL,
    home          TEXT NOT NULL,
    state         TEXT NOT NULL CHECK (state IN ('starting', 'live', 'dead', 'stuck')),
    identity      TEXT,
    version       TEXT,
    boot_changed  INTEGER NOT NULL DEFAULT 0,
    started_at_ms INTEGER NOT NULL,
    ended_at_ms   INTEGER
) STRICT;
CREATE INDEX generations_open ON generations (state) WHERE state <> 'dead';

CREATE TABLE gates (
    id            TEXT PRIMARY KEY,
    conversation  TEXT NOT NULL REFERENCES conversations (id),
    turn          TEXT NOT NULL REFERENCES turns (id),
    number        INTEGER NOT NULL,
    generation    INTEGER NOT NULL REFERENCES generations (number),
    native_id     TEXT NOT NULL,
    fingerprint   TEXT NOT NULL,
    ask           TEXT NOT NULL,
    claim         TEXT,
    choices       TEXT NOT NULL,
    state         TEXT NOT NULL,
    version       INTEGER NOT NULL DEFAULT 0,
    decision      TEXT,
    decided_by    TEXT,
    decided_name  TEXT,
    decided_at_ms INTEGER,
    -- The state that it was in when its process was found dead.
    void_from     TEXT,
    -- A former decision on the same thing, honoured or asked again.
    repeats       TEXT REFERENCES gates (id),
    reminded_at_ms INTEGER,
    paused_at_ms  INTEGER,
    opened_at_ms  INTEGER NOT NULL,
    UNIQUE (generation, native_id),
    UNIQUE (conversation, number)
) STRICT;
CREATE INDEX gates_turn ON gates (turn);
CREATE INDEX gates_open ON gates (conversation) WHERE state IN ('open', 'decided', 'answering');

-- Single-use random ids behind the buttons of cards, bound to what they were drawn for.
CREATE TABLE buttons (
    id         TEXT PRIMARY KEY,
    channel    TEXT NOT NULL,
    chat       TEXT NOT NULL,
    subject    TEXT NOT NULL,
    action     TEXT NOT NULL,
    used_by    TEXT,
    used_at_ms INTEGER,
    made_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX buttons_once ON buttons (subject, action, chat);

-- Outbox, messages: each is sent once.
CREATE TABLE messages (
    id            TEXT PRIMARY KEY,
    conversation  TEXT REFERENCES conversations (id),
    turn          TEXT REFERENCES turns (id),
    channel       TEXT NOT NULL,
    target        TEXT NOT NULL,
    chat          TEXT NOT NULL,
    body          TEXT NOT NULL,
    form          INTEGER NOT NULL DEFAULT 0,
    lang          TEXT NOT NULL,
    after         TEXT REFERENCES messages (id),
    state         TEXT NOT NULL CHECK (state IN ('ready', 'sending', 'sent', 'undeliverable')),
    version       INTEGER NOT NULL DEFAULT 0,
    attempts      INTEGER NOT NULL DEFAULT 0,
    -- Before the first attempt, by the platform's clock where that is known.
    first_attempt_ms INTEGER,
    next_at_ms    INTEGER NOT NULL,
    text_hash     TEXT NOT NULL,
    resource      TEXT,
    platform_id   TEXT,
    problem       TEXT,
    created_at_ms INTEGER NOT NULL,
    sent_at_ms    INTEGER
) STRICT;
CREATE INDEX messages_open ON messages (channel, chat, created_at_ms, id) WHERE state IN ('ready', 'sending');
CREATE INDEX messages_turn ON messages (turn);
CREATE INDEX messages_platform ON messages (platform_id) WHERE platform_id IS NOT NULL;
CREATE INDEX messages_undeliverable ON messages (created_at_ms) WHERE state = 'undeliverable';

-- Outbox, surfaces: desired states (cards and reactions). One a subject and kind.
CREATE TABLE surfaces (
    id            TEXT PRIMARY KEY,
    kind          TEXT NOT NULL CHECK (kind IN ('live', 'gate', 'interrupted', 'queue', 'stale', 'notice', 'reaction')),
    subject       TEXT NOT NULL,
    conversation  TEXT REFERENCES conversations (id),
    channel       TEXT NOT NULL,
    target        TEXT NOT NULL,
    lang          TEXT NOT NULL,
    wanted        TEXT,
    wanted_hash   TEXT NOT NULL,
    shown_hash    TEXT,
    state         TEXT NOT NULL CHECK (state IN ('wanted', 'creating', 'shown', 'gone')),
    -- Not to be created before this time (a live card of a quick turn never is).
    not_before_ms INTEGER NOT NULL DEFAULT 0,
    -- The picture is the last one: it may be created late, and is repeated after an update of unknown fate.
    final         INTEGER NOT NULL DEFAULT 0,
    platform_id   TEXT,
    first_attempt_ms INTEGER,
    attempts      INTEGER NOT NULL DEFAULT 0,
    next_at_ms    INTEGER NOT NULL DEFAULT 0,
    problem       TEXT,
    created_at_ms INTEGER NOT NULL,
    shown_at_ms   INTEGER,
    UNIQUE (kind, subject)
) STRICT;
CREATE INDEX surfaces_due ON surfaces (next_at_ms) WHERE state <> 'gone' AND (shown_hash IS NULL OR shown_hash <> wanted_hash);
CREATE INDEX surfaces_platform ON surfaces (platform_id) WHERE platform_id IS NOT NULL;

-- Rights given in the chat or by pairing; the configured ones are the floor below them.
CREATE TABLE grants (
    channel    TEXT NOT NULL,
    what       TEXT NOT NULL CHECK (what IN ('owner', 'user', 'chat')),
    id         TEXT NOT NULL,
    given_by   TEXT,
    given_at_ms INTEGER NOT NULL,
    PRIMARY KEY (channel, what, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE pairings (
    code_hash     TEXT PRIMARY KEY,
    expires_at_ms INTEGER NOT NULL,
    tries_left    INTEGER NOT NULL,
    used_at_ms    INTEGER
) STRICT;

-- Things said once (stranger notices and the like).
CREATE TABLE said (
    key   TEXT PRIMARY KEY,
    at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE people (
    channel TEXT NOT NULL,
    id      TEXT NOT NULL,
    name    TEXT NOT NULL,
    at_ms   INTEGER NOT NULL,
    PRIMARY KEY (channel, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE attachments (
    inbound INTEGER NOT NULL REFERENCES inbound (seq),
    key     TEXT NOT NULL,
    name    TEXT NOT NULL,
    path    TEXT NOT NULL,
    sha256  TEXT NOT NULL,
    bytes   INTEGER NOT NULL,
    PRIMARY KEY (inbound, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
    seq    INTEGER PRIMARY KEY,
    at_ms  INTEGER NOT NULL,
    who    TEXT NOT NULL,
    what   TEXT NOT NULL,
    subject TEXT,
    detail TEXT
) STRICT;
