"""What a service owes for what was accepted, beside what its store holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

Complaint = tuple[str, list[str]]
"""What is wrong, and what it is wrong with."""


@dataclass(frozen=True)
class Account:
    """One kind of effect in one store: how often each thing has to be there, and is there."""

    service: str
    effect: str
    owed: Counter[str]
    done: Counter[str]

    @classmethod
    def of(cls, service: str, effect: str, owed: Iterable[str], done: Iterable[str]) -> Account:
        """From single things; what comes twice counts twice."""
        return cls(service, effect, Counter(list(owed)), Counter(list(done)))

    def complaints(self) -> Iterator[Complaint]:
        """What is missing, what is there too often, and what nobody asked for."""
        of = f"{self.service}: {self.effect}"
        yield f"{of} lost", list(self.owed - self.done)
        extra = self.done - self.owed
        yield f"{of} done twice", [thing for thing in extra if thing in self.owed]
        yield f"{of} that nobody asked for", [thing for thing in extra if thing not in self.owed]


def values(found: Mapping[str, object]) -> Counter[str]:
    """Things with a value each, for an account: another value is another thing."""
    return Counter(f"{name} = {value}" for name, value in found.items())
