-- Requests wait in the service's own database until it is their turn.
-- depends: 0001.completions

-- Claims of before hold no request; their records are not committed and come again.
DELETE FROM completions WHERE document IS NULL;
DROP INDEX completions_open;

CREATE SEQUENCE completion_arrivals;

ALTER TABLE completions
    ALTER COLUMN owner DROP NOT NULL,
    ALTER COLUMN lease_until DROP NOT NULL,
    ALTER COLUMN claims SET DEFAULT 0,
    ADD COLUMN lane            text        NOT NULL DEFAULT '',
    ADD COLUMN parent_id       uuid,
    ADD COLUMN priority        smallint    NOT NULL DEFAULT 1,   -- 0 interactive, 1 batch
    ADD COLUMN weight          smallint    NOT NULL DEFAULT 1,
    ADD COLUMN fallback        boolean,                          -- null: as configured
    ADD COLUMN deadline_at     timestamptz NOT NULL DEFAULT 'infinity',
    ADD COLUMN arrival         bigint      NOT NULL DEFAULT nextval('completion_arrivals'),
    ADD COLUMN cancelled       boolean     NOT NULL DEFAULT false,
    ADD COLUMN unknown         boolean     NOT NULL DEFAULT false, -- a call may have been made
    ADD COLUMN request_headers jsonb,
    ADD COLUMN request_body    bytea,
    ADD COLUMN cache_key       text,
    ADD COLUMN budget_id       uuid,
    ADD COLUMN reserved_usd    numeric     NOT NULL DEFAULT 0,
    ADD COLUMN outcome         text,
    ADD COLUMN model_called    text,
    ADD COLUMN input_tokens    bigint,
    ADD COLUMN output_tokens   bigint,
    ADD COLUMN cost_usd        numeric,
    ADD COLUMN price_version   text;

-- A planner that knew the queue empty takes all these indexes for empty ones and so as good as
-- each other. So each of them says something more that only statements made for it say, too.
CREATE INDEX completions_waiting ON completions (lane, tenant_id, priority, arrival)
    WHERE document IS NULL AND owner IS NULL;
CREATE INDEX completions_deadline ON completions (deadline_at)
    WHERE document IS NULL AND owner IS NULL AND deadline_at > '-infinity';
CREATE INDEX completions_arrival ON completions (arrival)
    WHERE document IS NULL AND owner IS NULL AND arrival > 0;
CREATE INDEX completions_cancelled ON completions (arrival)
    WHERE document IS NULL AND cancelled;
CREATE INDEX completions_held ON completions (lane, tenant_id)
    WHERE document IS NULL AND owner IS NOT NULL;
CREATE INDEX completions_of_parent ON completions (tenant_id, parent_id)
    WHERE document IS NULL AND parent_id IS NOT NULL;
CREATE INDEX completions_by_cache_key ON completions (tenant_id, cache_key, finished_at)
    WHERE cache_key IS NOT NULL AND document IS NOT NULL;

CREATE TABLE cancellations (
    tenant_id    text        NOT NULL,
    parent_id    uuid        NOT NULL,
    cancelled_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, parent_id)
);

-- spent is what calls cost, reserved what those in flight may cost at most. tight: what is left
-- is reserved, so that nothing new of this budget is begun until a call in flight has ended.
CREATE TABLE budgets (
    tenant_id    text    NOT NULL,
    budget_id    uuid    NOT NULL,
    limit_usd    numeric NOT NULL,
    spent_usd    numeric NOT NULL DEFAULT 0,
    reserved_usd numeric NOT NULL DEFAULT 0,
    tight        boolean NOT NULL DEFAULT false,
    PRIMARY KEY (tenant_id, budget_id)
);

CREATE TABLE catalogs (
    provider     text PRIMARY KEY,
    version      text        NOT NULL,
    published_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- What was spent, by day: the ledger is the completions themselves.
CREATE VIEW ledger AS
    SELECT tenant_id, date_trunc('day', finished_at) AS day, model_called, price_version,
        count(*) AS completions, count(cost_usd) AS priced,
        sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens,
        sum(cost_usd) AS cost_usd
    FROM completions WHERE model_called IS NOT NULL
    GROUP BY 1, 2, 3, 4;
