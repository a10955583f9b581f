"""What can go wrong in placing users."""

from __future__ import annotations


class Contended(RuntimeError):
    """A user's state was changed by others each time that it was to be written."""
