-- Campaigns as they changed last; and the events of a user in the outbox, to be forgotten.
-- depends: 0004.visibility 0001.inbox-and-outbox

CREATE TABLE campaigns (
    tenant_id        text             NOT NULL,  -- as producers outside name it
    campaign_id      text             NOT NULL COLLATE "C",
    title            text             NOT NULL,
    text             text             NOT NULL DEFAULT '',
    intents          text[]           NOT NULL DEFAULT '{}',
    starts_at        timestamptz,
    ends_at          timestamptz,
    budget           text             NOT NULL DEFAULT 'active',  -- active, paused, exhausted
    excluded_users   text[]           NOT NULL DEFAULT '{}',
    excluded_intents text[]           NOT NULL DEFAULT '{}',
    cap_impressions  integer,
    cap_hours        double precision,
    deleted          boolean          NOT NULL DEFAULT false,  -- stays, so that an older state stays old
    changed_at       timestamptz      NOT NULL,
    PRIMARY KEY (tenant_id, campaign_id)
);

CREATE INDEX outbox_of_user ON outbox (aggregateid)
    WHERE aggregatetype IN ('conversation.recorded.v1', 'engagement.recorded.v1');
