"""Takes requests from the queue while their lanes have room, and keeps an eye on what runs."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from bus.errors import Transient
from bus.failpoint import hit
from contracts import telemetry
from runtime.deadline import Deadline
from runtime.logging import logger
from runtime.metrics import gauge
from runtime.tasks import Background, Periodic, wait_for

from llm_executor.calling.lanes import Lanes
from llm_executor.calling.progress import Stage, Watch
from llm_executor.domain import SERVICE
from llm_executor.domain.lane import Lane, Seat
from llm_executor.domain.models import Claimed, Key, Room
from llm_executor.domain.ports import CallStore, Providers
from llm_executor.running import BudgetIsTight

_log = logger(__name__)
IDLE_SECONDS = 0.25
PACE_SECONDS = 0.01
LOOK_SECONDS = 0.5
MEASURE_SECONDS = 2.0
ENDED_AT_ONCE = 500
RESERVED_SHARE = 16
"""One of so many calls in flight is kept free of batch requests, so that people do not wait."""
MANY = 500
MANY_SECONDS = 0.25
TAKING_IN_SHARE = 4
"""While many arrive, batches get one of so many calls in flight: what else waits on the topic, a
question of somebody perhaps, has to come into the queue to have its turn."""
BEGUN = 2
"""So many windows of one lane may be begun: those that wait for another attempt hold no place among
the calls in flight, and must not fill the memory either."""

Run = Callable[[Claimed, Seat | None, Watch], Awaitable[None]]


class Dispatcher:
    """The one loop that claims. ``window`` bounds the calls in flight of this process."""

    def __init__(
        self,
        store: CallStore,
        lanes: Lanes,
        providers: Providers,
        run: Run,
        *,
        window: int,
        lease_seconds: float,
    ) -> None:
        self._store = store
        self._lanes = lanes
        self._providers = providers
        self._run_one = run
        self._window = window
        self._lease_seconds = lease_seconds
        self._running: dict[Key, Watch] = {}
        self._begun: Counter[str] = Counter()
        self._busy: Sequence[str] = ()
        self._look_at = 0.0
        self._renewed_at = 0.0
        self._many_until = 0.0
        self._arrived = True
        self._woken = asyncio.Event()
        self._loop = Background(f"{SERVICE} dispatcher", self._dispatch)
        expected = (Transient,)
        self._looker = Periodic(f"{SERVICE} look", LOOK_SECONDS, self._look, expected)
        self._meter = Periodic(f"{SERVICE} queue meter", MEASURE_SECONDS, self._measure, expected)
        self._renewer = Periodic(f"{SERVICE} leases", lease_seconds / 3, self._renew, expected)
        lanes.on_room = self.wake

    def arrived(self, requests: int) -> None:
        """So many were taken in at once."""
        self._arrived = True
        if requests >= MANY:
            self._many_until = asyncio.get_running_loop().time() + MANY_SECONDS
        self._woken.set()

    def wake(self) -> None:
        """There may be room."""
        self._woken.set()

    async def start(self) -> None:
        """Begin to claim."""
        for part in (self._loop, self._looker, self._meter, self._renewer):
            await part.start()

    async def stop(self, deadline: Deadline) -> None:
        """Begin nothing new. Calls under way may end; what waits goes back to the queue."""
        self.wake()
        await self._loop.stop(deadline)
        idle = (Stage.BEGUN, Stage.WAITING)
        await self._put_back({key for key, watch in self._running.items() if watch.stage in idle})
        tasks = [watch.task for watch in self._running.values() if watch.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=max(0.0, deadline.left - 1))
        await self._put_back(set(self._running))
        for part in (self._looker, self._meter, self._renewer):
            await part.stop(deadline)

    async def healthy(self) -> bool:
        """Whether the loops are at work."""
        parts = (self._looker, self._meter, self._renewer)
        rest = [await part.healthy() for part in parts]
        return self._loop.running and all(rest)

    async def _dispatch(self, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            self._woken.clear()
            try:
                claimed = await self._round()
            except Transient as error:
                _log.warning("the queue does not answer", error=str(error))
                await wait_for(stopping, 1.0)
                continue
            # A little later there is room for several, and one statement claims them all.
            await wait_for(stopping, PACE_SECONDS)
            if not claimed and not stopping.is_set():
                await self._idle()

    async def _idle(self) -> None:
        """Until something is told to ``arrived`` or ``wake``, as ``stop`` does, or time passed."""
        await wait_for(self._woken, min(IDLE_SECONDS, self._lanes.wakes_in() or IDLE_SECONDS))

    async def _round(self) -> int:
        claimed = await self._look_around()
        for name in self._busy:
            claimed += await self._claim(name)
        return claimed

    async def _look_around(self) -> int:
        """Now and then: which lanes have something, and what only has to be told its end."""
        now = asyncio.get_running_loop().time()
        if now < self._look_at and not self._arrived:
            return 0
        self._look_at, self._arrived = now + IDLE_SECONDS, False
        self._busy = await self._store.lanes()
        ended = await self._store.claim_ended(ENDED_AT_ONCE, self._lease_seconds)
        for item in ended:
            self._begin(item, None)
        return len(ended)

    async def _claim(self, name: str) -> int:
        """Claim as many of a lane as there is room for."""
        lane = self._lanes.of(name)
        room = self._room(name, lane)
        if room.total <= 0:
            return 0
        hit("call-before-claim")
        claimed = await self._store.claim(room, self._lease_seconds)
        hit("call-after-claim")
        for item in claimed:
            self._begin(item, lane.book())
        return len(claimed)

    def _room(self, name: str, lane: Lane) -> Room:
        free = self._window - self._lanes.seats()
        begun = BEGUN * self._window - self._begun[name]
        room = min(lane.room(), free, begun)
        fallbacks = bool(self._providers.facts(name).fallbacks)
        elsewhere = room <= 0 and lane.breaker_state == "open"
        if elsewhere:  # nobody is served here for a while: who may go elsewhere does so
            room = min(free, begun, self._window // RESERVED_SHARE or 1)
        kept = self._window // RESERVED_SHARE if self._window > RESERVED_SHARE else 0
        if asyncio.get_running_loop().time() < self._many_until:
            kept = self._window - max(1, self._window // TAKING_IN_SHARE)
        batch = min(room, free - kept)
        return Room(name, room, max(0, batch), elsewhere, fallbacks)

    def _begin(self, item: Claimed, seat: Seat | None) -> None:
        watch = Watch()
        self._running[item.key] = watch
        self._begun[item.lane] += 1
        watch.task = asyncio.create_task(self._run(item, seat, watch))
        # Not at the task's own end: one that is cancelled before it began has none.
        watch.task.add_done_callback(partial(self._ended, item, seat))

    async def _run(self, item: Claimed, seat: Seat | None, watch: Watch) -> None:
        try:
            await self._run_one(item, seat, watch)
        except BudgetIsTight:
            await self._release([item.key], unknown=False)

    def _ended(self, item: Claimed, seat: Seat | None, task: asyncio.Task[None]) -> None:
        self._running.pop(item.key, None)
        self._begun -= Counter((item.lane,))  # what comes to nothing is forgotten
        if seat is not None:
            seat.close()
        self.wake()
        error = None if task.cancelled() else task.exception()
        if error is not None:
            _log.error("a completion was left to its lease", error=repr(error))

    async def _put_back(self, keys: set[Key]) -> None:
        """Stop these and let them be claimed anew; a call under way may have been made."""
        watches = {key: self._running[key] for key in keys if key in self._running}
        paid = (Stage.CALLING, Stage.RECORDING)
        calling = {key for key, watch in watches.items() if watch.stage in paid}
        tasks = [watch.task for watch in watches.values() if watch.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._release(list(calling), unknown=True)
        await self._release(list(watches.keys() - calling), unknown=False)

    async def _release(self, keys: Sequence[Key], *, unknown: bool) -> None:
        try:
            if keys:
                await self._store.release(keys, unknown=unknown)
        except Transient as error:
            _log.warning("claims are left to their leases", error=str(error))

    async def _look(self) -> None:
        """What was cancelled meanwhile; what others left behind."""
        for key in await self._store.cancelled(list(self._running)) if self._running else ():
            if (watch := self._running.get(key)) is not None:
                watch.cancel()
        if self._renewed_ago() > self._lease_seconds / 3:
            # Everything stood still here: what runs is to be renewed before it is taken for lost.
            await self._renew()
        if await self._store.take_back():
            self.arrived(0)

    def _renewed_ago(self) -> float:
        return asyncio.get_running_loop().time() - self._renewed_at

    async def _measure(self) -> None:
        depth = await self._store.depth()
        gauge(telemetry.QUEUED_CALLS).labels(SERVICE).set(depth.waiting)
        gauge(telemetry.QUEUE_OLDEST).labels(SERVICE).set(depth.oldest_seconds)
        calling = sum(watch.stage is Stage.CALLING for watch in self._running.values())
        in_flight = gauge(telemetry.IN_FLIGHT)
        in_flight.labels(SERVICE, "calling").set(calling)
        in_flight.labels(SERVICE, "waiting").set(len(self._running) - calling)
        self._lanes.measure(SERVICE)

    async def _renew(self) -> None:
        """Three times in a lease. What is not running here any more lapses."""
        self._renewed_at = asyncio.get_running_loop().time()
        if self._running:
            await self._store.renew(list(self._running), self._lease_seconds)
