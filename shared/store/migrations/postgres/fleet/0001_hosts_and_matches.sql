-- Match hosts and the lease each of them runs under. `report` is the Protobuf HostReport.
CREATE TABLE hosts (
    host_id TEXT PRIMARY KEY,
    lease_id TEXT NOT NULL,
    app TEXT NOT NULL,
    region TEXT NOT NULL,
    state TEXT NOT NULL,
    internal_url TEXT NOT NULL,
    report BYTEA NOT NULL,
    started_us BIGINT NOT NULL,
    reported_us BIGINT NOT NULL
);

-- Matches from their allocation on. `info` is the Protobuf MatchInfo.
CREATE TABLE matches (
    match_id TEXT PRIMARY KEY,
    app TEXT NOT NULL,
    mode TEXT NOT NULL,
    host_id TEXT NOT NULL,
    state TEXT NOT NULL,
    live BIGINT NOT NULL,
    info BYTEA NOT NULL,
    created_us BIGINT NOT NULL,
    updated_us BIGINT NOT NULL
);

CREATE INDEX matches_recent ON matches (live, created_us);

-- Results on their way to the match role. `result` is the Protobuf MatchResult.
CREATE TABLE results (
    match_id TEXT NOT NULL,
    version BIGINT NOT NULL,
    result BYTEA NOT NULL,
    recorded_us BIGINT NOT NULL,
    forwarded_us BIGINT,
    PRIMARY KEY (match_id, version)
);

CREATE INDEX results_waiting ON results (recorded_us) WHERE forwarded_us IS NULL;
