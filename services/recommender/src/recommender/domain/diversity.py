"""Lists that do not say the same thing twenty times."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recommender.domain.vectors import Floats


def likeness(cosines: Floats, alike_from: float) -> Floats:
    """Cosines on a scale from 0 at ``alike_from`` to 1."""
    scaled: Floats = np.clip((cosines - alike_from) / (1 - alike_from), 0, 1)
    return scaled


def diverse(scores: NDArray[np.float64], alike: Floats, length: int, trade: float) -> list[int]:
    """Places of the ``length`` best by maximal marginal relevance, in order.

    Carbonell and Goldstein, "The use of MMR", SIGIR 1998: each next one has the highest
    trade * score - (1 - trade) * likeness to the nearest that is chosen already. Scores are taken
    relative to the highest. Of equals the first is taken.
    """
    top = scores.max(initial=0.0)
    relative = trade * (scores / top if top > 0 else scores)
    nearest = np.zeros(len(scores))
    chosen: list[int] = []
    for _ in range(min(length, len(scores))):
        place = int(np.argmax(relative - (1 - trade) * nearest))
        chosen.append(place)
        relative[place] = -np.inf
        np.maximum(nearest, alike[place], out=nearest)
    return chosen
