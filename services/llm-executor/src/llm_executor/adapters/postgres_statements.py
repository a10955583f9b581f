"""The SQL of the call store. ``waiting`` rows have neither an owner nor a document.

Statements on many rows either lock them in the order of their keys, completions before budgets,
or skip what is locked: so no two of them wait for each other in a circle.

Where rows are looked up by their keys, ``num_nonnulls`` says what IS NULL would: so the planner,
to whom a queue that was empty lately is a short one, cannot read that queue instead.
"""

from __future__ import annotations

_CLAIMED = (
    "RETURNING c.tenant_id, c.completion_id, c.lane, c.unknown, c.cancelled, "
    "c.request_headers, c.request_body, c.priority, c.arrival"
)

ACCEPT = """
WITH given AS (
    SELECT * FROM unnest($1::text[], $2::uuid[], $3::text[], $4::uuid[], $5::smallint[],
        $6::smallint[], $7::boolean[], $8::timestamptz[], $9::text[], $10::bytea[], $11::text[])
        WITH ORDINALITY AS row (tenant_id, completion_id, lane, parent_id, priority, weight,
            fallback, deadline_at, request_headers, request_body, cache_key, n)
), arrived AS (
    SELECT *, nextval('completion_arrivals') AS arrival FROM (SELECT * FROM given ORDER BY n) AS g
), queued AS (
    INSERT INTO completions (tenant_id, completion_id, lane, parent_id, priority, weight,
        fallback, deadline_at, request_headers, request_body, cache_key, arrival, cancelled)
    SELECT tenant_id, completion_id, lane, parent_id, priority, weight,
        fallback, deadline_at, request_headers::jsonb, request_body, cache_key, arrival,
        EXISTS (SELECT FROM cancellations x
                WHERE x.tenant_id = arrived.tenant_id AND x.parent_id = arrived.parent_id)
    FROM arrived ORDER BY tenant_id, completion_id, n
    ON CONFLICT (tenant_id, completion_id) DO NOTHING
    RETURNING tenant_id, completion_id
)
UPDATE completions c SET published_at = NULL FROM given
WHERE c.tenant_id = given.tenant_id AND c.completion_id = given.completion_id
    AND c.document IS NOT NULL
    AND NOT EXISTS (SELECT FROM queued q
                    WHERE q.tenant_id = c.tenant_id AND q.completion_id = c.completion_id)
"""

# Shared by those who queue, exclusive for who cancels: a request either sees the cancellation or
# is seen by it.
ACCEPT_LOCK = "SELECT pg_advisory_xact_lock_shared(4995)"
CANCEL_LOCK = "SELECT pg_advisory_xact_lock(4995)"

CANCEL = """
WITH known AS (
    INSERT INTO cancellations (tenant_id, parent_id)
    SELECT $1, parent_id FROM unnest($2::uuid[]) AS parent_id ON CONFLICT DO NOTHING
), meant AS (
    SELECT tenant_id, completion_id FROM completions
    WHERE tenant_id = $1 AND parent_id = ANY($2::uuid[]) AND parent_id IS NOT NULL
        AND document IS NULL AND NOT cancelled
    ORDER BY tenant_id, completion_id FOR NO KEY UPDATE
)
UPDATE completions c SET cancelled = true FROM meant
WHERE c.tenant_id = meant.tenant_id AND c.completion_id = meant.completion_id
"""

# A loose index scan: one look-up for each lane that has something, whatever waits in it.
LANES = """
WITH RECURSIVE lanes AS (
    (SELECT lane FROM completions WHERE document IS NULL AND owner IS NULL
     ORDER BY lane LIMIT 1)
    UNION ALL
    SELECT (SELECT c.lane FROM completions c WHERE c.document IS NULL AND c.owner IS NULL
            AND c.lane > lanes.lane ORDER BY c.lane LIMIT 1)
    FROM lanes WHERE lanes.lane IS NOT NULL
)
SELECT lane FROM lanes WHERE lane IS NOT NULL
"""

# Weighted fair shares of what is in flight: of every tenant the first few, then those first
# whose tenant has least for its weight, which is that of its next request. Two processes may
# choose the same rows; the second finds them taken, and asks again.
CLAIM = f"""
WITH RECURSIVE tenants AS (
    (SELECT tenant_id FROM completions
     WHERE lane = $1 AND document IS NULL AND owner IS NULL ORDER BY tenant_id LIMIT 1)
    UNION ALL
    SELECT (SELECT c.tenant_id FROM completions c
            WHERE c.lane = $1 AND c.document IS NULL AND c.owner IS NULL
                AND c.tenant_id > tenants.tenant_id ORDER BY c.tenant_id LIMIT 1)
    FROM tenants WHERE tenants.tenant_id IS NOT NULL
), held AS (
    SELECT tenant_id, count(*) AS calls FROM completions
    WHERE lane = $1 AND document IS NULL AND owner IS NOT NULL GROUP BY tenant_id
), first AS (
    SELECT c.tenant_id, c.completion_id, c.priority, row_number() OVER turns AS n,
        first_value(c.weight) OVER turns AS weight
    FROM tenants, LATERAL (
        SELECT w.tenant_id, w.completion_id, w.priority, w.arrival, w.weight
        FROM completions w LEFT JOIN budgets b
            ON b.tenant_id = w.tenant_id AND b.budget_id = w.budget_id
        WHERE w.lane = $1 AND w.tenant_id = tenants.tenant_id
            AND w.document IS NULL AND w.owner IS NULL
            AND (b.tight IS NOT TRUE OR w.reserved_usd > 0)
            AND (NOT $4 OR coalesce(w.fallback, $5))
        ORDER BY w.priority, w.arrival LIMIT $2
    ) AS c
    WINDOW turns AS (PARTITION BY c.tenant_id ORDER BY c.priority, c.arrival)
), placed AS (
    SELECT first.tenant_id, first.completion_id, first.priority, row_number() OVER (
        ORDER BY first.priority,
            (first.n + coalesce(held.calls, 0))::float8 / first.weight, random()
    ) AS place
    FROM first LEFT JOIN held USING (tenant_id)
), next AS (
    SELECT tenant_id, completion_id FROM placed
    WHERE place <= CASE priority WHEN 0 THEN $2 ELSE $3 END ORDER BY place LIMIT $2
), chosen AS (
    SELECT c.tenant_id, c.completion_id
    FROM next JOIN completions c USING (tenant_id, completion_id)
    WHERE num_nonnulls(c.document, c.owner) = 0
    FOR NO KEY UPDATE OF c SKIP LOCKED
)
UPDATE completions c SET owner = $6, claims = claims + 1,
    lease_until = clock_timestamp() + make_interval(secs => $7)
FROM chosen
WHERE c.tenant_id = chosen.tenant_id AND c.completion_id = chosen.completion_id
{_CLAIMED}
"""  # noqa: S608 - composed of constants

# The statement's time, unlike the clock's, can be looked up in an index.
CLAIM_ENDED = f"""
WITH ended AS (
    (SELECT tenant_id, completion_id FROM completions
     WHERE document IS NULL AND owner IS NULL AND cancelled ORDER BY arrival LIMIT $1)
    UNION
    (SELECT tenant_id, completion_id FROM completions
     WHERE document IS NULL AND owner IS NULL AND deadline_at > '-infinity'
        AND deadline_at < statement_timestamp()
     ORDER BY deadline_at LIMIT $1)
), chosen AS (
    SELECT c.tenant_id, c.completion_id
    FROM (SELECT * FROM ended LIMIT $1) AS few JOIN completions c USING (tenant_id, completion_id)
    WHERE num_nonnulls(c.document, c.owner) = 0
    FOR NO KEY UPDATE OF c SKIP LOCKED
)
UPDATE completions c SET owner = $2, claims = claims + 1,
    lease_until = clock_timestamp() + make_interval(secs => $3)
FROM chosen
WHERE c.tenant_id = chosen.tenant_id AND c.completion_id = chosen.completion_id
{_CLAIMED}
"""  # noqa: S608 - composed of constants

_MINE = """
WITH mine AS (
    SELECT c.tenant_id, c.completion_id FROM completions c
    JOIN unnest($2::text[], $3::uuid[]) AS given (tenant_id, completion_id)
        USING (tenant_id, completion_id)
    WHERE c.owner = $1 AND num_nonnulls(c.document) = 0
    ORDER BY c.tenant_id, c.completion_id FOR NO KEY UPDATE OF c
)
UPDATE completions c SET {change} FROM mine
WHERE c.tenant_id = mine.tenant_id AND c.completion_id = mine.completion_id
"""
RENEW = _MINE.format(change="lease_until = clock_timestamp() + make_interval(secs => $4)")
RELEASE = _MINE.format(change="owner = NULL, unknown = c.unknown OR $4")
CANCELLED = """
SELECT c.tenant_id, c.completion_id FROM completions c
JOIN unnest($2::text[], $3::uuid[]) AS given (tenant_id, completion_id)
    USING (tenant_id, completion_id)
WHERE c.owner = $1 AND num_nonnulls(c.document) = 0 AND c.cancelled
"""
TAKE_BACK = """
WITH lapsed AS (
    SELECT tenant_id, completion_id FROM completions
    WHERE document IS NULL AND owner IS NOT NULL AND lease_until < clock_timestamp()
    FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE completions c SET owner = NULL, unknown = true FROM lapsed
WHERE c.tenant_id = lapsed.tenant_id AND c.completion_id = lapsed.completion_id
"""
EXPIRE = (
    "UPDATE completions SET owner = NULL, unknown = true "
    "WHERE document IS NULL AND owner IS NOT NULL"
)

OPEN_BUDGETS = (
    "INSERT INTO budgets (tenant_id, budget_id, limit_usd) SELECT * FROM "
    "unnest($1::text[], $2::uuid[], $3::numeric[]) ORDER BY 1, 2 "
    "ON CONFLICT (tenant_id, budget_id) DO UPDATE SET limit_usd = EXCLUDED.limit_usd"
)
LOCK_BUDGETS = (
    "SELECT b.tenant_id, b.budget_id, b.spent_usd, b.reserved_usd FROM budgets b "
    "JOIN unnest($1::text[], $2::uuid[]) AS asked (tenant_id, budget_id) "
    "ON b.tenant_id = asked.tenant_id AND b.budget_id = asked.budget_id "
    "ORDER BY b.tenant_id, b.budget_id FOR NO KEY UPDATE OF b"
)
RESERVED = (
    "SELECT c.tenant_id, c.completion_id, c.reserved_usd FROM completions c "
    "JOIN unnest($1::text[], $2::uuid[]) AS asked (tenant_id, completion_id) "
    "ON c.tenant_id = asked.tenant_id AND c.completion_id = asked.completion_id "
    "WHERE num_nonnulls(c.document) = 0 "
    "ORDER BY c.tenant_id, c.completion_id FOR NO KEY UPDATE OF c"
)
SET_RESERVED = (
    "UPDATE completions SET reserved_usd = given.usd, budget_id = given.budget_id "
    "FROM unnest($1::text[], $2::uuid[], $3::numeric[], $4::uuid[]) "
    "AS given (tenant_id, completion_id, usd, budget_id) "
    "WHERE completions.tenant_id = given.tenant_id "
    "AND completions.completion_id = given.completion_id"
)
SET_BUDGETS = (
    "UPDATE budgets SET reserved_usd = given.usd, tight = budgets.tight OR given.tight "
    "FROM unnest($1::text[], $2::uuid[], $3::numeric[], $4::boolean[]) "
    "AS given (tenant_id, budget_id, usd, tight) "
    "WHERE budgets.tenant_id = given.tenant_id AND budgets.budget_id = given.budget_id"
)

EARLIER = (
    "SELECT document ->> 'event' FROM completions WHERE tenant_id = $1 AND cache_key = $2 "
    "AND document IS NOT NULL AND outcome = 'answered' "
    "AND finished_at > statement_timestamp() - make_interval(secs => $3) "
    "ORDER BY finished_at DESC LIMIT 1"
)

# The locks come first, see above. Positions are in the order given.
RECORD = """
WITH given AS (
    SELECT *, nextval('completion_positions') AS position
    FROM (SELECT * FROM unnest($1::text[], $2::uuid[], $3::text[], $4::text[], $5::text[],
        $6::bigint[], $7::bigint[], $8::numeric[], $9::text[])
        WITH ORDINALITY AS row (tenant_id, completion_id, document, outcome, model_called,
            input_tokens, output_tokens, cost_usd, price_version, n)
        ORDER BY n) AS g
), firsts AS (
    SELECT DISTINCT ON (tenant_id, completion_id) * FROM given
    ORDER BY tenant_id, completion_id, n
), open AS (
    SELECT firsts.* FROM firsts JOIN completions c USING (tenant_id, completion_id)
    WHERE num_nonnulls(c.document) = 0
    ORDER BY tenant_id, completion_id FOR NO KEY UPDATE OF c
), stored AS (
    UPDATE completions c SET document = open.document::jsonb, outcome = open.outcome,
        model_called = open.model_called, input_tokens = open.input_tokens,
        output_tokens = open.output_tokens, cost_usd = open.cost_usd,
        price_version = open.price_version, finished_at = clock_timestamp(), owner = NULL,
        lease_until = NULL, request_headers = NULL, request_body = NULL,
        position = open.position
    FROM open WHERE c.tenant_id = open.tenant_id AND c.completion_id = open.completion_id
    RETURNING c.tenant_id, c.completion_id, c.budget_id, c.reserved_usd, c.cost_usd
), sums AS (
    SELECT tenant_id, budget_id, coalesce(sum(cost_usd), 0) AS cost_usd,
        sum(reserved_usd) AS reserved_usd
    FROM stored WHERE budget_id IS NOT NULL GROUP BY tenant_id, budget_id
), due AS (
    SELECT sums.* FROM sums JOIN budgets b USING (tenant_id, budget_id)
    ORDER BY tenant_id, budget_id FOR NO KEY UPDATE OF b
), settled AS (
    UPDATE budgets b SET spent_usd = b.spent_usd + due.cost_usd,
        reserved_usd = b.reserved_usd - due.reserved_usd, tight = false
    FROM due WHERE b.tenant_id = due.tenant_id AND b.budget_id = due.budget_id
), woken AS (
    SELECT pg_notify($10, '') FROM (SELECT FROM stored LIMIT 1) AS one
)
SELECT stored.tenant_id, stored.completion_id FROM stored, woken
"""

DEPTH = (
    "SELECT (SELECT count(*) FROM completions WHERE document IS NULL AND owner IS NULL) "
    "AS waiting, coalesce((SELECT extract(epoch FROM clock_timestamp() - created_at)::float8 "
    "FROM completions WHERE document IS NULL AND owner IS NULL AND arrival > 0 "
    "ORDER BY arrival LIMIT 1), 0) "
    "AS oldest"
)
