-- What is asked for every message, gate and delivery is found without reading what has long been over.
CREATE INDEX turns_place ON turns (conversation, ord);
CREATE INDEX turns_last ON turns (conversation, settled_at_ms, ord) WHERE state = 'settled';
CREATE INDEX turns_native ON turns (native_turn) WHERE native_turn IS NOT NULL;
CREATE INDEX turns_created ON turns (created_at_ms, id);
CREATE INDEX inbound_direct ON inbound (sender, seq) WHERE chat_kind = 'direct';
CREATE INDEX gates_repeats ON gates (repeats) WHERE repeats IS NOT NULL;
CREATE INDEX messages_seen ON messages (channel) WHERE platform_id IS NOT NULL;
CREATE INDEX surfaces_seen ON surfaces (channel) WHERE platform_id IS NOT NULL;
CREATE INDEX surfaces_live ON surfaces (subject) WHERE kind = 'live' AND final = 0 AND state <> 'gone';
