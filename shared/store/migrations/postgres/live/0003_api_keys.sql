-- Keys of services that call the public API. Only the hash of a key is kept; `scopes` and `topics` are words in one text.
CREATE TABLE api_keys (
    key_id TEXT PRIMARY KEY,
    key_hash TEXT NOT NULL,
    app TEXT NOT NULL,
    name TEXT NOT NULL,
    scopes TEXT NOT NULL,
    topics TEXT NOT NULL,
    calls_per_s BIGINT NOT NULL,
    created_us BIGINT NOT NULL,
    expires_us BIGINT,
    used_us BIGINT,
    revoked_us BIGINT
);

CREATE UNIQUE INDEX api_keys_by_hash ON api_keys (key_hash);
