-- Tokens that ended before their time: `token` rows name one, `user` rows end all that a person got up to `before_us`.
CREATE TABLE revocations (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    before_us BIGINT NOT NULL,
    expires_us BIGINT NOT NULL,
    PRIMARY KEY (kind, id)
);
