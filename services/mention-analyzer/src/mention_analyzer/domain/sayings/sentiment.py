"""The sentiment of each mention, from -1 to 1.

What counts for a mention are the words of its clauses: the clauses of the sentence that name it,
those after it without a name, and before it if there is no name yet. A clause with several names
is split before each name that is not joined to the one before by "and", "or" or a comma, so that
"X is great but Y is awful" is one verdict for each. The names behind "than" or "unlike" get none,
and a label that turns to something else ("X costs 5 USD. Other great options: ...") ends it.

    sentence = compound(sum of the valences of these words + evidence)

with ``valence.compound``, and ``evidence`` of 1.5 for a recommendation and -1.5 for a denial:
"skip X" is no neutral sentence. Bullets below the item or the heading that names a brand
(``contexts.Detail``) are scored alike, each for itself; below "Pros:" at least at a valence of 1,
below "Cons:" at most at -1, because there even "Requires an account" speaks for or against it.

The sentiment is the mean of the scores that are not 0 (a list of technical data says nothing and
must not dilute what is said), 0 if all are, and None if there are no words beside the name.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from statistics import fmean

from mention_analyzer.domain.models import Outcome
from mention_analyzer.domain.sayings.contexts import Context, Detail, presents
from mention_analyzer.domain.sayings.cues import MARK
from mention_analyzer.domain.sayings.statements import Clause, Group, Role, Statement
from mention_analyzer.domain.sayings.valence import compound, product_scale

_EVIDENCE = {Outcome.RECOMMENDED: 1.5, Outcome.DENIED: -1.5}
_LEAST_OF_A_SIDE = 1.0
_LETTER = re.compile(r"[^\W\d_]")


def sentiments(context: Context, outcomes: Sequence[Outcome]) -> list[float | None]:
    """The sentiment of each mention in prose, by index; ``outcomes`` are theirs."""
    found: list[float | None] = [None] * len(outcomes)
    for statement in context.statements:
        for index, words in _words(statement).items():
            details = context.details.get(index, ())
            if details or outcomes[index] in _EVIDENCE or any(map(_LETTER.search, words)):
                found[index] = _mean(words, outcomes[index], details)
    return found


def _mean(words: Iterable[str], outcome: Outcome, details: Sequence[Detail]) -> float:
    valence = product_scale().valence
    said = sum(map(valence, words)) + _EVIDENCE.get(outcome, 0.0)
    scores = [said, *(_sided(valence(detail.text), detail) for detail in details)]
    return round(fmean([compound(score) for score in scores if score] or [0.0]), 4)


def _sided(valence: float, detail: Detail) -> float:
    if not detail.side or not _LETTER.search(detail.text):
        return valence
    return max(valence * detail.side, _LEAST_OF_A_SIDE) * detail.side


def _words(statement: Statement) -> dict[int, list[str]]:
    """The pieces of text that speak about each mention of a statement."""
    found = defaultdict[int, list[str]](list)
    owner: Group | None = None
    waiting = list[str]()
    for group, piece in _pieces(statement.clauses):
        if group and group.role is Role.SUBJECT:
            owner = group
        for index in group.mentions if group else ():
            found[index] += ()
        if ":" in piece and presents(piece.partition(":")[0]):
            owner, waiting = None, []
            continue
        waiting.append(piece)
        if owner:
            for index in owner.mentions:
                found[index] += waiting
            waiting = []
    return found


def _pieces(clauses: Iterable[Clause]) -> Iterator[tuple[Group | None, str]]:
    """The text before, between and behind the names, each with the group right before it."""
    for clause in clauses:
        group, at = None, 0
        for following in clause.groups:
            yield group, clause.text[at : following.start]
            group, at = following, following.end
        yield group, clause.text[at:].replace(MARK, " ")
