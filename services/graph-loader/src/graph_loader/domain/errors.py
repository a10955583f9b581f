"""What can be wrong with a graph as a whole."""

from __future__ import annotations


class GraphInUse(RuntimeError):
    """The file of an embedded graph is open already: two writers would destroy it."""


class NewerGraph(RuntimeError):
    """The graph was written by a newer version of this service."""
