-- One document per completion: first a claim with a lease, then the finished event, once.

CREATE SEQUENCE completion_positions;

CREATE TABLE completions (
    tenant_id     text        NOT NULL,
    completion_id uuid        NOT NULL,
    owner         uuid        NOT NULL,
    lease_until   timestamptz NOT NULL,
    claims        integer     NOT NULL DEFAULT 1,
    document      jsonb,
    position      bigint      UNIQUE,
    created_at    timestamptz NOT NULL DEFAULT now(),
    finished_at   timestamptz,
    published_at  timestamptz,
    PRIMARY KEY (tenant_id, completion_id)
);
CREATE INDEX completions_unpublished ON completions (position)
    WHERE document IS NOT NULL AND published_at IS NULL;
CREATE INDEX completions_open ON completions (lease_until) WHERE document IS NULL;
