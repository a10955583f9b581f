"""The Cypher of the graph on Neo4j: one statement for a whole batch of rows.

What is read comes as one record with a list of rows: the driver needs 50 us for each record.
"""

from __future__ import annotations

PING = "RETURN [1]"
APPLIED = "MATCH (m:Migration) RETURN collect(m.name)"
APPLY = "MERGE (m:Migration {name: $name}) ON CREATE SET m.applied_at = timestamp()"

# Changes of one tenant go one after the other: what they decide follows from what they read.
LOCK = "UNWIND $keys AS key MERGE (t:Tenant {key: key}) SET t.turn = $turn"

_USER = "u.version, u.said_at, u.spoke_at, u.heard_at, u.wants, u.near"
_TIMES = "e.seen, e.clicked, e.converted, e.dismissed"
_TAKEN = "e.seen_taken, e.clicked_taken, e.converted_taken, e.dismissed_taken"
_LIVELY = "e.clicked + e.converted + e.dismissed > 0"

LOAD_USERS = f"UNWIND $keys AS key MATCH (u:User {{key: key}}) RETURN collect([key, [{_USER}]])"
LOAD_NAMED = "UNWIND $keys AS key MATCH (u:User {key: key}) RETURN collect([key, u.said_at])"
LOAD_SIMILAR = (
    "UNWIND $keys AS key MATCH (:User {key: key})-[s:SIMILAR]-(v:User) "
    "RETURN collect([key, v.key, s.weight, s.at, v.said_at])"
)
LOAD_ENGAGED = (
    "UNWIND $keys AS key MATCH (:User {key: key})-[e:ENGAGED]->(c:Campaign) "
    f"RETURN collect([key, c.campaign_id, [{_TIMES}, {_TAKEN}]])"
)
LOAD_CONVERSATIONS = (
    "UNWIND $keys AS key MATCH (c:Conversation {key: key}) "
    "RETURN collect([key, [c.taken_at, c.event_id, c.file, c.line]])"
)
LOAD_CONVERSATIONS_OF = (
    "UNWIND $keys AS key MATCH (:User {key: key})-[:HELD]->(c:Conversation) "
    "RETURN collect([c.key, [c.taken_at, c.event_id, c.file, c.line]])"
)
LOAD_CAMPAIGNS = (
    "UNWIND $keys AS key MATCH (c:Campaign {key: key}) "
    "RETURN collect([key, [c.changed_at, c.deleted, c.title, c.intents]])"
)
LOAD_TOMBSTONES = (
    "UNWIND $keys AS key MATCH (t:Tombstone {key: key}) RETURN collect([key, t.forgotten_at])"
)

REMOVE_USERS = (
    "UNWIND $rows AS key MATCH (u:User {key: key}) "
    "OPTIONAL MATCH (u)-[:HELD]->(c:Conversation) DETACH DELETE c, u"
)
PUT_NAMED = (
    "UNWIND $rows AS row MERGE (u:User {key: row.key}) ON CREATE SET u.tenant = row.tenant, "
    "u.user_id = row.user_id, u.version = 0, u.said_at = 0, u.spoke_at = 0, u.heard_at = 0, "
    "u.wants = row.wants, u.near = row.near"
)
PUT_USERS = (
    "UNWIND $rows AS row MERGE (u:User {key: row.key}) SET u.tenant = row.tenant, "
    "u.user_id = row.user_id, u.version = row.version, u.said_at = row.said_at, "
    "u.spoke_at = row.spoke_at, u.heard_at = row.heard_at, u.wants = row.wants, u.near = row.near"
)
PUT_TOMBSTONES = (
    "UNWIND $rows AS row MERGE (t:Tombstone {key: row.key}) SET t.forgotten_at = row.at"
)
DROP_WANTS = (
    "UNWIND $rows AS row MATCH (:User {key: row.key})-[w:WANTS]->(i:Intent) "
    "WHERE NOT i.key IN row.intents DELETE w"
)
PUT_WANTS = (
    "UNWIND $rows AS row MATCH (u:User {key: row.user}) MERGE (i:Intent {key: row.intent}) "
    "ON CREATE SET i.tenant = row.tenant, i.name = row.name "
    "MERGE (u)-[w:WANTS]->(i) SET w.score = row.score, w.at = row.at"
)
DROP_SIMILAR = (
    "UNWIND $rows AS row MATCH (:User {key: row[0]})-[s:SIMILAR]->(:User {key: row[1]}) DELETE s"
)
PUT_SIMILAR = (
    "UNWIND $rows AS row MATCH (a:User {key: row[0]}) MATCH (b:User {key: row[1]}) "
    "MERGE (a)-[s:SIMILAR]->(b) SET s.weight = row[2], s.at = row[3]"
)
PUT_CAMPAIGNS = (
    "UNWIND $rows AS row MERGE (c:Campaign {key: row.key}) ON CREATE SET c.fans = 0 "
    "SET c.tenant = row.tenant, c.campaign_id = row.campaign_id, c.changed_at = row.changed_at, "
    "c.deleted = row.deleted, c.title = row.title, c.intents = row.intents"
)
DROP_TARGETS = (
    "UNWIND $rows AS row MATCH (:Campaign {key: row.key})-[t:TARGETS]->(i:Intent) "
    "WHERE NOT i.key IN row.intents DELETE t"
)
PUT_TARGETS = (
    "UNWIND $rows AS row MATCH (c:Campaign {key: row.campaign}) MERGE (i:Intent {key: row.intent}) "
    "ON CREATE SET i.tenant = row.tenant, i.name = row.name MERGE (c)-[:TARGETS]->(i)"
)
DROP_ENGAGED = (
    "UNWIND $rows AS row "
    "MATCH (:User {key: row[0]})-[e:ENGAGED]->(:Campaign {key: row[1]}) DELETE e"
)
PUT_ENGAGED = (
    "UNWIND $rows AS row MATCH (u:User {key: row.user}) MATCH (c:Campaign {key: row.campaign}) "
    "MERGE (u)-[e:ENGAGED]->(c) SET e.seen = row.seen, e.clicked = row.clicked, "
    "e.converted = row.converted, e.dismissed = row.dismissed, e.seen_taken = row.seen_taken, "
    "e.clicked_taken = row.clicked_taken, e.converted_taken = row.converted_taken, "
    "e.dismissed_taken = row.dismissed_taken"
)
DROP_CONVERSATIONS = "UNWIND $rows AS key MATCH (c:Conversation {key: key}) DETACH DELETE c"
PUT_CONVERSATIONS = (
    "UNWIND $rows AS row MATCH (u:User {key: row.user}) MERGE (c:Conversation {key: row.key}) "
    "SET c.tenant = row.tenant, c.conversation_id = row.conversation_id, "
    "c.taken_at = row.taken_at, c.event_id = row.event_id, c.file = row.file, c.line = row.line "
    "MERGE (u)-[:HELD]->(c)"
)
ADD_SHARED = (
    "UNWIND $rows AS row MATCH (a:Campaign {key: row[0]}) MATCH (b:Campaign {key: row[1]}) "
    "MERGE (a)-[s:SHARED]->(b) ON CREATE SET s.users = 0 SET s.users = s.users + row[2]"
)
ADD_FANS = "UNWIND $rows AS row MATCH (c:Campaign {key: row[0]}) SET c.fans = c.fans + row[1]"
MARK = (
    "UNWIND $rows AS row MATCH (u:User {key: row[0]}) "
    "SET u.stale_at = coalesce(u.stale_at, row[1]), u.marks = coalesce(u.marks, 0) + 1"
)
STIR = (
    "UNWIND $rows AS row MATCH (i:Intent {key: row[0]}) "
    "CALL (i) { MATCH (i)<-[w:WANTS]-(u:User) "
    "RETURN u ORDER BY w.score DESC, u.user_id LIMIT $most } "
    "SET u.stale_at = coalesce(u.stale_at, row[1]), u.marks = coalesce(u.marks, 0) + 1"
)

PEOPLE = f"""
UNWIND $keys AS key MATCH (u:User {{key: key}})
RETURN collect([key, [{_USER}], coalesce(u.marks, 0), coalesce(u.stale_at, 0),
  coalesce(u.affinity_version, 0), coalesce(u.shown, ''),
  COLLECT {{
    MATCH (u)-[e:ENGAGED]->(c:Campaign)
    RETURN [c.campaign_id, e.clicked, e.converted, e.dismissed]
  }},
  COLLECT {{
    MATCH (u)-[s:SIMILAR]-(v:User)
    WITH v, s.weight AS weight ORDER BY weight DESC, v.user_id LIMIT $neighbours
    RETURN [v.user_id, weight, v.wants, COLLECT {{
      MATCH (v)-[e:ENGAGED]->(c:Campaign) WHERE {_LIVELY} AND NOT c.deleted
      RETURN [c.campaign_id, e.clicked, e.converted, e.dismissed]
    }}]
  }}
])
"""
RELATED = """
UNWIND $keys AS key MATCH (a:Campaign {key: key})
RETURN collect([key, COLLECT {
  MATCH (a)-[s:SHARED]-(b:Campaign) WHERE s.users > 0 AND NOT b.deleted
  WITH b, s.users AS users, s.users / sqrt(a.fans * b.fans) AS cosine
  ORDER BY cosine DESC, b.campaign_id LIMIT $most
  RETURN [b.campaign_id, users, cosine]
}])
"""
TARGETING = """
UNWIND $keys AS key MATCH (i:Intent {key: key})
RETURN collect([key, COLLECT {
  MATCH (i)<-[:TARGETS]-(c:Campaign) WHERE NOT c.deleted
  RETURN c.campaign_id ORDER BY c.changed_at DESC, c.campaign_id LIMIT $most
}])
"""
DELETED = "UNWIND $keys AS key MATCH (c:Campaign {key: key}) WHERE c.deleted RETURN collect(key)"

REMEMBER = (
    "UNWIND $rows AS row MATCH (u:User {key: row.key}) "
    "SET u.shown = CASE WHEN coalesce(u.affinity_version, 0) < row.version THEN row.shown "
    "ELSE u.shown END, "
    "u.stale_at = CASE WHEN u.stale_at IS NULL OR coalesce(u.marks, 0) = row.marks THEN null "
    "ELSE row.read_at END "
    "SET u.affinity_version = CASE WHEN coalesce(u.affinity_version, 0) < row.version "
    "THEN row.version ELSE u.affinity_version END"
)
WAITING = (
    "MATCH (u:User) WHERE u.stale_at IS NOT NULL WITH u ORDER BY u.stale_at LIMIT $most "
    "RETURN collect(u.key)"
)
BACKLOG = (
    "MATCH (u:User) WHERE u.stale_at IS NOT NULL RETURN [count(u), coalesce(min(u.stale_at), 0)]"
)

PUT_ANSWERS = (
    "UNWIND $rows AS row MERGE (a:Answer {key: row.key}) WITH a, row "
    "WHERE a.revision IS NULL OR a.revision < row.revision "
    "OR (a.revision = row.revision AND a.analyzed_at <= row.analyzed_at) "
    "WITH a, row, a.revision IS NOT NULL AS known "
    "SET a.tenant = row.tenant, a.completion_id = row.completion_id, a.revision = row.revision, "
    "a.analyzed_at = row.analyzed_at, a.simulated = row.simulated "
    "RETURN collect([a.key, known])"
)
DROP_ANSWERED = "UNWIND $rows AS key MATCH (:Answer {key: key})-[r:TO|BY|NAMES|CITES]->() DELETE r"
PUT_ASKED = (
    "UNWIND $rows AS row MATCH (a:Answer {key: row.key}) "
    "MERGE (p:Prompt {key: row.prompt}) "
    "ON CREATE SET p.tenant = row.tenant, p.prompt_id = row.prompt_id "
    "MERGE (m:Model {key: row.model}) ON CREATE SET m.tenant = row.tenant, m.name = row.model_name "
    "CREATE (a)-[:TO]->(p) CREATE (a)-[:BY]->(m)"
)
PUT_NAMES = (
    "UNWIND $rows AS row MATCH (a:Answer {key: row.answer}) MERGE (b:Brand {key: row.brand}) "
    "ON CREATE SET b.tenant = row.tenant, b.brand_id = row.brand_id "
    "CREATE (a)-[:NAMES {outcome: row.outcome, rank: row.rank, sentiment: row.sentiment}]->(b)"
)
PUT_CITES = (
    "UNWIND $rows AS row MATCH (a:Answer {key: row.answer}) MERGE (d:Domain {key: row.domain}) "
    "ON CREATE SET d.tenant = row.tenant, d.name = row.name CREATE (a)-[:CITES]->(d)"
)
