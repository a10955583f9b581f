-- Raw answers are immutable; analyses are kept per version, so that answers can be analysed again.

CREATE TABLE brand_sets (
    tenant_id  text        NOT NULL,
    run_id     uuid        NOT NULL,
    brands     jsonb       NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, run_id)
);

CREATE TABLE answers (
    tenant_id     text        NOT NULL,
    completion_id uuid        NOT NULL,
    run_id        uuid        NOT NULL,
    prompt_id     uuid        NOT NULL,
    model         text        NOT NULL,
    sample        integer     NOT NULL,
    text          text        NOT NULL,
    simulated     boolean     NOT NULL,
    parked        boolean     NOT NULL,
    received_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, completion_id)
);
CREATE INDEX answers_parked ON answers (tenant_id, run_id) WHERE parked;

CREATE TABLE analyses (
    tenant_id        text        NOT NULL,
    completion_id    uuid        NOT NULL,
    analyzer_version text        NOT NULL,
    mentions         jsonb       NOT NULL,
    analyzed_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, completion_id, analyzer_version),
    FOREIGN KEY (tenant_id, completion_id) REFERENCES answers (tenant_id, completion_id)
);
