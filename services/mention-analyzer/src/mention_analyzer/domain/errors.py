"""What can be wrong with the input of an analysis."""

from __future__ import annotations


class UnusableBrand(ValueError):
    """A name or alias without a letter or digit: there is no word to look for."""
