"""The history checker: what a whole log, all stores and the provider say about what was promised.

It judges after everything has settled, and knows nothing of services but what is in ``History``.
"""

from __future__ import annotations

from devkit.history.account import Account, values
from devkit.history.calls import Calls
from devkit.history.checker import History, complaints
from devkit.history.log import LogHistory, Told
from devkit.history.promises import PROMISES, Promise, late_versions

__all__ = [
    "PROMISES",
    "Account",
    "Calls",
    "History",
    "LogHistory",
    "Promise",
    "Told",
    "complaints",
    "late_versions",
    "values",
]
