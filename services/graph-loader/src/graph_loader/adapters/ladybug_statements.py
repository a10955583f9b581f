"""The Cypher of the graph on ladybug: one row at a time, every node by its primary key.

That is on purpose. Its planner uses the key index for ``WHERE n.key = $key`` only: the same edge
through ``UNWIND`` or ``MERGE`` scans the whole table, which is slower with every user (0.2 ms
against 30 ms for an edge among 100,000 users).
"""

from __future__ import annotations

APPLIED = "MATCH (m:Migration) RETURN m.name"
MIGRATION_TABLE = "CREATE NODE TABLE IF NOT EXISTS Migration(name STRING PRIMARY KEY)"
APPLY = "CREATE (:Migration {name: $name})"
PING = "RETURN 1"

_USER = "u.version, u.said_at, u.spoke_at, u.heard_at, u.wants, u.near"
_TIMES = "e.seen, e.clicked, e.converted, e.dismissed"
_TAKEN = "e.seen_taken, e.clicked_taken, e.converted_taken, e.dismissed_taken"

LOAD_USER = f"MATCH (u:User) WHERE u.key = $key RETURN {_USER}"
LOAD_NAMED = "MATCH (u:User) WHERE u.key = $key RETURN u.said_at"
LOAD_SIMILAR = (
    "MATCH (u:User)-[s:SIMILAR]-(v:User) WHERE u.key = $key RETURN v.key, s.weight, s.at, v.said_at"
)
LOAD_ENGAGED = (
    "MATCH (u:User)-[e:ENGAGED]->(c:Campaign) WHERE u.key = $key "
    f"RETURN c.campaign_id, {_TIMES}, {_TAKEN}"
)
LOAD_CONVERSATION = (
    "MATCH (c:Conversation) WHERE c.key = $key RETURN c.key, c.taken_at, c.event_id, c.file, c.line"
)
LOAD_CONVERSATIONS_OF = (
    "MATCH (u:User)-[:HELD]->(c:Conversation) WHERE u.key = $key "
    "RETURN c.key, c.taken_at, c.event_id, c.file, c.line"
)
LOAD_CAMPAIGN = (
    "MATCH (c:Campaign) WHERE c.key = $key RETURN c.changed_at, c.deleted, c.title, c.intents"
)
LOAD_TOMBSTONE = "MATCH (t:Tombstone) WHERE t.key = $key RETURN t.forgotten_at"
LOAD_WAITING = "MATCH (w:Waiting) RETURN w.key, w.stale_at"

REMOVE_CONVERSATIONS_OF = (
    "MATCH (u:User)-[:HELD]->(c:Conversation) WHERE u.key = $key DETACH DELETE c"
)
REMOVE_USER = "MATCH (u:User) WHERE u.key = $key DETACH DELETE u"
ADD_USER = (
    "CREATE (:User {key: $key, tenant: $tenant, user_id: $user_id, version: $version, "
    "said_at: $said_at, spoke_at: $spoke_at, heard_at: $heard_at, wants: $wants, near: $near, "
    "affinity_version: 0, shown: ''})"
)
SET_USER = (
    "MATCH (u:User) WHERE u.key = $key SET u.version = $version, u.said_at = $said_at, "
    "u.spoke_at = $spoke_at, u.heard_at = $heard_at, u.wants = $wants, u.near = $near"
)
ADD_TOMBSTONE = "CREATE (:Tombstone {key: $key, forgotten_at: $at})"
SET_TOMBSTONE = "MATCH (t:Tombstone) WHERE t.key = $key SET t.forgotten_at = $at"
HAS_INTENT = "MATCH (i:Intent) WHERE i.key = $intent RETURN 1"
ADD_INTENT = "CREATE (:Intent {key: $intent, tenant: $tenant, name: $name})"
DROP_WANTS = "MATCH (u:User)-[w:WANTS]->(i:Intent) WHERE u.key = $user DELETE w"
ADD_WANTS = (
    "MATCH (u:User), (i:Intent) WHERE u.key = $user AND i.key = $intent "
    "CREATE (u)-[:WANTS {score: $score, at: $at}]->(i)"
)
DROP_SIMILAR = "MATCH (a:User)-[s:SIMILAR]->(b:User) WHERE a.key = $one AND b.key = $other DELETE s"
ADD_SIMILAR = (
    "MATCH (a:User), (b:User) WHERE a.key = $one AND b.key = $other "
    "CREATE (a)-[:SIMILAR {weight: $weight, at: $at}]->(b)"
)
SET_SIMILAR = (
    "MATCH (a:User)-[s:SIMILAR]->(b:User) WHERE a.key = $one AND b.key = $other "
    "SET s.weight = $weight, s.at = $at"
)
ADD_CAMPAIGN = (
    "CREATE (:Campaign {key: $key, tenant: $tenant, campaign_id: $campaign_id, "
    "changed_at: $changed_at, deleted: $deleted, title: $title, intents: $intents, fans: 0})"
)
SET_CAMPAIGN = (
    "MATCH (c:Campaign) WHERE c.key = $key SET c.changed_at = $changed_at, "
    "c.deleted = $deleted, c.title = $title, c.intents = $intents"
)
DROP_TARGETS = "MATCH (c:Campaign)-[t:TARGETS]->(i:Intent) WHERE c.key = $campaign DELETE t"
ADD_TARGETS = (
    "MATCH (c:Campaign), (i:Intent) WHERE c.key = $campaign AND i.key = $intent "
    "CREATE (c)-[:TARGETS]->(i)"
)
DROP_ENGAGED = (
    "MATCH (u:User)-[e:ENGAGED]->(c:Campaign) WHERE u.key = $user AND c.key = $campaign DELETE e"
)
ADD_ENGAGED = (
    "MATCH (u:User), (c:Campaign) WHERE u.key = $user AND c.key = $campaign "
    "CREATE (u)-[:ENGAGED {seen: $seen, clicked: $clicked, converted: $converted, "
    "dismissed: $dismissed, seen_taken: $seen_taken, clicked_taken: $clicked_taken, "
    "converted_taken: $converted_taken, dismissed_taken: $dismissed_taken}]->(c)"
)
SET_ENGAGED = (
    "MATCH (u:User)-[e:ENGAGED]->(c:Campaign) WHERE u.key = $user AND c.key = $campaign "
    "SET e.seen = $seen, e.clicked = $clicked, e.converted = $converted, "
    "e.dismissed = $dismissed, e.seen_taken = $seen_taken, e.clicked_taken = $clicked_taken, "
    "e.converted_taken = $converted_taken, e.dismissed_taken = $dismissed_taken"
)
DROP_CONVERSATION = "MATCH (c:Conversation) WHERE c.key = $key DETACH DELETE c"
ADD_CONVERSATION = (
    "CREATE (:Conversation {key: $key, tenant: $tenant, conversation_id: $conversation_id, "
    "taken_at: $taken_at, event_id: $event_id, file: $file, line: $line})"
)
ADD_HELD = (
    "MATCH (u:User), (c:Conversation) WHERE u.key = $user AND c.key = $key CREATE (u)-[:HELD]->(c)"
)
SET_CONVERSATION = (
    "MATCH (c:Conversation) WHERE c.key = $key SET c.taken_at = $taken_at, "
    "c.event_id = $event_id, c.file = $file, c.line = $line"
)
HAS_SHARED = (
    "MATCH (a:Campaign)-[s:SHARED]->(b:Campaign) WHERE a.key = $one AND b.key = $other RETURN 1"
)
ADD_SHARED = (
    "MATCH (a:Campaign), (b:Campaign) WHERE a.key = $one AND b.key = $other "
    "CREATE (a)-[:SHARED {users: $by}]->(b)"
)
RAISE_SHARED = (
    "MATCH (a:Campaign)-[s:SHARED]->(b:Campaign) WHERE a.key = $one AND b.key = $other "
    "SET s.users = s.users + $by"
)
RAISE_FANS = "MATCH (c:Campaign) WHERE c.key = $key SET c.fans = c.fans + $by"
ADD_WAITING = "CREATE (:Waiting {key: $key, stale_at: $at})"
DROP_WAITING = "MATCH (w:Waiting) WHERE w.key = $key DELETE w"
SET_WAITING = "MATCH (w:Waiting) WHERE w.key = $key SET w.stale_at = $at"
WANTING = (
    "MATCH (i:Intent)<-[w:WANTS]-(u:User) WHERE i.key = $key "
    "RETURN u.key ORDER BY w.score DESC, u.user_id LIMIT $most"
)

PERSON = f"MATCH (u:User) WHERE u.key = $key RETURN {_USER}, u.affinity_version, u.shown"
DEEDS = (
    "MATCH (u:User)-[e:ENGAGED]->(c:Campaign) WHERE u.key = $key "
    "RETURN c.campaign_id, e.clicked, e.converted, e.dismissed"
)
# A filter or an order here makes the planner join whole tables: the caller sorts and leaves out.
NEIGHBOURS = (
    "MATCH (u:User)-[s:SIMILAR]-(v:User) WHERE u.key = $key RETURN v.user_id, s.weight, v.wants"
)
NEIGHBOURS_DEEDS = (
    "MATCH (u:User)-[s:SIMILAR]-(v:User)-[e:ENGAGED]->(c:Campaign) WHERE u.key = $key "
    "RETURN v.user_id, c.deleted, c.campaign_id, e.clicked, e.converted, e.dismissed"
)
RELATED = (
    "MATCH (a:Campaign)-[s:SHARED]-(b:Campaign) "
    "WHERE a.key = $key AND s.users > 0 AND NOT b.deleted "
    "RETURN b.campaign_id AS id, s.users, s.users / sqrt(a.fans * b.fans) AS cosine "
    "ORDER BY cosine DESC, id LIMIT $most"
)
TARGETING = (
    "MATCH (i:Intent)<-[:TARGETS]-(c:Campaign) WHERE i.key = $key AND NOT c.deleted "
    "RETURN c.campaign_id AS id ORDER BY c.changed_at DESC, id LIMIT $most"
)
DELETED = "MATCH (c:Campaign) WHERE c.key = $key AND c.deleted RETURN 1"
PUBLISHED = "MATCH (u:User) WHERE u.key = $key RETURN u.affinity_version"
SET_PUBLISHED = (
    "MATCH (u:User) WHERE u.key = $key SET u.affinity_version = $version, u.shown = $shown"
)

ANSWERED = "MATCH (a:Answer) WHERE a.key = $key RETURN a.revision, a.analyzed_at"
ADD_ANSWER = (
    "CREATE (:Answer {key: $key, tenant: $tenant, completion_id: $completion_id, "
    "revision: $revision, analyzed_at: $analyzed_at, simulated: $simulated})"
)
REMOVE_ANSWER = "MATCH (a:Answer) WHERE a.key = $key DETACH DELETE a"
HAS_PROMPT = "MATCH (n:Prompt) WHERE n.key = $prompt RETURN 1"
ADD_PROMPT = "CREATE (:Prompt {key: $prompt, tenant: $tenant, prompt_id: $prompt_id})"
HAS_MODEL = "MATCH (n:Model) WHERE n.key = $model RETURN 1"
ADD_MODEL = "CREATE (:Model {key: $model, tenant: $tenant, name: $model_name})"
HAS_BRAND = "MATCH (n:Brand) WHERE n.key = $brand RETURN 1"
ADD_BRAND = "CREATE (:Brand {key: $brand, tenant: $tenant, brand_id: $brand_id})"
HAS_DOMAIN = "MATCH (n:Domain) WHERE n.key = $domain RETURN 1"
ADD_DOMAIN = "CREATE (:Domain {key: $domain, tenant: $tenant, name: $name})"
ADD_TO = (
    "MATCH (a:Answer), (p:Prompt) WHERE a.key = $key AND p.key = $prompt CREATE (a)-[:`TO`]->(p)"
)
ADD_BY = "MATCH (a:Answer), (m:Model) WHERE a.key = $key AND m.key = $model CREATE (a)-[:`BY`]->(m)"
ADD_NAMES = (
    "MATCH (a:Answer), (b:Brand) WHERE a.key = $answer AND b.key = $brand "
    "CREATE (a)-[:NAMES {outcome: $outcome, rank: $rank, sentiment: $sentiment}]->(b)"
)
ADD_CITES = (
    "MATCH (a:Answer), (d:Domain) WHERE a.key = $answer AND d.key = $domain "
    "CREATE (a)-[:CITES]->(d)"
)
