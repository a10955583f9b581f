"""How things are written in Redis."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from recommender.domain.models import (
    Affinity,
    Campaign,
    Candidate,
    Facts,
    FrequencyCap,
    Intent,
    Kind,
    Path,
)
from recommender.domain.standings import Standing, Standings
from recommender.domain.tallies import Tally
from recommender.domain.vectors import Floats

_UNIX = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
LETTERS = {Kind.IMPRESSION: "i", Kind.CLICK: "c", Kind.CONVERSION: "v", Kind.DISMISSAL: "d"}
ANY_CAMPAIGN = bytes(4)
"""The fingerprint that stands for every campaign: of lists that are not full."""


def micros(at: datetime) -> int:
    """Microseconds since 1970."""
    return (at - _UNIX) // _MICROSECOND


def moment(at: int) -> datetime:
    """The time of ``micros``."""
    return _UNIX + timedelta(microseconds=at)


def fingerprint(campaign_id: str) -> bytes:
    """Four bytes that tell campaigns apart well enough to look for users whom one concerns."""
    return zlib.crc32(campaign_id.encode()).to_bytes(4)


def considered(campaign_ids: Iterable[str], *, complete: bool) -> bytes:
    """The campaigns whose change may change a list."""
    found = b"".join(sorted(fingerprint(one) for one in campaign_ids))
    return found if complete else ANY_CAMPAIGN + found


def affinity_bytes(affinity: Affinity) -> bytes:
    """An affinity. Ids and words repeat: packing it makes it a third."""
    told = [affinity.version, micros(affinity.heard_at), affinity.candidates, affinity.intents]
    return zlib.compress(json.dumps(told, separators=(",", ":")).encode(), 1)


def affinity_of(data: bytes) -> Affinity:
    """Read ``affinity_bytes``."""
    version, heard_at, candidates, intents = json.loads(zlib.decompress(data))
    return Affinity(
        version=version,
        heard_at=moment(heard_at),
        candidates=tuple(
            Candidate(key, affinity, tuple(map(Path._make, paths)))
            for key, affinity, paths in candidates
        ),
        intents=tuple(map(Intent._make, intents)),
    )


def facts_of(fields: Sequence[bytes]) -> Mapping[str, Facts]:
    """Read a user's facts: kind and campaign, 'at taken;' of each engagement, and so on."""
    times: dict[str, dict[str, list[int]]] = {}
    for name, entries in zip(fields[::2], fields[1::2], strict=True):
        field = name.decode()
        found = [int(entry.split(b" ")[0]) for entry in entries.split(b";")[:-1]]
        times.setdefault(field[1:], {})[field[0]] = sorted(found)
    return {key: _facts(of) for key, of in times.items()}


def _facts(times: Mapping[str, Sequence[int]]) -> Facts:
    return Facts(
        impressions=tuple(map(moment, times.get("i", ()))),
        clicked_at=_last(times, "c"),
        converted_at=_last(times, "v"),
        dismissed_at=_last(times, "d"),
    )


def _last(times: Mapping[str, Sequence[int]], letter: str) -> datetime | None:
    return moment(times[letter][-1]) if letter in times else None


def campaign_bytes(campaign: Campaign) -> bytes:
    """``<changed at> <json>``: scripts read the time."""
    cap = campaign.cap
    told: dict[str, Any] = {
        "title": campaign.title,
        "intents": campaign.intents,
        "starts_at": _written(campaign.starts_at),
        "ends_at": _written(campaign.ends_at),
        "budget_active": campaign.budget_active,
        "excluded_users": sorted(campaign.excluded_users),
        "excluded_intents": sorted(campaign.excluded_intents),
        "cap": None if cap is None else [cap.impressions, cap.window // _MICROSECOND],
        "deleted": campaign.deleted,
    }
    return f"{micros(campaign.changed_at)} {json.dumps(told, ensure_ascii=False)}".encode()


def campaign_of(campaign_id: str, data: bytes) -> Campaign:
    """Read ``campaign_bytes``."""
    changed_at, _, told = data.partition(b" ")
    fields = json.loads(told)
    cap = fields["cap"]
    return Campaign(
        campaign_id=campaign_id,
        title=fields["title"],
        changed_at=moment(int(changed_at)),
        intents=tuple(fields["intents"]),
        starts_at=_read(fields["starts_at"]),
        ends_at=_read(fields["ends_at"]),
        budget_active=fields["budget_active"],
        excluded_users=frozenset(fields["excluded_users"]),
        excluded_intents=frozenset(fields["excluded_intents"]),
        cap=None if cap is None else FrequencyCap(cap[0], timedelta(microseconds=cap[1])),
        deleted=fields["deleted"],
    )


def vector_bytes(model: str, values: Floats, changed_at: datetime) -> bytes:
    """``<changed at> <model>``, a line break, and the floats."""
    return f"{micros(changed_at)} {model}\n".encode() + values.astype("<f4").tobytes()


def vector_of(data: bytes) -> tuple[str, Floats]:
    """The model and the values of ``vector_bytes``."""
    head, _, values = data.partition(b"\n")
    return head.partition(b" ")[2].decode(), np.frombuffer(values, dtype="<f4")


def tally_of(data: bytes) -> Tally:
    """Five logarithms, '-' for an empty sum."""
    return Tally(*(-math.inf if text == b"-" else float(text) for text in data.split()))


def standings_json(standings: Standings) -> str:
    """Standings as one value."""
    return json.dumps(
        [standings.order, standings.unknown, dict(standings.of)],
        ensure_ascii=False,
        separators=(",", ":"),
    )


def standings_of(data: bytes) -> Standings:
    """Read ``standings_json``."""
    order, unknown, of = json.loads(data)
    return Standings(
        {key: Standing._make(one) for key, one in of.items()},
        tuple(order),
        Standing._make(unknown),
    )


def _written(at: datetime | None) -> int | None:
    return None if at is None else micros(at)


def _read(at: int | None) -> datetime | None:
    return None if at is None else moment(at)
