-- Runs can be analysed anew with other brands; answers come with sources, also from elsewhere.
-- depends: 0001.answers-and-analyses

ALTER TABLE brand_sets ADD COLUMN revision integer NOT NULL DEFAULT 1;

ALTER TABLE answers ADD COLUMN sources jsonb NOT NULL DEFAULT '[]';
CREATE INDEX answers_of_run ON answers (tenant_id, run_id, completion_id);

ALTER TABLE analyses
    ADD COLUMN revision  integer NOT NULL DEFAULT 1,
    ADD COLUMN citations jsonb   NOT NULL DEFAULT '[]',
    ADD COLUMN findings  jsonb   NOT NULL DEFAULT '[]';
ALTER TABLE analyses DROP CONSTRAINT analyses_pkey;
ALTER TABLE analyses ADD PRIMARY KEY (tenant_id, completion_id, revision, analyzer_version);
