"""What can be wrong with what the recommender is told."""

from __future__ import annotations


class UnusableVector(ValueError):
    """A vector without a direction: nothing can be like it."""
