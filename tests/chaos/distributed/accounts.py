"""The accounts of each service: what it owes for what was accepted, and what its store holds."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import Any

from contracts import topics
from devkit.history import Account, LogHistory, values
from devkit.history.log import Origin
from tests.chaos.distributed.faults import TENANT
from tests.chaos.distributed.relational import Relational
from tests.chaos.distributed.sinks import Sinks, point_of
from tests.chaos.distributed.traffic import Accepted

KINDS = {"impression": "i", "click": "c", "conversion": "v", "dismissal": "d"}
HALF_LIFE = timedelta(days=14)
_UNIX = datetime(1970, 1, 1, tzinfo=UTC)
_SINCE = datetime(2020, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def micros(at: str | datetime) -> int:
    """Microseconds since 1970."""
    found = datetime.fromisoformat(at) if isinstance(at, str) else at
    return (found - _UNIX) // _MICROSECOND


def commands(accepted: Accepted, log: LogHistory, store: Relational) -> Iterator[Account]:
    """The gateway: what was answered with 2xx is stored and on the log."""
    planned = store.run_of()
    runs = Counter(planned.values())
    yield Account("gateway", "completions of runs", Counter(accepted.runs), runs)
    yield Account("gateway", "calls asked for on the log", Counter(planned.keys()),
                  _told(log, topics.COMPLETION_REQUESTED.name, "completion_id"))  # fmt: skip
    talks = log.events(topics.CONVERSATION_RECORDED.name)
    yield Account.of(
        "gateway",
        "conversations on the log",
        (str(talk["event_id"]) for talk in accepted.conversations.values()),
        {told.id for told in talks},
    )
    deeds = {str(body["engagement_id"]) for body in log.bodies(topics.ENGAGEMENT_RECORDED.name)}
    yield Account.of("gateway", "engagements on the log", list(accepted.engagements), deeds)
    states = log.bodies(topics.CAMPAIGN_CHANGED.name)
    yield Account.of(
        "gateway",
        "states of campaigns on the log",
        (f"{key} {micros(at)}" for key, all_at in accepted.campaigns.items() for at in all_at),
        {f"{body['campaign_id']} {micros(body['changed_at'])}" for body in states},
    )


def rejections(planted: Mapping[Origin, frozenset[str]], store: Relational) -> Iterator[Account]:
    """What was planted names the tenant: each refusal of it is listed for the tenant."""
    owed = [
        f"{TENANT} {topic}[{partition}]@{offset} {group}"
        for (topic, partition, offset), groups in planted.items()
        for group in groups
    ]
    rows = store.gateway["rejections"]
    found = [
        f"{row['tenant_id']} {row['topic']}[{row['partition']}]@{row['offset']} {row['service']}"
        for row in rows
    ]
    yield Account.of("gateway", "refusals listed", owed, found)


def answers(log: LogHistory, store: Relational, sinks: Sinks) -> Iterator[Account]:
    """Every completion once in each service that has to do with it."""
    owed = Counter(store.run_of().keys())
    found = Counter(key for key, end in store.ends().items() if end["outcome"] == "answered")
    yield Account("llm-executor", "answers stored", owed, found)
    yield Account("llm-executor", "answers on the log", owed,
                  _told(log, topics.COMPLETION_FINISHED.name, "completion_id"))  # fmt: skip
    yield Account("mention-analyzer", "analyses on the log", owed,
                  _told(log, topics.ANSWER_ANALYZED.name, "completion_id"))  # fmt: skip
    for service, tables in (("mention-analyzer", store.mentions), ("gateway", store.gateway)):
        for table in ("answers", "analyses"):
            done = Counter(row["completion_id"] for row in tables[table])
            yield Account(service, table, owed, done)
    sets = Counter(row["run_id"] for row in store.mentions["brand_sets"])
    yield Account("mention-analyzer", "sets of brands", Counter(set(store.run_of().values())), sets)
    lake = Counter(str(row["completion_id"]) for row in sinks.lake["answers"])
    yield Account("embedding", "answers in the lake", owed, lake)
    graph = Counter(str(row[0]) for row in sinks.graph["answers"])
    yield Account("graph-loader", "answers in the graph", owed, graph)
    named = Counter(
        str(body["completion_id"])
        for body in log.bodies(topics.ANSWER_ANALYZED.name)
        for _ in body["findings"]
    )
    findings = Counter(row["completion_id"] for row in store.gateway["findings"])
    yield Account("gateway", "findings", named, findings)
    names = Counter(str(row[0]) for row in sinks.graph["names"])
    yield Account("graph-loader", "brands named in the graph", named, names)


def people(accepted: Accepted, log: LogHistory, sinks: Sinks) -> Iterator[Account]:
    """What people said: kept once, counted once, and their last state everywhere."""
    said = Counter(
        f"{talk['conversation_id']} {one['message_id']}"
        for talk in accepted.conversations.values()
        for one in talk["messages"]
    )
    rows = sinks.lake["messages"]
    kept = Counter(f"{row['conversation_id']} {row['message_id']}" for row in rows)
    yield Account("embedding", "messages in the lake", said, kept)
    counts = {row["user_id"]: row["count"] for row in sinks.lake["states"]}
    yield Account("embedding", "messages in vectors", values(accepted.messages), values(counts))
    points = [f"message {row['_id']}" for row in rows]
    points += [f"answer {row['completion_id']}" for row in sinks.lake["answers"]]
    texts = map(point_of, sinks.vectors["texts"])
    yield Account.of("embedding", "texts in the index", points, texts)
    states = {row["user_id"]: row["version"] for row in sinks.lake["states"]}
    index = {row["user_id"]: row["version"] for row in sinks.vectors["users"]}
    yield Account("embedding", "states in the index", values(states), values(index))
    latest = _highest(log, topics.USER_EMBEDDED.name)
    yield Account("embedding", "states on the log", values(states), values(latest))
    users = {row[0]: row[1] for row in sinks.graph["users"]}
    yield Account("graph-loader", "latest states", values(latest), values(users))
    held = Counter(str(row[0]) for row in sinks.graph["conversations"])
    yield Account("graph-loader", "conversations", Counter(accepted.conversations.keys()), held)
    affinities = {
        name.removeprefix("user:"): int(found[b"affinity-version"])
        for name, found in sinks.board.items()
        if name.startswith("user:") and b"affinity-version" in found
    }
    told = values(_highest(log, topics.AFFINITY_CHANGED.name))
    yield Account("recommender", "latest affinities", told, values(affinities))
    lists = values(_highest(log, topics.RECOMMENDATION_CHANGED.name))
    yield Account("gateway", "latest lists", lists, values(sinks.lists))


def deeds(accepted: Accepted, sinks: Sinks) -> Iterator[Account]:
    """What people did: every engagement counts once in all that is summed up from it."""
    done = accepted.engagements.values()
    owed = Counter(f"{body['user_id']} {body['engagement_id']}" for body in done)
    ids = Counter(
        f"{name.removeprefix('ids:')} {member.decode()}"
        for name, members in sinks.board.items()
        if name.startswith("ids:")
        for member in members
    )
    yield Account("recommender", "engagements known", owed, ids)
    facts = Counter(
        f"{body['user_id']} {KINDS[body['kind']]} {body['campaign_id']}" for body in done
    )
    yield Account("recommender", "engagements counted", facts, Counter(dict(_facts(sinks.board))))
    tallies = sinks.board[f"tallies:{int(HALF_LIFE.total_seconds())}"]
    yield Account(
        "recommender", "sums by campaign", values(_sums(done)), values(dict(_tallies(tallies)))
    )
    yield from _edges(accepted, sinks)


def campaigns(log: LogHistory, store: Relational, sinks: Sinks) -> Iterator[Account]:
    """The last state of each campaign everywhere."""
    latest: dict[str, int] = defaultdict(int)
    for body in log.bodies(topics.CAMPAIGN_CHANGED.name):
        latest[body["campaign_id"]] = max(latest[body["campaign_id"]], micros(body["changed_at"]))
    board = sinks.board["campaigns"]
    found: Mapping[str, Mapping[str, int]] = {
        "gateway": {
            row["campaign_id"]: micros(row["changed_at"]) for row in store.gateway["campaigns"]
        },
        "embedding": {row["campaign_id"]: row["changed_at"] for row in sinks.lake["campaigns"]},
        "recommender": {
            key.decode(): int(state.partition(b" ")[0]) for key, state in board.items()
        },
    }
    for service, states in found.items():
        yield Account(service, "latest campaigns", values(latest), values(states))


def _told(log: LogHistory, topic: str, name: str) -> Counter[str]:
    """Which things a topic has events of; that each has one only is a promise of its own."""
    return Counter({str(body[name]) for body in log.bodies(topic)})


def _highest(log: LogHistory, topic: str) -> dict[str, int]:
    found: dict[str, int] = defaultdict(int)
    for told in log.events(topic):
        found[told.subject] = max(found[told.subject], int(told.body["version"]))
    return found


def _facts(board: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """A field is a kind's letter and a campaign, its value ``at taken;`` of each engagement."""
    for name, fields in board.items():
        if name.startswith("facts:"):
            for field, entries in fields.items():
                letter, campaign = field.decode()[0], field.decode()[1:]
                user = name.removeprefix("facts:")
                yield f"{user} {letter} {campaign}", entries.count(b";")


def _sums(done: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """By campaign and kind, the decayed sum, as the logarithm that is kept of it."""
    weights: dict[str, float] = defaultdict(float)
    for body in done:
        ahead = (datetime.fromisoformat(body["happened_at"]) - _SINCE) / HALF_LIFE
        weights[f"{body['campaign_id']} {KINDS[body['kind']]}"] += math.exp2(ahead)
    return {name: f"{math.log2(total):.6f}" for name, total in weights.items()}


def _tallies(fields: Mapping[bytes, bytes]) -> Iterator[tuple[str, str]]:
    for campaign, texts in fields.items():
        for letter, text in zip("icvd", texts.split(), strict=False):
            if text != b"-":
                yield f"{campaign.decode()} {letter}", f"{float(text):.6f}"


def _edges(accepted: Accepted, sinks: Sinks) -> Iterator[Account]:
    last: dict[tuple[str, str, str], int] = defaultdict(int)
    for body in accepted.engagements.values():
        key = (body["user_id"], body["campaign_id"], body["kind"])
        last[key] = max(last[key], micros(body["happened_at"]))
    found = {
        (user, campaign, kind): at
        for user, campaign, *times in sinks.graph["engaged"]
        for kind, at in zip(KINDS, times, strict=True)
        if at
    }
    yield Account("graph-loader", "engagements", _named(last), _named(found))
    liked = _liked(last)
    fans = Counter(campaign for those in liked.values() for campaign in those)
    known = {row[0]: row[1] for row in sinks.graph["fans"] if row[1]}
    yield Account("graph-loader", "fans of campaigns", values(fans), values(known))
    pairs = Counter(
        " ".join(pair) for those in liked.values() for pair in combinations(sorted(those), 2)
    )
    shared = {f"{row[0]} {row[1]}": row[2] for row in sinks.graph["shared"]}
    yield Account("graph-loader", "fans in common", values(pairs), values(shared))


def _liked(last: Mapping[tuple[str, str, str], int]) -> dict[str, set[str]]:
    """By user, the campaigns that they clicked or converted and did not dismiss since."""
    liked: dict[str, set[str]] = defaultdict(set)
    for user, campaign in {key[:2] for key in last}:
        at = {kind: last.get((user, campaign, kind), 0) for kind in KINDS}
        if max(at["click"], at["conversion"]) > at["dismissal"]:
            liked[user].add(campaign)
    return liked


def _named(found: Mapping[tuple[str, str, str], int]) -> Counter[str]:
    return values({" ".join(key): value for key, value in found.items()})
