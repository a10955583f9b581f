"""Fixtures for the tests of all packages, and which tests share a worker."""

from __future__ import annotations

import pytest
from _pytest.nodeid import NodeId
from hypothesis import HealthCheck, settings

# How long an example takes, or making it, says what else the machine does: it fails no test. What
# is tried follows from the test, so that a change is judged by itself alone; other things each time
# tries --hypothesis-profile=exploring.
_UNTIMED = {
    "deadline": None,
    "suppress_health_check": [*settings().suppress_health_check, HealthCheck.too_slow],
}
settings.register_profile("exploring", settings(), **_UNTIMED)
settings.register_profile("repeatable", settings(), derandomize=True, database=None, **_UNTIMED)
settings.load_profile("repeatable")

pytest_plugins = ("devkit.pytest_stores", "devkit.pytest_tls")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep tests of one ``xdist_group`` on one worker.

    pytest-xdist 3.8 writes the group into an attribute that pytest 9.2 no longer reads.
    """
    if not getattr(config.option, "loadgroup", False):
        return
    for item in items:
        group = item.get_closest_marker("xdist_group")
        if group is not None and "@" not in item.nodeid.rpartition("]")[2]:
            item._id = NodeId.parse(f"{item.nodeid}@{group.args[0]}")
