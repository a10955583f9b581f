-- Tenants, API keys (hash only), idempotent requests, and the read model of visibility runs.

CREATE TABLE tenants (
    tenant_id  text        PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE api_keys (
    key_id      uuid        PRIMARY KEY,
    tenant_id   text        NOT NULL REFERENCES tenants,
    name        text        NOT NULL,
    prefix      text        NOT NULL,
    secret_hash bytea       NOT NULL UNIQUE,
    created_at  timestamptz NOT NULL,
    revoked_at  timestamptz
);
CREATE INDEX api_keys_of_tenant ON api_keys (tenant_id, created_at);

CREATE TABLE idempotent_requests (
    tenant_id    text        NOT NULL,
    key          text        NOT NULL,
    request_hash text        NOT NULL,
    status       integer     NOT NULL,
    body         text        NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, key)
);

CREATE TABLE runs (
    tenant_id   text        NOT NULL REFERENCES tenants,
    run_id      uuid        NOT NULL,
    brands      jsonb       NOT NULL,
    prompts     jsonb       NOT NULL,
    models      text[]      NOT NULL,
    samples     integer     NOT NULL,
    expected    integer     NOT NULL,
    state       text        NOT NULL,
    started_at  timestamptz NOT NULL,
    finished_at timestamptz,
    PRIMARY KEY (run_id)
);
CREATE INDEX runs_of_tenant ON runs (tenant_id, started_at DESC);

-- One row per model call, made with the run; the two events about it arrive in any order.
CREATE TABLE completions (
    completion_id   uuid        PRIMARY KEY,
    tenant_id       text        NOT NULL,
    run_id          uuid        NOT NULL REFERENCES runs,
    prompt_id       uuid        NOT NULL,
    model           text        NOT NULL,
    sample          integer     NOT NULL,
    finished        boolean     NOT NULL DEFAULT false,
    analyzed        boolean     NOT NULL DEFAULT false,
    failure_kind    text,
    failure_message text,
    simulated       boolean     NOT NULL DEFAULT false
) WITH (fillfactor = 70);  -- every row is updated twice: leave room on its page
CREATE INDEX completions_of_run ON completions (run_id);
-- Whether a run has ended is asked after every batch: it must not cost a look at the whole run.
CREATE INDEX completions_open ON completions (run_id)
    WHERE NOT analyzed AND failure_kind IS NULL;

CREATE TABLE brand_mentions (
    completion_id uuid    NOT NULL REFERENCES completions,
    brand_id      uuid    NOT NULL,
    mentions      integer NOT NULL,
    PRIMARY KEY (completion_id, brand_id)
);
