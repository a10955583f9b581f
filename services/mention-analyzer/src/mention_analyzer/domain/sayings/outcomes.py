"""What each occurrence of a brand amounts to: named, recommended, denied, cited or link-only.

The place decides first: a name in an address is ``LINK_ONLY``, one that only labels a source is
``CITED``. A name in prose is

- ``RECOMMENDED`` if the answer tells the reader to take it ("I'd go with X"), calls it a good,
  the best or the ideal choice for somebody ("X is a great option", "Best budget pick: X"), or
  lists it under an announcement of choices ("Here are the top laptops:" and its items: in answers
  about products that is how assistants recommend);
- ``DENIED`` if the answer tells the reader not to take it, calls it a bad or no good choice,
  leaves it out by name, lists it under a warning, or chooses another one rather than it;
- ``NAMED`` otherwise. Praise or blame of properties ("X is fast", "X is not cheap"), comparisons
  ("unlike X", "faster than X"), what others do ("many teams use X") and questions decide nothing.

Method: the cues (``cues``) of every clause (``statements``) with a name are related to a group of
names: cues with an object to the next one in the clause, predicates to the one before; in a clause
without a name to the last one of the clauses before, unless the clause names something else ("the
best choice is Z"), and a cue in an opening clause ("A great choice for beginners, X ...") to the
next one. Names behind "than", "unlike" and the like are passed over. A negation counts within its
clause, at most five words before the cue, and not across another name or a colon, but "neither
X nor Y" and "I don't think X" reach behind the name; two negations cancel. If a mention is judged
twice, the later word counts, but "not ideal for large teams" is a caveat about a brand that is
recommended otherwise; the announcement of a list counts if nothing else does. Every step is one
pass over the words, so the time is linear in the length of the answer.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter
from typing import NamedTuple

from mention_analyzer.domain.models import Outcome
from mention_analyzer.domain.sayings.contexts import Context
from mention_analyzer.domain.sayings.cues import MARK, Cue, Kind, find_cues
from mention_analyzer.domain.sayings.statements import Clause, Group, Role, Statement

_FOLLOWED = frozenset({Kind.TAKE, Kind.LEAVE})
_UPHELD = {
    Kind.TAKE: Outcome.RECOMMENDED,
    Kind.PRAISE: Outcome.RECOMMENDED,
    Kind.LAUD: Outcome.RECOMMENDED,
    Kind.LEAVE: Outcome.DENIED,
    Kind.FAIL: Outcome.DENIED,
}
_NEGATED = {Kind.TAKE: Outcome.DENIED, Kind.PRAISE: Outcome.DENIED}
_NEGATION_WORDS = 5
_NEGATION_REACH, _CONDITION_REACH = 300, 60  # characters: no search goes further back
_START, _END = attrgetter("start"), attrgetter("end")
_REACHES_BEHIND_NAMES = re.compile(
    r"\b(?:neither|nor|none of|(?:\w+n't|not) (?:think|believe|find|consider|see|feel|say))\b"
)
# Behind a cue that has no name after it: is what it takes or leaves the brand before it?
_POINTS_BACK = re.compile(
    r" ?(?:it|them|this|that one|these|either|both|for|as|to you|in|at|over|first|anymore|here|"
    r"personally|today|right now|instead|overall|most|$|[.:!?,])"
)
_NAMES_ANOTHER = re.compile(r"(?: [\w'-]+){0,4}? (?:is|are|would be|remains|will be)\b| ?:")
_FOR_SOME_USE = re.compile(r" (?:for|in|with|as|to)\b")
_CONCEDES = re.compile(r"^\W*(?:although|though|while|whereas|despite|unlike|even)\b")
_CONDITION = re.compile(
    r"\b(?:if|when|once|whether|before|after|unless) (?:you|i|we|they|you're) "
    r"(?:(?:want|decide|choose|plan|like|would like|do|are going) (?:to )?)?$"
    r"|\b(?:when|why|how|whether)(?: to)? $|\bif $"
)


class _Verdict(NamedTuple):
    """What one cue decides. ``limited``: only for some use ("no good choice for large teams")."""

    outcome: Outcome
    limited: bool


def outcomes(context: Context, mentions: int) -> list[Outcome]:
    """The outcome of each of the ``mentions`` names in prose, by their index."""
    found = [context.announced.get(index, Outcome.NAMED) for index in range(mentions)]
    for statement in context.statements:
        for group, verdict in _judged(statement):
            for index in group.mentions:
                if not (verdict.limited and found[index] is Outcome.RECOMMENDED):
                    found[index] = verdict.outcome
    return found


def _judged(statement: Statement) -> Iterator[tuple[Group, _Verdict]]:
    """Judgements in order of their cues; a later one replaces an earlier one."""
    if statement.text.rstrip(" )*").endswith("?"):
        return
    chosen = False
    before: Group | None = None
    waiting: list[_Verdict] = []
    for clause in statement.clauses:
        subjects = [group for group in clause.groups if group.role is Role.SUBJECT]
        if subjects:
            yield from ((subjects[0], verdict) for verdict in waiting)
            waiting = []
        for cue, verdict in _verdicts(clause):
            chosen |= verdict.outcome is Outcome.RECOMMENDED
            if group := _target(cue, clause, subjects, before):
                yield group, verdict
            elif _may_wait(cue, clause, before):
                waiting.append(verdict)
        before = subjects[-1] if subjects else before
    if chosen:
        yield from _passed_over(statement)


def _passed_over(statement: Statement) -> Iterator[tuple[Group, _Verdict]]:
    for clause in statement.clauses:
        for group in clause.groups:
            if group.role is Role.INSTEAD:
                yield group, _Verdict(Outcome.DENIED, limited=False)


def _verdicts(clause: Clause) -> Iterator[tuple[Cue, _Verdict]]:
    """The cues of a clause that decide something, with what they decide."""
    negations = deque[Cue](maxlen=_NEGATION_WORDS)
    for cue in find_cues(clause.text):
        if cue.kind is Kind.NOT:
            negations.append(cue)
        elif cue.kind in _UPHELD and not _is_conditional(cue, clause.text):
            table = _NEGATED if _is_negated(cue, clause.text, negations) else _UPHELD
            if outcome := table.get(cue.kind):
                yield cue, _Verdict(outcome, outcome is Outcome.DENIED and _is_limited(cue, clause))


def _is_limited(cue: Cue, clause: Clause) -> bool:
    return cue.kind not in _FOLLOWED and _FOR_SOME_USE.search(clause.text, cue.start) is not None


def _is_conditional(cue: Cue, clause: str) -> bool:
    return _CONDITION.search(clause, max(0, cue.start - _CONDITION_REACH), cue.start) is not None


def _is_negated(cue: Cue, clause: str, negations: Iterable[Cue]) -> bool:
    """Whether an odd number of negations before the cue reach it."""
    near = [one for one in negations if cue.start - one.start < _NEGATION_REACH]
    return sum(_reaches(clause[one.start : cue.start], one) for one in near) % 2 == 1


def _reaches(between: str, negation: Cue) -> bool:
    words = between[negation.end - negation.start :]
    if ":" in words or words.count(" ") > _NEGATION_WORDS + 4 * words.count(MARK):
        return False
    return MARK not in words or _REACHES_BEHIND_NAMES.search(between) is not None


def _target(
    cue: Cue, clause: Clause, subjects: Sequence[Group], before: Group | None
) -> Group | None:
    """The group of names that a cue is about."""
    at = bisect_left(subjects, cue.start, key=_START)
    earlier = subjects[at - 1] if at else None
    after = _next_to(cue, clause) or (subjects[at] if at < len(subjects) else None)
    if cue.kind in _FOLLOWED:
        if after:
            return None if clause.text.startswith("'s ", after.end) else after
        return (earlier or before) if _POINTS_BACK.match(clause.text, cue.end) else None
    if earlier or after:
        return earlier or after
    return None if _NAMES_ANOTHER.match(clause.text, cue.end) else before


def _next_to(cue: Cue, clause: Clause) -> Group | None:
    """The group right behind a cue, even one that is compared: "better options than X"."""
    if cue.kind is Kind.PRAISE:  # "a great alternative to X" praises another
        return None
    at = bisect_right(clause.groups, cue.end, key=_END)
    near = at < len(clause.groups) and clause.groups[at].start <= cue.end + 1
    return clause.groups[at] if near else None


def _may_wait(cue: Cue, clause: Clause, before: Group | None) -> bool:
    """Whether a cue of an opening clause speaks of the name to come."""
    return (
        before is None
        and not clause.groups
        and cue.kind not in _FOLLOWED
        and not _CONCEDES.search(clause.text)
        and not _NAMES_ANOTHER.match(clause.text, cue.end)
    )
