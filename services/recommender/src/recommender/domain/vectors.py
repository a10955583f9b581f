"""How alike campaigns are, by the directions of their texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from recommender.domain.errors import UnusableVector
from recommender.domain.models import CampaignVector

Floats = NDArray[np.float32]
_WHOLE_TABLE = 512
"""Up to so many vectors all cosines are computed once; 512 are a megabyte."""


def direction(vector: CampaignVector) -> Floats:
    """The vector at length 1. Raises UnusableVector."""
    values = np.asarray(vector.vector, dtype=np.float32)
    length = float(np.linalg.norm(values))
    if not (np.isfinite(length) and length > 0):
        raise UnusableVector(f"the vector of {vector.campaign_id!r} has no direction")
    return values / np.float32(length)


class _OfModel:
    """The vectors of one model: those of another mean something else."""

    def __init__(self, directions: Mapping[str, Floats]) -> None:
        self._rows = {key: row for row, key in enumerate(directions)}
        self._matrix = np.stack(list(directions.values()))

    @cached_property
    def _table(self) -> Floats:
        return self._matrix @ self._matrix.T

    def cosines(self, ids: Sequence[str]) -> tuple[list[int], Floats]:
        """The places in ``ids`` of those that are known, and the cosines between them."""
        places = [place for place, key in enumerate(ids) if key in self._rows]
        rows = [self._rows[ids[place]] for place in places]
        if len(self._rows) <= _WHOLE_TABLE:
            return places, self._table[np.ix_(rows, rows)]
        chosen = self._matrix[rows]
        return places, chosen @ chosen.T


class Vectors:
    """The directions of a tenant's campaigns, by the model that made them."""

    def __init__(self, directions: Mapping[str, tuple[str, Floats]] | None = None) -> None:
        self.directions = dict(directions or {})
        by_model: dict[tuple[str, int], dict[str, Floats]] = {}
        for key, (model, values) in self.directions.items():
            by_model.setdefault((model, len(values)), {})[key] = values
        self._models = [_OfModel(vectors) for vectors in by_model.values()]

    def cosines(self, ids: Sequence[str]) -> Floats | None:
        """Cosines between the campaigns, 0 where one is not known; None if at most one is."""
        found: Floats | None = None
        for model in self._models:
            places, own = model.cosines(ids)
            if len(places) < 2:
                continue
            if len(places) == len(ids):
                return own
            if found is None:
                found = np.zeros((len(ids), len(ids)), dtype=np.float32)
            found[np.ix_(places, places)] = own
        return found
