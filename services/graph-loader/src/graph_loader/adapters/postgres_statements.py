"""The SQL of the graph on PostgreSQL: one statement for a whole batch, columns as arrays."""

# ruff: noqa: S608 - what is put together here are constants of this module

from __future__ import annotations

_KEYS = "unnest($1::text[], $2::text[]) AS wanted (tenant, id)"
_BESIDE = (
    "(SELECT b AS no, weight, at FROM similarities WHERE a = me.no "
    "UNION ALL SELECT a, weight, at FROM similarities WHERE b = me.no)"
)
_USER = "u.version, u.said_at, u.spoke_at, u.heard_at, u.wants, u.near"
_TIMES = (
    "seen, clicked, converted, dismissed, "
    "seen_taken, clicked_taken, converted_taken, dismissed_taken"
)

# Changes go one after the other: what they decide follows from what they read.
LOCK = (
    "SELECT pg_advisory_xact_lock(hashtextextended('graph/' || tenant, 0)) "
    "FROM unnest($1::text[]) AS tenant"
)
LOAD_USERS = (
    f"SELECT wanted.tenant, wanted.id, u.no, {_USER} FROM {_KEYS} JOIN users u USING (tenant, id)"
)
LOAD_NAMED = (
    f"SELECT wanted.tenant, wanted.id, u.no, u.said_at FROM {_KEYS} JOIN users u USING (tenant, id)"
)
LOAD_SIMILAR = (
    "SELECT me.no, v.no AS other, v.id, v.said_at, s.weight, s.at "
    f"FROM unnest($1::bigint[]) AS me (no) CROSS JOIN LATERAL {_BESIDE} s "
    "JOIN users v ON v.no = s.no"
)
LOAD_ENGAGED = (
    f"SELECT e.user_no, c.no, c.id, {_TIMES} FROM engagements e "
    "JOIN campaigns c ON c.no = e.campaign_no WHERE e.user_no = ANY($1::bigint[])"
)
LOAD_CONVERSATIONS = (
    "SELECT c.user_no, c.id, c.taken_at, c.event_id, c.file, c.line "
    "FROM unnest($1::bigint[], $2::text[]) AS wanted (user_no, id) "
    "JOIN conversations c USING (user_no, id)"
)
LOAD_CONVERSATIONS_OF = (
    "SELECT user_no, id, taken_at, event_id, file, line FROM conversations "
    "WHERE user_no = ANY($1::bigint[])"
)
LOAD_CAMPAIGNS = (
    "SELECT wanted.tenant, wanted.id, c.no, c.changed_at, c.deleted, c.title, c.intents "
    f"FROM {_KEYS} JOIN campaigns c USING (tenant, id)"
)
LOAD_TOMBSTONES = "SELECT key, forgotten_at FROM tombstones WHERE key = ANY($1::text[])"

REMOVE_USERS = "DELETE FROM users WHERE no = ANY($1::bigint[])"
PUT_USERS = (
    "INSERT INTO users AS u (tenant, id, version, said_at, spoke_at, heard_at, wants, near) "
    "SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], "
    "$6::bigint[], $7::text[], $8::text[]) ON CONFLICT (tenant, id) DO UPDATE SET "
    "version = excluded.version, said_at = excluded.said_at, spoke_at = excluded.spoke_at, "
    "heard_at = excluded.heard_at, wants = excluded.wants, near = excluded.near "
    "RETURNING tenant, id, no"
)
PUT_TOMBSTONES = (
    "INSERT INTO tombstones SELECT * FROM unnest($1::text[], $2::bigint[]) "
    "ON CONFLICT (key) DO UPDATE SET forgotten_at = excluded.forgotten_at"
)
DROP_WANTS = "DELETE FROM wants WHERE user_no = ANY($1::bigint[])"
PUT_WANTS = (
    "INSERT INTO wants (user_no, tenant, intent, score, at) "
    "SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::float8[], $5::bigint[])"
)
DROP_SIMILAR = (
    "DELETE FROM similarities s USING unnest($1::bigint[], $2::bigint[]) AS gone (a, b) "
    "WHERE s.a = gone.a AND s.b = gone.b"
)
PUT_SIMILAR = (
    "INSERT INTO similarities (a, b, weight, at) "
    "SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::float8[], $4::bigint[]) "
    "ON CONFLICT (a, b) DO UPDATE SET weight = excluded.weight, at = excluded.at"
)
PUT_CAMPAIGNS = (
    "INSERT INTO campaigns (tenant, id, changed_at, deleted, title, intents) "
    "SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::boolean[], $5::text[], "
    "$6::text[]) ON CONFLICT (tenant, id) DO UPDATE SET changed_at = excluded.changed_at, "
    "deleted = excluded.deleted, title = excluded.title, intents = excluded.intents "
    "RETURNING tenant, id, no"
)
DROP_TARGETS = "DELETE FROM targets WHERE campaign_no = ANY($1::bigint[])"
PUT_TARGETS = (
    "INSERT INTO targets (tenant, intent, campaign_no) "
    "SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[])"
)
DROP_ENGAGED = (
    "DELETE FROM engagements e USING unnest($1::bigint[], $2::bigint[]) AS gone (user_no, no) "
    "WHERE e.user_no = gone.user_no AND e.campaign_no = gone.no"
)
PUT_ENGAGED = (
    f"INSERT INTO engagements (user_no, campaign_no, {_TIMES}) "
    "SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], "
    "$6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[]) "
    "ON CONFLICT (user_no, campaign_no) DO UPDATE SET seen = excluded.seen, "
    "clicked = excluded.clicked, converted = excluded.converted, dismissed = excluded.dismissed, "
    "seen_taken = excluded.seen_taken, clicked_taken = excluded.clicked_taken, "
    "converted_taken = excluded.converted_taken, dismissed_taken = excluded.dismissed_taken"
)
ADD_SHARED = (
    "INSERT INTO shared AS s (a, b, users) "
    "SELECT least(x.no, y.no), greatest(x.no, y.no), moved.by "
    "FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) "
    "AS moved (tenant, one, other, by) "
    "JOIN campaigns x ON (x.tenant, x.id) = (moved.tenant, moved.one) "
    "JOIN campaigns y ON (y.tenant, y.id) = (moved.tenant, moved.other) "
    "ON CONFLICT (a, b) DO UPDATE SET users = s.users + excluded.users"
)
ADD_FANS = (
    "UPDATE campaigns c SET fans = c.fans + moved.by "
    "FROM unnest($1::text[], $2::text[], $3::bigint[]) AS moved (tenant, id, by) "
    "WHERE (c.tenant, c.id) = (moved.tenant, moved.id)"
)
DROP_CONVERSATIONS = (
    "DELETE FROM conversations c USING unnest($1::bigint[], $2::text[]) AS gone (user_no, id) "
    "WHERE c.user_no = gone.user_no AND c.id = gone.id"
)
PUT_CONVERSATIONS = (
    "INSERT INTO conversations (user_no, id, taken_at, event_id, file, line) "
    "SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::text[], $5::text[], "
    "$6::bigint[]) ON CONFLICT (user_no, id) DO UPDATE SET taken_at = excluded.taken_at, "
    "event_id = excluded.event_id, file = excluded.file, line = excluded.line"
)
MARK = (
    "INSERT INTO waiting (user_no, stale_at, mark) "
    "SELECT no, at, nextval('marks') FROM unnest($1::bigint[], $2::bigint[]) AS marked (no, at) "
    "ON CONFLICT (user_no) DO UPDATE SET mark = excluded.mark"
)
STIR = (
    "INSERT INTO waiting (user_no, stale_at, mark) "
    "SELECT no, min(at), nextval('marks') FROM "
    "unnest($1::text[], $2::text[], $3::bigint[]) AS stirred (tenant, intent, at) "
    "CROSS JOIN LATERAL (SELECT w.user_no AS no FROM wants w JOIN users u ON u.no = w.user_no "
    "WHERE (w.tenant, w.intent) = (stirred.tenant, stirred.intent) "
    "ORDER BY w.score DESC, u.id LIMIT $4) wanting GROUP BY no "
    "ON CONFLICT (user_no) DO UPDATE SET mark = excluded.mark"
)

PEOPLE = (
    f"SELECT wanted.tenant, wanted.id, u.no, {_USER}, coalesce(w.mark, 0), "
    "coalesce(w.stale_at, 0), coalesce(p.version, 0), coalesce(p.shown, '') "
    f"FROM {_KEYS} JOIN users u USING (tenant, id) LEFT JOIN waiting w ON w.user_no = u.no "
    "LEFT JOIN published p ON p.user_no = u.no"
)
NEIGHBOURS = (
    "SELECT me.no, near.* FROM unnest($1::bigint[]) AS me (no) CROSS JOIN LATERAL "
    f"(SELECT v.no AS other, v.id, s.weight, v.wants FROM {_BESIDE} s "
    "JOIN users v ON v.no = s.no ORDER BY s.weight DESC, v.id LIMIT $2) near"
)
DEEDS = (
    "SELECT e.user_no, c.deleted, c.id, e.clicked, e.converted, e.dismissed FROM engagements e "
    "JOIN campaigns c ON c.no = e.campaign_no WHERE e.user_no = ANY($1::bigint[])"
)
RELATED = (
    f"SELECT wanted.tenant, wanted.id, alike.* FROM {_KEYS} "
    "JOIN campaigns me USING (tenant, id) CROSS JOIN LATERAL "
    "(SELECT c.id AS other, s.users, s.users / sqrt((me.fans * c.fans)::float8) AS cosine "
    "FROM (SELECT b AS no, users FROM shared WHERE a = me.no "
    "UNION ALL SELECT a, users FROM shared WHERE b = me.no) s JOIN campaigns c ON c.no = s.no "
    "WHERE s.users > 0 AND NOT c.deleted ORDER BY cosine DESC, c.id LIMIT $3) alike"
)
TARGETING = (
    f"SELECT wanted.tenant, wanted.id, offered.id FROM {_KEYS} CROSS JOIN LATERAL "
    "(SELECT c.id FROM targets t JOIN campaigns c ON c.no = t.campaign_no "
    "WHERE (t.tenant, t.intent) = (wanted.tenant, wanted.id) AND NOT c.deleted "
    "ORDER BY c.changed_at DESC, c.id LIMIT $3) offered"
)
DELETED = f"SELECT tenant, id FROM {_KEYS} JOIN campaigns c USING (tenant, id) WHERE c.deleted"
REMEMBER = (
    "WITH told AS (SELECT u.no, told.* FROM unnest($1::text[], $2::text[], $3::bigint[], "
    "$4::text[], $5::bigint[], $6::bigint[]) AS told (tenant, id, version, shown, mark, read_at) "
    "JOIN users u USING (tenant, id) ORDER BY u.no), "
    "put AS (INSERT INTO published AS p (user_no, version, shown) "
    "SELECT no, version, shown FROM told ON CONFLICT (user_no) DO UPDATE "
    "SET version = excluded.version, shown = excluded.shown WHERE p.version < excluded.version), "
    "settled AS (DELETE FROM waiting w USING told "
    "WHERE w.user_no = told.no AND w.mark = told.mark) "
    "UPDATE waiting w SET stale_at = told.read_at FROM told "
    "WHERE w.user_no = told.no AND w.mark <> told.mark"
)
WAITING = (
    "SELECT u.tenant, u.id FROM (SELECT user_no, stale_at FROM waiting "
    "ORDER BY stale_at, user_no LIMIT $1) w JOIN users u ON u.no = w.user_no ORDER BY w.stale_at"
)
BACKLOG = "SELECT count(*), coalesce(min(stale_at), 0) FROM waiting"

PUT_ANSWERS = (
    "INSERT INTO answers AS a (tenant, completion_id, revision, analyzed_at, prompt_id, model, "
    "simulated) SELECT * FROM unnest($1::text[], $2::uuid[], $3::bigint[], $4::bigint[], "
    "$5::uuid[], $6::text[], $7::boolean[]) ON CONFLICT (tenant, completion_id) DO UPDATE SET "
    "revision = excluded.revision, analyzed_at = excluded.analyzed_at, "
    "prompt_id = excluded.prompt_id, model = excluded.model, simulated = excluded.simulated "
    "WHERE (a.revision, a.analyzed_at) <= (excluded.revision, excluded.analyzed_at) "
    "RETURNING tenant, completion_id, no"
)
DROP_NAMES = "DELETE FROM names WHERE answer_no = ANY($1::bigint[])"
DROP_CITES = "DELETE FROM cites WHERE answer_no = ANY($1::bigint[])"
PUT_NAMES = (
    "INSERT INTO names (answer_no, tenant, brand_id, outcome, rank, sentiment) "
    "SELECT * FROM unnest($1::bigint[], $2::text[], $3::uuid[], $4::text[], $5::bigint[], "
    "$6::float8[])"
)
PUT_CITES = (
    "INSERT INTO cites (answer_no, tenant, domain) "
    "SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[])"
)
