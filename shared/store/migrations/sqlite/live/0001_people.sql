-- People: the one table with personal data. Everything else names a person by user_id only.
CREATE TABLE users (
    user_id TEXT PRIMARY KEY,
    app TEXT NOT NULL,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    created_us BIGINT NOT NULL,
    seen_us BIGINT NOT NULL
);

-- Guests may share a name; accounts may not.
CREATE UNIQUE INDEX users_by_name ON users (app, name) WHERE role <> 'guest';
CREATE INDEX users_by_role ON users (app, role);

-- Links that sign a person in once. Only the hash of a code is kept.
CREATE TABLE sign_in_codes (
    code_hash TEXT PRIMARY KEY,
    user_id TEXT NOT NULL,
    created_us BIGINT NOT NULL,
    expires_us BIGINT NOT NULL,
    used_us BIGINT
);
