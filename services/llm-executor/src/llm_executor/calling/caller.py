"""Making one call: models in turn, attempts with back-off, until there is an end."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt
from tenacity.stop import stop_base

from llm_executor.calling.attempt import Attempt
from llm_executor.calling.lanes import Lanes
from llm_executor.calling.progress import Progress, Watch
from llm_executor.domain.errors import CallFailed
from llm_executor.domain.lane import Seat
from llm_executor.domain.models import Call, Reply, Turn
from llm_executor.domain.ports import Complaint, OnText, Providers
from llm_executor.domain.pricing import expected_tokens, least_tokens
from llm_executor.domain.rules import back_off, repair_turns, split_model


@dataclass(frozen=True)
class CallPolicy:
    """``timeout`` in seconds bounds one attempt, ``attempts`` their number at one model."""

    attempts: int = 5
    timeout: float = 120.0
    rng: random.Random = field(default_factory=random.Random, compare=False)


@dataclass(frozen=True)
class Plan:
    """What to call: ``models`` in turn, each with ``call``, whose model is filled in.

    ``complaint`` judges the answer where it has to satisfy a schema. ``on_text`` makes what takes
    the pieces of an attempt (model, attempt from 1, simulated); None if nobody watches.
    """

    models: tuple[str, ...]
    call: Call
    deadline: datetime
    complaint: Complaint | None = None
    on_text: Callable[[str, int, bool], OnText] | None = None


@dataclass(frozen=True)
class Caller:
    """Everything that a call needs besides its plan."""

    providers: Providers
    lanes: Lanes
    policy: CallPolicy

    async def answer(self, plan: Plan, seat: Seat, progress: Progress, watch: Watch) -> Reply:
        """Call until there is an answer. ``seat`` is one in the first model's lane.

        Raises CallFailed, the failure of the last model that was tried.
        """
        for index, model in enumerate(plan.models):
            taken = seat if index == 0 else self.lanes.of(model).book()
            last = index == len(plan.models) - 1
            try:
                return await self._at_model(plan, model, taken, progress, watch, last=last)
            except CallFailed as failure:
                if last or not failure.elsewhere:
                    raise
                progress.give_up(model, failure)
            finally:
                taken.close()
        raise AssertionError("a plan names one model at least")

    async def _at_model(
        self, plan: Plan, model: str, seat: Seat, progress: Progress, watch: Watch, *, last: bool
    ) -> Reply:
        provider_name, name = split_model(model)
        progress.begin(model)
        attempt = Attempt(
            provider=self.providers.named(provider_name),
            provider_name=provider_name,
            model=model,
            facts=self.providers.facts(model),
            progress=progress,
            watch=watch,
        )
        progress.simulated = attempt.provider.simulated
        call = replace(plan.call, model=name)
        attempt.check_context(least_tokens(call.turns))
        reply = await self._attempts(plan, attempt, call, seat, refuse=not last)
        return await self._satisfying(plan, attempt, call, seat, reply)

    async def _satisfying(
        self, plan: Plan, attempt: Attempt, call: Call, seat: Seat, reply: Reply
    ) -> Reply:
        """The reply if it satisfies the schema, else that of one round of repair."""
        complaint = None if plan.complaint is None else plan.complaint(reply.text)
        if complaint is None:
            return reply
        attempt.progress.repairs += 1
        said = Turn("assistant", reply.text or "(nothing)")
        again = replace(call, turns=(*call.turns, said, *repair_turns(complaint)))
        repaired = await self._attempts(plan, attempt, again, seat, refuse=False)
        assert plan.complaint is not None
        complaint = plan.complaint(repaired.text)
        if complaint is None:
            return repaired
        raise CallFailed(
            "schema-violated",
            f"the answer does not satisfy response_schema, also after it was asked for again: "
            f"{complaint}",
        )

    async def _attempts(
        self, plan: Plan, attempt: Attempt, call: Call, seat: Seat, *, refuse: bool
    ) -> Reply:
        tokens = expected_tokens(call.turns, call.max_output_tokens)

        async def once() -> Reply:
            attempt.watch.check()
            await _seated(seat, tokens, plan.deadline, refuse=refuse)
            timeout = min(self.policy.timeout, _left(plan.deadline))
            return await attempt.make(call, seat, timeout, plan.on_text)

        return await self._retrying(plan.deadline, once)

    async def _retrying(self, deadline: datetime, once: Callable[[], Awaitable[Reply]]) -> Reply:
        try:
            return await once()  # most calls need no second attempt, and none of its bookkeeping
        except CallFailed as failure:
            first: CallFailed | None = failure

        async def next_one() -> Reply:
            nonlocal first
            failed, first = first, None
            if failed is not None:
                raise failed
            return await once()

        retrying = AsyncRetrying(
            retry=retry_if_exception(_may_pass),
            wait=self._wait,
            stop=stop_after_attempt(self.policy.attempts) | _StopBefore(deadline),
            reraise=True,
        )
        return await retrying(next_one)

    def _wait(self, state: RetryCallState) -> float:
        failure = state.outcome.exception() if state.outcome is not None else None
        assert isinstance(failure, CallFailed)
        return back_off(failure, state.attempt_number, self.policy.rng)


def _may_pass(error: BaseException) -> bool:
    """A breaker that is open is waited for by the seat, or not at all."""
    return isinstance(error, CallFailed) and error.retryable and error.kind != "breaker-open"


class _StopBefore(stop_base):
    """Give up when the wait before the next attempt would pass the deadline."""

    def __init__(self, deadline: datetime) -> None:
        self._deadline = deadline

    def __call__(self, retry_state: RetryCallState) -> bool:
        left = (self._deadline - datetime.now(UTC)).total_seconds()
        return retry_state.upcoming_sleep >= left


async def _seated(seat: Seat, tokens: int, deadline: datetime, *, refuse: bool) -> None:
    """Wait for the seat's turn, not beyond the deadline."""
    left = _left(deadline)
    try:
        async with asyncio.timeout(left):
            await seat.take(tokens, or_refuse=refuse)
    except TimeoutError:
        raise _late(deadline) from None


def _left(deadline: datetime) -> float:
    left = (deadline - datetime.now(UTC)).total_seconds()
    if left <= 0:
        raise _late(deadline)
    return left


def _late(deadline: datetime) -> CallFailed:
    return CallFailed(
        "deadline-passed",
        f"the deadline {deadline.isoformat()} passed before the call was made",
    )
