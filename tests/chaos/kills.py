"""Which kills a sweep makes: all of them in the long form, the latest at each point otherwise."""

from __future__ import annotations

import os
from collections.abc import Sequence

LONG = os.environ.get("LIMELIGHT_CHAOS") == "long"


def short_form(kills: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    """Of each point the passing with the highest number, or all if LIMELIGHT_CHAOS=long."""
    return (
        list(kills) if LONG else list({point: (point, number) for point, number in kills}.values())
    )
