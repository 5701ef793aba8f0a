-- What is done at its time without anybody asking for it.

-- One row a routine, whether its text stands in a file or was made in a chat.
CREATE TABLE routines (
    name        TEXT PRIMARY KEY,
    source      TEXT NOT NULL CHECK (source IN ('file', 'chat', 'agent')),
    -- As it was written; the daemon reads it again at each start.
    text        TEXT NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('on', 'paused', 'gone')),
    -- Intervals count from here.
    since_ms    INTEGER NOT NULL,
    -- Due times up to here are accounted for.
    checked_ms  INTEGER NOT NULL,
    -- Where it was made; a file's are told the owner.
    channel     TEXT,
    chat        TEXT,
    made_by     TEXT NOT NULL,
    made_name   TEXT NOT NULL,
    -- Runs that failed in a row.
    failures    INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

-- One row a run: no due time has two, whatever dies, sleeps or jumps.
CREATE TABLE runs (
    id          TEXT PRIMARY KEY,
    routine     TEXT NOT NULL REFERENCES routines (name),
    due_ms      INTEGER NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('waiting', 'running', 'over', 'skipped')),
    -- Why it was skipped, or what came of it.
    outcome     TEXT CHECK ((outcome IS NOT NULL) = (state IN ('over', 'skipped'))),
    -- A row for many that were skipped: the last of them, and how many.
    last_ms     INTEGER,
    count       INTEGER NOT NULL DEFAULT 1,
    late        INTEGER NOT NULL DEFAULT 0,
    -- The name of who started it by hand.
    started_by  TEXT,
    -- Which try this is.
    attempt     INTEGER NOT NULL DEFAULT 1,
    turn        TEXT REFERENCES turns (id),
    detail      TEXT,
    claimed_at_ms INTEGER NOT NULL,
    over_at_ms  INTEGER,
    UNIQUE (routine, due_ms)
) STRICT;
CREATE INDEX runs_turn ON runs (turn) WHERE turn IS NOT NULL;
CREATE INDEX runs_open ON runs (routine, due_ms) WHERE state IN ('waiting', 'running');
CREATE INDEX runs_over ON runs (over_at_ms) WHERE over_at_ms IS NOT NULL;

-- The conversation of a routine is none of the chat's own: its answers go to the chat, and reply to nothing.
ALTER TABLE conversations ADD COLUMN routine TEXT;

-- What of a turn stands in the archive's files: nothing yet (0), all of it (1), or words that are forgotten here (2).
ALTER TABLE turns ADD COLUMN archived INTEGER NOT NULL DEFAULT 0;
CREATE INDEX turns_unarchived ON turns (settled_at_ms) WHERE state = 'settled' AND archived <> 1;
