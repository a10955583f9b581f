"""The conformance suite of ``bus.port.Log``.

A backend's test module subclasses ``LogConformance`` and gives four fixtures::

    class TestMyLog(LogConformance):
        @pytest_asyncio.fixture
        async def log(self) -> AsyncIterator[Log]:
            '''An open log, closed after the test.'''

        @pytest.fixture
        def reopen(self, log: Log) -> Callable[[], Awaitable[Log]]:
            '''Another handle to the same data, closed after the test; ``log`` may be gone.'''

        @pytest.fixture
        def expire(self, log: Log) -> Expire:
            '''Removes all that is on a topic now, as its retention would.'''

        @pytest.fixture
        def connect(self) -> str:
            '''Source of ``async def connect() -> Log``, run by another process.'''

What a backend cannot do it says by overriding the test with a strict xfail. Names of topics and
groups are new in every test, so a broker can be shared by all of them.
"""

from __future__ import annotations

from devkit.conformance.log_groups import GroupConformance
from devkit.conformance.log_offsets import OffsetConformance
from devkit.conformance.log_records import RecordConformance


class LogConformance(RecordConformance, GroupConformance, OffsetConformance):
    """Everything the log port promises."""
