-- Nodes have a number, edges the numbers of their ends; nothing is found by an id without its tenant.
-- Ids sort by code point, as in the program and in the other engines.

CREATE TABLE users (
    no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant text NOT NULL,
    id text COLLATE "C" NOT NULL,
    version bigint NOT NULL DEFAULT 0,
    said_at bigint NOT NULL DEFAULT 0,
    spoke_at bigint NOT NULL DEFAULT 0,
    heard_at bigint NOT NULL DEFAULT 0,
    wants text NOT NULL DEFAULT '[]',
    near text NOT NULL DEFAULT '[]',
    UNIQUE (tenant, id)
) WITH (fillfactor = 80);

CREATE TABLE tombstones (
    key text PRIMARY KEY,
    forgotten_at bigint NOT NULL
);

-- Who waits to be computed again; each mark has a number of its own.
CREATE SEQUENCE marks;
CREATE TABLE waiting (
    user_no bigint PRIMARY KEY REFERENCES users ON DELETE CASCADE,
    stale_at bigint NOT NULL,
    mark bigint NOT NULL
);
CREATE INDEX ON waiting (stale_at, user_no);

CREATE TABLE published (
    user_no bigint PRIMARY KEY REFERENCES users ON DELETE CASCADE,
    version bigint NOT NULL,
    shown text NOT NULL
) WITH (fillfactor = 80);

-- One row for a pair, the smaller number first. Weights change often, so pages keep room for it.
CREATE TABLE similarities (
    a bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    b bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    weight float8 NOT NULL,
    at bigint NOT NULL,
    PRIMARY KEY (a, b)
) WITH (fillfactor = 75);
CREATE INDEX ON similarities (b, a);

CREATE TABLE conversations (
    user_no bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    id text NOT NULL,
    taken_at bigint NOT NULL,
    event_id text NOT NULL,
    file text NOT NULL,
    line bigint NOT NULL,
    PRIMARY KEY (user_no, id)
);

CREATE TABLE campaigns (
    no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant text NOT NULL,
    id text COLLATE "C" NOT NULL,
    changed_at bigint NOT NULL,
    deleted boolean NOT NULL,
    title text NOT NULL,
    intents text NOT NULL,
    fans bigint NOT NULL DEFAULT 0,
    UNIQUE (tenant, id)
) WITH (fillfactor = 80);

CREATE TABLE engagements (
    user_no bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    campaign_no bigint NOT NULL REFERENCES campaigns,
    seen bigint NOT NULL,
    clicked bigint NOT NULL,
    converted bigint NOT NULL,
    dismissed bigint NOT NULL,
    seen_taken bigint NOT NULL,
    clicked_taken bigint NOT NULL,
    converted_taken bigint NOT NULL,
    dismissed_taken bigint NOT NULL,
    PRIMARY KEY (user_no, campaign_no)
) WITH (fillfactor = 80);

-- How many users engaged with both campaigns, the smaller number first.
CREATE TABLE shared (
    a bigint NOT NULL REFERENCES campaigns,
    b bigint NOT NULL REFERENCES campaigns,
    users bigint NOT NULL,
    PRIMARY KEY (a, b)
) WITH (fillfactor = 75);
CREATE INDEX ON shared (b, a);

CREATE TABLE wants (
    user_no bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    tenant text NOT NULL,
    intent text NOT NULL,
    score float8 NOT NULL,
    at bigint NOT NULL,
    PRIMARY KEY (user_no, intent)
);
CREATE INDEX ON wants (tenant, intent, score DESC);

CREATE TABLE targets (
    tenant text NOT NULL,
    intent text NOT NULL,
    campaign_no bigint NOT NULL REFERENCES campaigns,
    PRIMARY KEY (tenant, intent, campaign_no)
);
CREATE INDEX ON targets (campaign_no);

CREATE TABLE answers (
    no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant text NOT NULL,
    completion_id uuid NOT NULL,
    revision bigint NOT NULL,
    analyzed_at bigint NOT NULL,
    prompt_id uuid NOT NULL,
    model text NOT NULL,
    simulated boolean NOT NULL,
    UNIQUE (tenant, completion_id)
);
CREATE INDEX ON answers (tenant, model);
CREATE INDEX ON answers (tenant, prompt_id);

CREATE TABLE names (
    answer_no bigint NOT NULL REFERENCES answers ON DELETE CASCADE,
    tenant text NOT NULL,
    brand_id uuid NOT NULL,
    outcome text NOT NULL,
    rank bigint,
    sentiment float8,
    PRIMARY KEY (answer_no, brand_id)
);
CREATE INDEX ON names (tenant, brand_id);

CREATE TABLE cites (
    answer_no bigint NOT NULL REFERENCES answers ON DELETE CASCADE,
    tenant text NOT NULL,
    domain text NOT NULL,
    PRIMARY KEY (answer_no, domain)
);
CREATE INDEX ON cites (tenant, domain);
