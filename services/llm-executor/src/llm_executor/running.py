"""Brings one claimed request to its end: checks, cache, budget, call, record."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar

from bus.codec import Delivered
from bus.errors import Transient
from bus.failpoint import hit
from bus.tracing import processing
from contracts import telemetry
from contracts.events.base import Event
from contracts.events.completion import CompletionFinished, CompletionRequested
from runtime.batching import Batching
from runtime.logging import logger
from runtime.metrics import counter, histogram

from llm_executor.calling.caller import Caller, Plan
from llm_executor.calling.chunks import Chunks
from llm_executor.calling.progress import Interrupted, Progress, Stage, Watch
from llm_executor.domain import SERVICE
from llm_executor.domain.errors import CallFailed
from llm_executor.domain.lane import Seat
from llm_executor.domain.models import (
    Ask,
    BudgetOf,
    Call,
    Claim,
    Claimed,
    Finished,
    Grant,
    Key,
)
from llm_executor.domain.ports import CallStore, Complaint
from llm_executor.domain.pricing import most_cost
from llm_executor.translation import Ended, cache_key, call_of, delivered, finished, models_of

_log = logger(__name__)
RETRY_SECONDS = 0.5
T = TypeVar("T")


class BudgetIsTight(Exception):
    """What is left of the budget is set aside for calls in flight: later."""


@dataclass(frozen=True)
class Runner:
    """What running a request needs. ``record`` and ``reserve`` write for many at once."""

    store: CallStore
    caller: Caller
    chunks: Chunks
    complaint_by: Callable[[Mapping[str, Any]], Complaint]
    record: Batching[Finished, bool]
    reserve: Batching[Ask, tuple[Grant, Decimal]]

    async def run(self, claimed: Claimed, seat: Seat | None, watch: Watch) -> None:
        """Bring it to its end. ``seat`` is None for what only has to be told its end.

        Raises:
            BudgetIsTight: nothing was called; put it back in the queue.
        """
        item = delivered(claimed)
        with processing(SERVICE, item.envelope):
            ended = await self._ended(claimed, item, seat, watch)
            hit("call-after-reply")
            watch.stage = Stage.RECORDING
            if await _patiently(lambda: self.record(finished(item, ended))):
                _tell(item, ended)
            else:
                _log.warning("another process recorded this call first", key=str(claimed.key))
        hit("call-after-record")

    async def _ended(
        self, claimed: Claimed, item: Delivered[Event], seat: Seat | None, watch: Watch
    ) -> Ended:
        request, progress = item.event, Progress()
        assert isinstance(request, CompletionRequested)
        try:
            return await self._answered(claimed, item, request, seat, watch, progress)
        except CallFailed as failure:
            return Ended(progress, failure_kind=failure.kind, failure_message=str(failure))
        except Interrupted:
            return _cancelled(progress)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not watch.cancelled or task is None:
                raise
            task.uncancel()
            return _cancelled(progress)
        except BudgetIsTight:
            raise
        except Exception as error:  # noqa: BLE001 - a defect ends the completion, not loses it
            _log.exception("a completion failed by a defect", completion=str(claimed.key))
            said = f"a defect of the llm-executor: {type(error).__name__}; see its log"
            return Ended(progress, failure_kind="internal-error", failure_message=said)
        finally:
            if request.stream:
                await self.chunks.end(item)

    async def _answered(
        self,
        claimed: Claimed,
        item: Delivered[Event],
        request: CompletionRequested,
        seat: Seat | None,
        watch: Watch,
        progress: Progress,
    ) -> Ended:
        _check_claim(claimed, request, progress)
        if claimed.cancelled or seat is None or watch.cancelled:
            return _not_begun(claimed, request, progress)
        complaint = (
            None if request.response_schema is None else self.complaint_by(request.response_schema)
        )
        earlier = await self._earlier(claimed.key, request)
        if earlier is not None:
            return _from_cache(earlier, progress)
        configured = self.caller.providers.facts(request.model).fallbacks
        models = models_of(request, configured)
        call = call_of(request)
        await self._set_money_aside(claimed.key, request, models, call)
        watching = self.chunks.watching(item) if request.stream else None
        plan = Plan(models, call, request.deadline_at, complaint, watching)
        hit("call-before-send")
        watch.check()
        with watch.at(Stage.WAITING):
            reply = await self.caller.answer(plan, seat, progress, watch)
        return Ended(progress, reply.text, reply.model, reply.finish_reason)

    async def _earlier(self, key: Key, request: CompletionRequested) -> CompletionFinished | None:
        seconds = request.cache_seconds
        if seconds is None:
            return None
        found = await _patiently(
            lambda: self.store.earlier_answer(key.tenant_id, cache_key(request), seconds)
        )
        return None if found is None else CompletionFinished.model_validate_json(found)

    async def _set_money_aside(
        self, key: Key, request: CompletionRequested, models: tuple[str, ...], call: Call
    ) -> None:
        if request.budget is None:
            return
        budget = BudgetOf(request.budget.budget_id, request.budget.limit_usd)
        usd = self._most(request, models, call)
        grant, left = await _patiently(lambda: self.reserve(Ask(key, budget, usd)))
        if grant is Grant.WAIT:
            raise BudgetIsTight
        if grant is Grant.DENIED:
            raise CallFailed(
                "budget",
                f"the budget of {budget.limit_usd:f} USD has {left:f} USD left and this call may "
                f"cost {usd:f} USD: raise the budget and run again",
            )

    def _most(self, request: CompletionRequested, models: tuple[str, ...], call: Call) -> Decimal:
        """The most that the call and its repair may cost, at the dearest of the models."""
        rounds = 1 if request.response_schema is None else 3  # a repair repeats what was said
        costs = []
        for model in models:
            facts = self.caller.providers.facts(model)
            if facts.price is None:
                raise CallFailed(
                    "price-unknown",
                    f"a budget cannot be kept without a price for {model}: give "
                    "input_usd_per_million and output_usd_per_million in "
                    "LIMELIGHT_PROVIDERS_FILE, or ask without a budget",
                )
            costs.append(most_cost(facts.price, facts, call.turns, call.max_output_tokens))
        return max(costs) * rounds


def _check_claim(claimed: Claimed, request: CompletionRequested, progress: Progress) -> None:
    if claimed.claim is Claim.FRESH:
        return
    progress.outcome_unknown = True
    counter(telemetry.OUTCOME_UNKNOWN).labels(SERVICE).inc()
    _log.warning("an earlier process may have made this call", completion=str(claimed.key))
    if request.on_unknown == "fail":
        raise CallFailed(
            "outcome-unknown",
            "a process died while it may have been making this call; the request asks not to "
            "make it again (on_unknown)",
        )


def _not_begun(claimed: Claimed, request: CompletionRequested, progress: Progress) -> Ended:
    if claimed.cancelled or request.deadline_at > datetime.now(UTC):
        return _cancelled(progress)
    said = f"the deadline {request.deadline_at.isoformat()} passed before the call was made"
    return Ended(progress, failure_kind="deadline-passed", failure_message=said)


def _cancelled(progress: Progress) -> Ended:
    said = "it was cancelled before " + ("the next attempt" if progress.attempts else "the call")
    return Ended(progress, failure_kind="cancelled", failure_message=said)


def _from_cache(earlier: CompletionFinished, progress: Progress) -> Ended:
    counter(telemetry.CACHE_HITS).labels(SERVICE).inc()
    progress.from_cache, progress.simulated = True, earlier.simulated
    return Ended(progress, earlier.text, earlier.model_used, earlier.finish_reason)


async def _patiently(action: Callable[[], Awaitable[T]]) -> T:
    """Until the store takes it: an answer that is not recorded would be paid for again."""
    while True:
        try:
            return await action()
        except Transient as error:
            _log.warning("the store does not answer, trying again", error=str(error))
            await asyncio.sleep(error.retry_after or RETRY_SECONDS)


def _tell(item: Delivered[Event], ended: Ended) -> None:
    outcome = ended.failure_kind or "answered"
    counter(telemetry.COMPLETIONS).labels(SERVICE, outcome).inc()
    request = item.event
    assert isinstance(request, CompletionRequested)
    age = (datetime.now(UTC) - item.envelope.time).total_seconds()
    histogram(telemetry.COMPLETION_SECONDS).labels(SERVICE, request.priority).observe(max(0, age))
