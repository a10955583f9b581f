-- Events of tenants that services could not take in, and how far the DLQs were read for them.
-- depends: 0005.marketing

CREATE TABLE rejected_events (
    number      bigint      NOT NULL GENERATED ALWAYS AS IDENTITY,
    tenant_id   text        NOT NULL,  -- as the record says
    topic       text        NOT NULL,
    partition   integer     NOT NULL,  -- of the topic, as the broker acknowledged it
    "offset"    bigint      NOT NULL,
    service     text        NOT NULL,  -- who refused it
    event_id    text,
    reason      text        NOT NULL,
    message     text        NOT NULL,
    attempts    integer     NOT NULL,
    rejected_at timestamptz NOT NULL,
    PRIMARY KEY (topic, partition, "offset", service)
);

CREATE INDEX rejected_events_of_tenant ON rejected_events (tenant_id, number);
CREATE INDEX rejected_events_by_age ON rejected_events (rejected_at);

CREATE TABLE dead_letters_read (
    dlq         text    NOT NULL,
    partition   integer NOT NULL,
    next_offset bigint  NOT NULL,
    PRIMARY KEY (dlq, partition)
);
