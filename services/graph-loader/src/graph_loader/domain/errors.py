"""What can be wrong with a graph as a whole."""

from __future__ import annotations


class NewerGraph(RuntimeError):
    """The graph was written by a newer version of this service."""
