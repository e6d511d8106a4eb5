-- The sessions of Express that were moved. Dropped when the move is over.
CREATE TABLE express_moves (
    sid TEXT PRIMARY KEY,
    -- The row as it was, for a move that is undone.
    sess JSON NOT NULL,
    expire TIMESTAMP NOT NULL,
    -- The handle of the session that took its place.
    session_id TEXT NOT NULL UNIQUE,
    moved_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    -- When that session was last issued. It is issued again if a response was lost.
    issued_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
