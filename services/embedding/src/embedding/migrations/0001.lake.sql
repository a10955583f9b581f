-- Raw documents never change; a user's state is one row that is replaced as a whole.

CREATE TABLE messages (
    id              uuid        NOT NULL PRIMARY KEY,
    tenant_id       text        NOT NULL,
    user_id         text        NOT NULL,
    conversation_id text        NOT NULL,
    said_at         timestamptz NOT NULL,
    heard_at        timestamptz NOT NULL,
    counted         boolean     NOT NULL DEFAULT false,
    document        jsonb       NOT NULL
);
CREATE INDEX messages_of_user ON messages (tenant_id, user_id, id);

CREATE TABLE answers (
    tenant_id     text  NOT NULL,
    completion_id uuid  NOT NULL,
    document      jsonb NOT NULL,
    PRIMARY KEY (tenant_id, completion_id)
);

CREATE TABLE campaigns (
    tenant_id   text        NOT NULL,
    campaign_id text        NOT NULL,
    changed_at  timestamptz NOT NULL,
    deleted     boolean     NOT NULL,
    document    jsonb       NOT NULL,
    PRIMARY KEY (tenant_id, campaign_id)
);

CREATE TABLE states (
    tenant_id text        NOT NULL,
    user_id   text        NOT NULL,
    version   bigint      NOT NULL,
    recipe    text        NOT NULL,
    total     bytea       NOT NULL,
    weight    float8      NOT NULL,
    count     bigint      NOT NULL,
    newest_at timestamptz NOT NULL,
    newest    text        NOT NULL,
    last      bytea       NOT NULL,
    heard_at  timestamptz NOT NULL,
    pending   uuid[]      NOT NULL,
    PRIMARY KEY (tenant_id, user_id)
);
-- Numbers do not compress, and are read with every message: keep them in the row.
ALTER TABLE states ALTER total SET STORAGE PLAIN, ALTER last SET STORAGE PLAIN;

CREATE TABLE tombstones (
    grave        text        NOT NULL PRIMARY KEY,
    forgotten_at timestamptz NOT NULL
);
