-- Brands and prompts as entities, answers with their analyses per revision, imports.
-- depends: 0002.cancel-and-cost

CREATE TABLE brands (
    tenant_id  text        NOT NULL REFERENCES tenants,
    brand_id   uuid        NOT NULL,
    name       text        NOT NULL,
    name_key   text        NOT NULL,  -- the name as it is compared: case and width folded
    aliases    text[]      NOT NULL DEFAULT '{}',
    domains    text[]      NOT NULL DEFAULT '{}',
    exclude    text[]      NOT NULL DEFAULT '{}',
    own        boolean     NOT NULL DEFAULT false,
    case_rule  text        NOT NULL DEFAULT 'auto',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz,
    PRIMARY KEY (tenant_id, brand_id),
    UNIQUE (tenant_id, name_key)  -- also of deleted ones: the same name comes back as the same brand
);

CREATE TABLE prompts (
    prompt_id  uuid        PRIMARY KEY,  -- follows from tenant, words, locale and persona
    tenant_id  text        NOT NULL REFERENCES tenants,
    text       text        NOT NULL,
    locale     text,
    persona    text        NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX prompts_of_tenant ON prompts (tenant_id, prompt_id);

ALTER TABLE runs
    ADD COLUMN kind          text    NOT NULL DEFAULT 'asked',  -- asked, imported
    ADD COLUMN name          text,
    ADD COLUMN system_prompt text,
    ADD COLUMN temperature   double precision,
    ADD COLUMN stream        boolean NOT NULL DEFAULT false,
    ADD COLUMN input_hash    text    NOT NULL DEFAULT '',
    ADD COLUMN revision      integer NOT NULL DEFAULT 1,
    ADD COLUMN event_seq     bigint  NOT NULL DEFAULT 0;
CREATE INDEX runs_by_input ON runs (tenant_id, input_hash, started_at DESC);

-- Which brands a run was analysed with, from the first time on.
CREATE TABLE revisions (
    run_id       uuid        NOT NULL REFERENCES runs,
    revision     integer     NOT NULL,
    brands       jsonb       NOT NULL,
    requested_at timestamptz NOT NULL,
    PRIMARY KEY (run_id, revision)
);
INSERT INTO revisions (run_id, revision, brands, requested_at)
    SELECT run_id, 1, brands, started_at FROM runs;

CREATE TABLE run_prompts (
    run_id    uuid    NOT NULL REFERENCES runs,
    prompt_id uuid    NOT NULL REFERENCES prompts,
    ordinal   integer NOT NULL,
    tags      text[]  NOT NULL DEFAULT '{}',
    PRIMARY KEY (run_id, prompt_id)
);
CREATE INDEX run_prompts_in_order ON run_prompts (run_id, ordinal);
INSERT INTO prompts (prompt_id, tenant_id, text)
    SELECT DISTINCT (item->>'prompt_id')::uuid, tenant_id, item->>'text'
    FROM runs, jsonb_array_elements(prompts) AS item;
INSERT INTO run_prompts (run_id, prompt_id, ordinal)
    SELECT run_id, (item->>'prompt_id')::uuid, n
    FROM runs, jsonb_array_elements(prompts) WITH ORDINALITY AS row (item, n);
ALTER TABLE runs DROP COLUMN brands, DROP COLUMN prompts;

ALTER TABLE completions
    ADD COLUMN surface     text NOT NULL DEFAULT 'api',
    ADD COLUMN finished_at timestamptz,
    ADD COLUMN provider_ms integer;
-- Pages of answers go on after an id: no page may look at all answers of the run.
DROP INDEX completions_of_run;
CREATE INDEX completions_of_run ON completions (run_id, completion_id);

-- Raw answers never change; they are apart from the row that is updated as a call proceeds.
CREATE TABLE answers (
    completion_id uuid  PRIMARY KEY REFERENCES completions,
    text          text  NOT NULL,
    sources       jsonb NOT NULL DEFAULT '[]'
);

CREATE TABLE analyses (
    run_id           uuid        NOT NULL REFERENCES runs,
    revision         integer     NOT NULL,
    completion_id    uuid        NOT NULL REFERENCES completions,
    analyzer_version text        NOT NULL,
    informative      boolean     NOT NULL,
    citations        integer     NOT NULL,
    detail           jsonb       NOT NULL,  -- mentions and citations, as the event has them
    analyzed_at      timestamptz NOT NULL,
    PRIMARY KEY (run_id, revision, completion_id)
);

CREATE TABLE findings (
    run_id                  uuid             NOT NULL,
    revision                integer          NOT NULL,
    completion_id           uuid             NOT NULL,
    brand_id                uuid             NOT NULL,
    mentions                integer          NOT NULL,
    named                   boolean          NOT NULL,
    recommended             boolean          NOT NULL,
    denied                  boolean          NOT NULL,
    cited                   boolean          NOT NULL,
    link_only               boolean          NOT NULL,
    rank                    integer,
    list_rank               integer,
    sentiment               double precision,
    citations               integer          NOT NULL,
    position_adjusted_words double precision NOT NULL,
    PRIMARY KEY (run_id, revision, completion_id, brand_id),
    FOREIGN KEY (run_id, revision, completion_id)
        REFERENCES analyses (run_id, revision, completion_id)
);
INSERT INTO analyses
    SELECT run_id, 1, completion_id, 'whole-word-1',
           EXISTS (SELECT FROM brand_mentions AS found WHERE found.completion_id = c.completion_id),
           0, '{"mentions": [], "citations": []}', now()
    FROM completions AS c WHERE analyzed;
INSERT INTO findings
    SELECT run_id, 1, completion_id, brand_id, mentions, true, false, false, false, false,
           NULL, NULL, NULL, 0, 0
    FROM brand_mentions JOIN completions USING (completion_id) WHERE analyzed;
DROP TABLE brand_mentions;

-- Analyses of answers from outside that came before these; taken up, or forgotten, in time.
CREATE TABLE early_analyses (
    tenant_id     text        NOT NULL,
    run_id        uuid        NOT NULL,
    completion_id uuid        NOT NULL,
    revision      integer     NOT NULL,
    analysis      jsonb       NOT NULL,
    received_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (completion_id, tenant_id, run_id, revision)
);
CREATE INDEX early_analyses_by_age ON early_analyses (received_at);

-- What happened to a run, for those who watch: one row a batch, in the order of event_seq.
CREATE TABLE run_events (
    run_id  uuid   NOT NULL REFERENCES runs,
    seq     bigint NOT NULL,
    settled jsonb  NOT NULL,
    PRIMARY KEY (run_id, seq)
);

-- A report as it was at an event_seq; void once the run has moved on.
CREATE TABLE reports (
    run_id    uuid    NOT NULL REFERENCES runs,
    revision  integer NOT NULL,
    variant   text    NOT NULL,
    event_seq bigint  NOT NULL,
    body      bytea   NOT NULL,
    PRIMARY KEY (run_id, revision, variant)
);

-- The providers' lists of models, as the executor last published them.
CREATE TABLE model_catalogs (
    provider   text        PRIMARY KEY,
    version    text        NOT NULL,
    simulated  boolean     NOT NULL,
    complete   boolean     NOT NULL,
    models     jsonb       NOT NULL,
    fetched_at timestamptz NOT NULL
);
