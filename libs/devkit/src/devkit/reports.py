"""What tests read from a run's report."""

from __future__ import annotations

from typing import Any


def named_in(report: dict[str, Any], **group: str | None) -> dict[str, tuple[int, int]]:
    """For each brand, in how many of how many answers it is named.

    ``group`` picks the group by surface, model and tag; by default all answers of the first.
    """
    wanted = {"model": None, "tag": None} | group
    for found in report["groups"]:
        if all(found[name] == value for name, value in wanted.items()):
            rates = [brand["metrics"]["visibility_rate"] for brand in found["brands"]]
            names = [brand["name"] for brand in report["brands"]]
            counts = [(rate["numerator"], rate["denominator"]) for rate in rates]
            return dict(zip(names, counts, strict=True))
    return {}
