"""What clients ask for while things break: they send again what got no answer, and keep count."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from devkit.marketing import CAMPAIGNS, sample
from devkit.marketing.people import Person
from devkit.running import UNANSWERED
from devkit.stack.deployment import KEY
from tests.chaos.distributed.plan import MODELS

TELLERS = 3
PEOPLE = 13 * TELLERS
"""So many different ones: each comes back, so that every key has many events. What is told of one
comes from one client, as only that has an order."""
ASIDE_SECONDS = 4.0
ASIDE = 5
PATIENCE = 240.0
_WAIT = 0.25
_REFUSED_ON = 400
_BAD_GATEWAY_ON = 500
_TOO_MANY = 429


class NotAccepted(RuntimeError):
    """The gateway refused what is right, or took nothing for minutes."""


@dataclass
class Accepted:
    """What was answered with 2xx: all of this must have its effect.

    ``runs``: completions of each. ``conversations`` and ``campaigns`` were sent with an
    Idempotency-Key: by what the gateway said of them. ``engagements`` are known by their ids.
    """

    runs: dict[str, int] = field(default_factory=dict)
    conversations: dict[str, dict[str, Any]] = field(default_factory=dict)
    engagements: dict[str, dict[str, Any]] = field(default_factory=dict)
    campaigns: dict[str, set[str]] = field(default_factory=dict)
    requests: int = 0
    tries: Counter[str] = field(default_factory=Counter)

    @property
    def messages(self) -> Counter[str]:
        """How many messages each user sent."""
        sent: Counter[str] = Counter()
        for body in self.conversations.values():
            sent[body["user_id"]] += len(body["messages"])
        return sent


class Client:
    """A patient client of the gateway."""

    def __init__(self, port: int, accepted: Accepted) -> None:
        self._base = f"http://127.0.0.1:{port}"
        self._accepted = accepted
        self._lock = threading.Lock()

    def send(self, method: str, path: str, body: object, key: str | None = None) -> dict[str, Any]:
        """Until it is accepted. Raises NotAccepted."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            outcome, answer = self._once(method, path, body, key)
            with self._lock:
                self._accepted.tries[outcome] += 1
                self._accepted.requests += answer is not None
            if answer is not None:
                return answer
            time.sleep(_WAIT)
        raise NotAccepted(f"{method} {path} is not taken in {PATIENCE} s")

    def _once(
        self, method: str, path: str, body: object, key: str | None
    ) -> tuple[str, dict[str, Any] | None]:
        headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
        if key is not None:
            headers["Idempotency-Key"] = key
        url = f"{self._base}{path}"
        request = Request(url, json.dumps(body).encode(), headers, method=method)
        try:
            status, answer = _answered(request)
        except UNANSWERED as error:
            return type(error).__name__, None
        if status >= _BAD_GATEWAY_ON or status == _TOO_MANY:
            return str(status), None
        if status >= _REFUSED_ON:
            raise NotAccepted(f"{method} {path}: {status} {answer!r}")
        return "accepted", dict(json.loads(answer))


def _answered(request: Request) -> tuple[int, bytes]:
    """Status and body, whole. Raises UNANSWERED."""
    try:
        with urlopen(request, timeout=60) as answer:
            return answer.status, answer.read()
    except HTTPError as error:
        return error.code, error.read()


class Traffic:
    """Clients in threads of their own: some tell what people do, one starts small runs."""

    def __init__(self, port: int, name: str, seed: int, pause: float) -> None:
        """``name`` tells its requests from those of others."""
        self.accepted = Accepted()
        self.failed: list[BaseException] = []
        self._client = Client(port, self.accepted)
        self._name, self._seed, self._pause = name, seed, pause
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=self._watched, args=(work,), daemon=True)
            for work in (*(partial(self._people, first) for first in range(TELLERS)), self._runs)
        ]

    def start(self) -> None:
        """Begin, with the campaigns."""
        for campaign in CAMPAIGNS:
            self._campaign(campaign, 0)
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """What was begun is sent to its end. Raises what a client met."""
        self._ended.set()
        for thread in self._threads:
            thread.join(PATIENCE + 10)
        for error in self.failed:
            raise error

    def run(self, name: str, prompts: int, samples: int) -> str:
        """Start a run; its id."""
        body = {
            "name": name,
            "brands": [{"name": "Quillnote"}, {"name": "Papertrail Pro"}],
            "prompts": [
                f"Which note app, asked by {self._name} {name}, {n}?" for n in range(prompts)
            ],
            "models": list(MODELS),
            "samples": samples,
        }
        found = self._client.send("POST", "/v1/visibility/runs", body, f"{self._name}-run-{name}")
        run_id = str(found["run_id"])
        self.accepted.runs[run_id] = prompts * samples * len(MODELS)
        return run_id

    def _watched(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - raised where the threads are waited for
            self.failed.append(error)

    def _people(self, first: int) -> None:
        for number, person in enumerate(sample(self._seed).people(1_000_000)):
            if number % TELLERS != first:
                continue
            if self._ended.wait(self._pause):
                return
            self._tell(number, person)
            self._campaign(CAMPAIGNS[number % len(CAMPAIGNS)], number + 1)

    def _runs(self) -> None:
        number = 0
        while not self._ended.wait(ASIDE_SECONDS):
            number += 1
            self.run(f"aside-{number}", 1, ASIDE)

    def _tell(self, number: int, person: Person) -> None:
        """One after the other, so that a user's events have an order."""
        user_id = f"user-{number % PEOPLE:02}"
        talk: dict[str, Any] = {**person.conversation, "user_id": user_id}
        talk["messages"] = [
            {**said, "message_id": f"m-{place}"} for place, said in enumerate(talk["messages"])
        ]
        name = talk["conversation_id"]
        found = self._client.send("POST", "/v1/conversations", talk, f"{self._name}-talk-{number}")
        self.accepted.conversations[name] = {**talk, "event_id": found["event_id"]}
        for deed in person.engagements:
            body = {**deed, "user_id": user_id}
            self._client.send("POST", "/v1/engagements", body)
            self.accepted.engagements[body["engagement_id"]] = body

    def _campaign(self, campaign: Mapping[str, Any], state: int) -> None:
        """The same campaign again is a later state of it."""
        campaign_id = str(campaign["campaign_id"])
        body = {name: value for name, value in campaign.items() if name != "campaign_id"}
        key = f"{self._name}-campaign-{campaign_id}-{state}"
        found = self._client.send("PUT", f"/v1/campaigns/{campaign_id}", body, key)
        self.accepted.campaigns.setdefault(campaign_id, set()).add(str(found["changed_at"]))
