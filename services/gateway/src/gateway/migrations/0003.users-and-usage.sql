-- Tenants have tiers and users, keys have scopes and an end, and what keys use is counted.
-- depends: 0002.cancel-and-cost

ALTER TABLE tenants
    ADD COLUMN name text,
    ADD COLUMN tier text NOT NULL DEFAULT 'pro';  -- what all had so far: 600 requests a minute
UPDATE tenants SET name = tenant_id;
ALTER TABLE tenants
    ALTER COLUMN name SET NOT NULL,
    ALTER COLUMN tier DROP DEFAULT;

CREATE TABLE users (
    user_id     uuid        PRIMARY KEY,
    tenant_id   text        NOT NULL REFERENCES tenants,
    email       text        NOT NULL,
    email_key   text        NOT NULL,  -- the address as it is compared: case and width folded
    name        text        NOT NULL,
    role        text        NOT NULL,
    created_at  timestamptz NOT NULL,
    disabled_at timestamptz,
    UNIQUE (tenant_id, email_key),
    UNIQUE (tenant_id, user_id)
);

ALTER TABLE api_keys
    ADD COLUMN scopes       text[] NOT NULL DEFAULT '{read,write,admin}',
    ADD COLUMN tier         text   NOT NULL DEFAULT 'pro',
    ADD COLUMN user_id      uuid,
    ADD COLUMN expires_at   timestamptz,
    ADD COLUMN last_used_at timestamptz,
    ADD COLUMN made_by      uuid,
    ADD FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, user_id);
ALTER TABLE api_keys
    ALTER COLUMN scopes DROP DEFAULT,
    ALTER COLUMN tier DROP DEFAULT;

-- Totals of one process (instance) for an hour: it writes them again and again as they grow.
CREATE TABLE key_usage (
    key_id         uuid             NOT NULL REFERENCES api_keys,
    hour           timestamptz      NOT NULL,
    method         text             NOT NULL,
    route          text             NOT NULL,
    status         integer          NOT NULL,
    instance       uuid             NOT NULL,
    requests       bigint           NOT NULL,
    seconds        double precision NOT NULL,
    longest        double precision NOT NULL,
    request_bytes  bigint           NOT NULL,
    response_bytes bigint           NOT NULL,
    PRIMARY KEY (key_id, hour, method, route, status, instance)
) WITH (fillfactor = 70);  -- rows are updated in place while their hour lasts
CREATE INDEX key_usage_by_age ON key_usage (hour);

CREATE INDEX idempotent_requests_by_age ON idempotent_requests (created_at);
