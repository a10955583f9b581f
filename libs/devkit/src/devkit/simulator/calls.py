"""The life of one call, whatever API it came in by."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.types import Receive, Scope, Send

from devkit.simulator.config import SimulatorConfig
from devkit.simulator.drawing import Question, prompt_key, sample_name
from devkit.simulator.entropy import digest
from devkit.simulator.exchange import BrokenOff, Disconnected, Exchange
from devkit.simulator.faults import FAULT_HEADER, Fault, FaultError, FaultKind, parse_fault
from devkit.simulator.quota import Quota
from devkit.simulator.replies import compose
from devkit.simulator.schemas import SchemaError
from devkit.simulator.settings import ModelSettings
from devkit.simulator.stats import CallRecord, Stats
from devkit.simulator.stopping import Stopping
from devkit.simulator.tokens import estimate_prompt_tokens, estimate_tokens
from devkit.simulator.wire import errors
from devkit.simulator.wire.dialect import Ask, Dialect, Headers, Reply
from devkit.simulator.wire.errors import ApiError

SAMPLE_HEADER = "x-limelight-sample"
_FAULT_HEADER = FAULT_HEADER.encode()
_WITHOUT_REPLY = frozenset({FaultKind.STATUS, FaultKind.TIMEOUT, FaultKind.GARBAGE})


@dataclass
class Simulation:
    """What all calls share. ``clock`` gives Unix seconds, ``steady`` ones that never go back."""

    config: SimulatorConfig
    stats: Stats
    stopping: Stopping
    clock: Callable[[], float]
    steady: Callable[[], float] = time.monotonic
    attempts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        config = self.config
        models = config.truth.model_by_id
        self.fingerprints = {
            model: f"fp_{digest(str(config.seed), model):032x}"[:13] for model in models
        }
        self.settings = {model: config.settings_of(model) for model in models}
        self.quotas = {
            model: Quota(settings, self.steady, config.faults.retry_after_s)
            for model, settings in self.settings.items()
            if settings.limited
        }
        self.requests = 0

    def request_id(self) -> str:
        """A new id for a request, the same ones in every process."""
        self.requests += 1
        return f"req_{self.requests:024d}"


class Endpoint:
    """One API as a bare ASGI application, which may leave off half-way."""

    def __init__(self, simulation: Simulation, dialect: Dialect) -> None:
        self._shared = simulation
        self._config = simulation.config
        self._dialect = dialect

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one call and count it, however it ends."""
        exchange = Exchange(scope, receive, send, self._shared.stopping)
        request_id = self._shared.request_id()
        exchange.extra.update(self._dialect.headers(request_id))
        with self._shared.stats.call() as record:
            try:
                await self._run(exchange, record)
            except ApiError as error:
                body = self._dialect.error_body(error, request_id)
                await exchange.fail(error.status, body, error.retry_after_s)
            except (BrokenOff, Disconnected):
                return  # nobody is left to answer, or nothing more is to be said
            finally:
                record.status = exchange.status or record.status

    async def _run(self, exchange: Exchange, record: CallRecord) -> None:
        self._dialect.authenticate(exchange.headers)
        ask = self._dialect.parse(await exchange.read(self._config.max_request_bytes))
        settings = self._shared.settings.get(ask.model)
        if settings is None:
            raise self._dialect.model_not_found(ask.model)
        record.model = ask.model
        tokens = checked_prompt_tokens(self._dialect, ask, settings)
        quota = self._shared.quotas.get(ask.model)
        if quota is None:
            await self._answer(exchange, record, ask, tokens)
        else:
            await self._within(quota, exchange, record, ask, tokens)

    async def _within(
        self, quota: Quota, exchange: Exchange, record: CallRecord, ask: Ask, tokens: int
    ) -> None:
        """Answer if the quota allows it. A refused call is no attempt: its retry is the first."""
        wait = quota.enter()
        exchange.extra.update(quota.state().headers(self._shared.clock()))
        if wait is not None:
            record.fault = "quota"
            raise errors.out_of_quota(wait)
        try:
            await self._answer(exchange, record, ask, tokens)
        finally:
            quota.leave()

    async def _answer(self, exchange: Exchange, record: CallRecord, ask: Ask, tokens: int) -> None:
        key = prompt_key(ask.model, ask.messages)
        identity, attempt = self._count_attempt(ask, key)
        fault = self._fault(exchange.headers, ask, identity, attempt)
        record.fault = fault.label
        if fault.kind in _WITHOUT_REPLY:
            await exchange.pause(fault.latency_s)
            await self._fail(exchange, fault)
            return
        sample = sample_name(ask.seed, attempt)
        exchange.extra[SAMPLE_HEADER] = sample
        question = Question(ask.model, ask.messages, sample, key)
        await self._send(exchange, ask, fault, self._reply(ask, question, fault, attempt, tokens))

    def _count_attempt(self, ask: Ask, key: str) -> tuple[str, int]:
        """Which attempt (from 0) this is of an identical request.

        Identical are the API, model, messages, seed, tools and the JSON asked for. Counting per
        request rather than overall makes repeats reproducible however calls interleave. It
        costs about 200 bytes for each distinct request.
        """
        identity, extras = f"{key}/{ask.seed}", ask.extras()
        if extras or self._dialect.name:
            identity += f"/{digest(self._dialect.name, *extras):032x}"
        attempt = self._shared.attempts[identity]
        self._shared.attempts[identity] = attempt + 1
        self._shared.stats.attempted(attempt)
        return identity, attempt

    def _fault(self, headers: Headers, ask: Ask, identity: str, attempt: int) -> Fault:
        asked = headers.get(_FAULT_HEADER)
        if asked is None:
            rates = self._shared.settings[ask.model].faults or self._config.faults
            fault = rates.draw(self._config.seed, identity, attempt)
        else:
            try:
                fault = parse_fault(asked.decode("latin-1")).at_attempt(attempt)
            except FaultError as error:
                raise errors.bad_request(f"{FAULT_HEADER}: {error}", FAULT_HEADER) from error
        return fault.on(streamed=ask.stream, structured=bool(ask.shape or ask.tools))

    async def _fail(self, exchange: Exchange, fault: Fault) -> None:
        if fault.kind is FaultKind.STATUS:
            raise errors.injected(fault.status, fault.retry_after_s)
        if fault.kind is FaultKind.TIMEOUT:
            await exchange.hang(fault.timeout_s)
        else:
            await exchange.garbage()

    async def _send(self, exchange: Exchange, ask: Ask, fault: Fault, reply: Reply) -> None:
        if not ask.stream:
            await exchange.pause(fault.latency_s)
            await exchange.answer(self._dialect.body(reply, ask), fault)
            return
        if self._config.comments:  # sent while the model is still thinking
            await exchange.begin_stream(comment=True)
            await exchange.pause(fault.latency_s)
        else:
            await exchange.pause(fault.latency_s)
            await exchange.begin_stream(comment=False)
        events = self._dialect.events(reply, ask, self._config.stream_words)
        failed = self._dialect.broken_off(reply, ask, events.middle)
        await exchange.stream(events, fault, failed)

    def _reply(
        self, ask: Ask, question: Question, fault: Fault, attempt: int, tokens: int
    ) -> Reply:
        try:
            content = compose(self._config, ask, question, fault.kind)
        except SchemaError as error:
            raise errors.bad_request(f"Invalid schema: {error}.", error.keyword) from error
        said = content.call.arguments if content.call else content.text
        given = estimate_tokens(said)
        prices = self._shared.settings[ask.model].prices
        key = digest(
            *(str(self._config.seed), "id", self._dialect.name),
            *(question.prompt_key, question.sample, str(attempt)),
        )
        return Reply(
            key=f"{key:032x}",
            created=int(self._shared.clock()),
            model=ask.model,
            fingerprint=self._shared.fingerprints[ask.model],
            text=content.text,
            call=content.call,
            end=content.end,
            prompt_tokens=tokens,
            completion_tokens=given,
            cost=prices.cost(tokens, given) if prices else None,
        )


def checked_prompt_tokens(dialect: Dialect, ask: Ask, settings: ModelSettings) -> int:
    """Tokens of the prompt, if the model takes it. Raises ``ApiError`` 400."""
    for parameter in settings.not_settable:
        if parameter in ask.given:
            raise dialect.not_settable(parameter, ask.model)
    if "image" not in settings.modalities and ask.has_images:
        raise dialect.no_images(ask.model)
    if ask.max_tokens is not None and ask.max_tokens > settings.max_output_tokens:
        raise dialect.limit_too_high(ask.max_tokens, settings.max_output_tokens, ask.model)
    tokens = estimate_prompt_tokens(ask.messages, (ask.tools.text,) if ask.tools else ())
    if tokens > settings.context_tokens:
        raise dialect.prompt_too_long(tokens, settings.context_tokens)
    return tokens
