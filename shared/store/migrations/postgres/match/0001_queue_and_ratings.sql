-- One row: raised whenever a process opens this database. Claims are written under the newest fence only.
CREATE TABLE fence (
    only_row BIGINT PRIMARY KEY,
    fence BIGINT NOT NULL
);

INSERT INTO fence (only_row, fence) VALUES (0, 0);

CREATE TABLE tickets (
    ticket_id TEXT PRIMARY KEY,
    app TEXT NOT NULL,
    mode TEXT NOT NULL,
    state TEXT NOT NULL,
    match_id TEXT,
    code BIGINT NOT NULL,
    queued_us BIGINT NOT NULL,
    updated_us BIGINT NOT NULL
);

CREATE INDEX tickets_by_state ON tickets (state, updated_us);

CREATE TABLE ticket_players (
    ticket_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    user_id TEXT NOT NULL,
    name TEXT NOT NULL,
    PRIMARY KEY (ticket_id, position)
);

-- Players who were claimed for a match together, and where it runs. `allocation` is the Protobuf AllocateReply.
CREATE TABLE claims (
    match_id TEXT PRIMARY KEY,
    app TEXT NOT NULL,
    mode TEXT NOT NULL,
    fence BIGINT NOT NULL,
    state TEXT NOT NULL,
    allocation BYTEA NOT NULL,
    created_us BIGINT NOT NULL,
    updated_us BIGINT NOT NULL
);

CREATE INDEX claims_by_state ON claims (state, updated_us);

-- A player's place in a match. The primary key is the promise that nobody is in two matches.
CREATE TABLE holds (
    app TEXT NOT NULL,
    user_id TEXT NOT NULL,
    match_id TEXT NOT NULL,
    team BIGINT NOT NULL,
    name TEXT NOT NULL,
    held_until_us BIGINT NOT NULL,
    PRIMARY KEY (app, user_id)
);

CREATE INDEX holds_by_match ON holds (match_id);

-- Ratings after Weng and Lin: a mean and its uncertainty, per mode.
CREATE TABLE ratings (
    app TEXT NOT NULL,
    mode TEXT NOT NULL,
    user_id TEXT NOT NULL,
    rating DOUBLE PRECISION NOT NULL,
    uncertainty DOUBLE PRECISION NOT NULL,
    matches BIGINT NOT NULL,
    updated_us BIGINT NOT NULL,
    PRIMARY KEY (app, user_id, mode)
);

-- Results that were counted. `result` is the Protobuf MatchResult.
CREATE TABLE results (
    match_id TEXT NOT NULL,
    version BIGINT NOT NULL,
    result BYTEA NOT NULL,
    counted_us BIGINT NOT NULL,
    PRIMARY KEY (match_id, version)
);
