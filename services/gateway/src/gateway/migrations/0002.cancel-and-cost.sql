-- Runs have budgets and can be cancelled; calls that were not made are told from failed ones.
-- depends: 0001.keys-and-runs

ALTER TABLE runs
    ADD COLUMN budget_usd   numeric,
    ADD COLUMN cancelled_at timestamptz;

ALTER TABLE completions
    ADD COLUMN not_run    boolean NOT NULL DEFAULT false,
    ADD COLUMN cost_usd   numeric,
    ADD COLUMN cost_known boolean NOT NULL DEFAULT true;  -- false: called, at an unknown price
