"""What an answer says about each mention beyond its sentence: announcements and details.

Assistants rarely say "I recommend X". They write "Here are the best options:" and a list, and
under each item its strengths and weaknesses. So the sentences are walked once, in order:

- An **announcement** is a heading or a label with a colon that presents choices ("Top picks",
  "Apps to avoid:"). A heading's holds for the heads of its section; a label's for all below it,
  sections ("Mid-range") included, until one presents something else ("Things to consider").
- A **head** is the first sentence of a list item, a heading that begins with a name, or
  "Name: description", which is what a list looks like that lost its line breaks.
- A **tail** is a sentence without a name, right behind one with, that goes on about it ("It is
  slow."); at most two of them.
- A **detail** is any other sentence without a name inside the item, or the section, whose head
  names a brand; behind "Pros:" or "Cons:" it has a side.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from mention_analyzer.domain.models import Outcome
from mention_analyzer.domain.sayings.cues import MARK
from mention_analyzer.domain.sayings.statements import Statement, goes_on
from mention_analyzer.domain.text.layout import Item, Layout

_MOST_TAILS = 2
_WORD = re.compile(rf"[^\W\d_]|{MARK}")
_LABEL = re.compile(r"(?:^|(?<=[:.!?)]))[^:.!?]{2,200}[:\uff1a]")
_LABEL_END = 60  # where line breaks are lost, a label is the end of what stands before the colon
_NAME_FIRST = re.compile(rf"^[\W\d]*(?:(?!unlike|with|for|about|why|from)[\w'-]+ )?{MARK}")
_NUMBER = 16  # characters of a heading's marks and number, at most
_RULE = re.compile(r"^\W{3,}$")
_BOLD = 7  # the level of a line in bold letters, below the 1 to 6 of headings
_BAD = re.compile(
    r"\b(?:avoid|skip|steer clear|stay away|worst|not recommend\w*|n't recommend|wouldn't buy|"
    r"pass on|zu meiden|évitez|éviter|evitar)\b"
)
_GOOD = re.compile(
    r"\b(?:best|top|recommend\w*|favou?rites?|(?:our|my|quick) picks?|standouts?|winners?|"
    r"i(?:'d| would) (?:pick|look at|consider|start)|highly[ -](?:rated|regarded)|curated|"
    r"also consider|worth considering|ideal for|"
    r"(?:great|excellent|solid|good|fantastic|strong) (?:\w+ )?(?:options?|choices?|picks?|\w+s)|"
    r"beste[nr]?|empfehl\w+|mejores|recomend\w+|meilleure?s?|recommand\w+)\b|おすすめ|お勧め"
)
_OTHERS = re.compile(r"\b(?:others?|also|honou?rable|mentions?|alternatives?|runners?)\b")
_NO_CHOICES = re.compile(
    r"\b(?:tips?|factors?|things|questions?|practices|mistakes?|features? to|how to|ways to|"
    r"consider(?:ations)? when|considerations|notes?|comparison|compare|specs|where to buy|"
    r"best ?sellers?|best known for|conclusion|final|summary|bottom line|popular brands|"
    r"what to look)\b"
)
_CON = (
    "cons?|disadvantages?|weaknesses|weak points|downsides?|drawbacks?|limitations?|caveats?|"
    "watch[ -]outs?|dislikes|nachteile|desventajas|contras|inconvénients|デメリット|短所"
)
_PRO = (
    "pros?|advantages?|strengths?|upsides?|benefits|highlights?|likes|vorteile|ventajas|avantages|"
    "メリット|長所|why (?:it's|it is) (?:great|good)|why it stands out"
)
# The label alone, or with what it heads: "Pros", "**Pros:** fast", "Cons - slow".
_SIDE = re.compile(
    rf"^\W*(?:(?P<con>{_CON})|(?P<pro>{_PRO}))(?: of (?:it|this)| include)?"
    r"(?: ?[:\uff1a]| ?[-\u2013\u2014] |$)"
)


@dataclass(frozen=True, slots=True)
class Detail:
    """A sentence about a brand that does not name it. ``side`` is 1 for pros, -1 for cons."""

    text: str
    side: int


@dataclass(slots=True)
class Context:
    """Statements in order of their place; ``announced`` and ``details`` by index of mention."""

    statements: list[Statement] = field(default_factory=list)
    announced: dict[int, Outcome] = field(default_factory=dict)
    details: dict[int, list[Detail]] = field(default_factory=dict)


def announcement(words: str) -> Outcome | None:
    """What a heading or label announces: choices (RECOMMENDED), warnings (DENIED), or neither."""
    if _BAD.search(words):
        return Outcome.DENIED
    if _GOOD.search(words) and not _NO_CHOICES.search(words):
        return Outcome.RECOMMENDED
    return None


def presents(words: str) -> bool:
    """Whether a label turns to something else than what stands before it."""
    return announcement(words) is not None or _ends_announcement(words)


def _ends_announcement(words: str) -> bool:
    return bool(_NO_CHOICES.search(words) or _OTHERS.search(words))


def heads(items: Sequence[Item], sentences: Sequence[Statement]) -> dict[int, Item]:
    """The item that a sentence is the head of, by the sentence's index."""
    found, at = dict[int, Item](), 0
    for index, sentence in enumerate(sentences):
        while at < len(items) and items[at].end <= sentence.span.start:
            at += 1
        if at == len(items):
            break
        if sentence.span.end > items[at].start and _WORD.search(sentence.text):
            found[index] = items[at]
            at += 1
    return found


def context_of(layout: Layout, sentences: Sequence[Statement]) -> Context:
    """Walk the cleaned ``sentences`` of an answer, in time linear in their length."""
    walk = _Walk(layout, heads(layout.items, sentences))
    for index, sentence in enumerate(sentences):
        walk.step(index, sentence)
    return walk.context


class _Walk:
    """Where the walk stands: the announcement in force, the brand in focus, its side."""

    def __init__(self, layout: Layout, heads: dict[int, Item]) -> None:
        self.context = Context()
        self._text, self._heads = layout.text, heads
        self._intro: Outcome | None = None  # announced by a label, for all sections below
        self._section: Outcome | None = None  # announced by a heading, for its section
        self._level = 0  # of that heading
        self._fresh = False  # the announcement stood right before
        self._focus: int | None = None
        self._focus_end = 0  # of the item; the end of the text for a section
        self._side = 0
        self._tails = _MOST_TAILS  # none may be added before there is a statement

    def step(self, index: int, sentence: Statement) -> None:
        if not _WORD.search(sentence.text):
            self._focus = None if _RULE.match(sentence.text) else self._focus
            return
        level, item = self._heading_level(sentence), self._heads.get(index)
        if self._focus is not None and sentence.span.start >= self._focus_end:
            self._focus, self._side = None, 0
        fresh = self._fresh
        if level and not item and not sentence.mentions:
            self._open_section(sentence, level)
        elif sentence.mentions:
            self._name(sentence, level > 0, item, fresh)
        else:
            self._announce(sentence)
            self._follow(sentence)

    def _heading_level(self, sentence: Statement) -> int:
        """1 to 6 for a heading, more for a line in bold letters, 0 for other text."""
        before = max(0, sentence.span.start - _NUMBER)  # "### 1. Name" is two sentences
        start = self._text.rfind("\n", before, sentence.span.start) + 1
        if self._text[start : start + 1] not in {"#", "*"} or (not start and before):
            return 0
        line = self._text[start : sentence.span.end].strip()
        if line.startswith("#"):
            return len(line) - len(line.lstrip("#"))
        return _BOLD if line.startswith("**") and line.rstrip(":").endswith("**") else 0

    def _open_section(self, sentence: Statement, level: int) -> None:
        found = announcement(sentence.text)
        if found or level <= self._level:
            self._section, self._level = found, level
        if not found and _ends_announcement(sentence.text):
            self._intro = self._section = None
        self._fresh = True
        side = _SIDE.match(sentence.text)
        self._side = _side_of(side)
        self._focus, self._tails = self._focus if side else None, _MOST_TAILS

    def _announce(self, sentence: Statement) -> None:
        """Labels announce, and name the head of an item, in the middle of a sentence too."""
        self._fresh = False
        if ":" not in sentence.text:
            return
        named = at = 0
        for label in _LABEL.finditer(sentence.text):
            named, at = named + sentence.text.count(MARK, at, label.start()), label.start()
            words = label[0] if not label.start() else label[0][-_LABEL_END:]
            if found := announcement(words):
                self._intro, self._section, self._level = found, None, 0
                self._fresh = True
            elif _NAME_FIRST.match(label[0]):
                self._mark_announced([sentence.mentions[named]])
            elif _ends_announcement(words):
                self._intro = self._section = None

    def _name(self, sentence: Statement, heading: bool, item: Item | None, fresh: bool) -> None:
        first = _NAME_FIRST.match(sentence.text) is not None
        item_names = item and ":" not in sentence.text[: sentence.text.find(MARK)]
        if item_names or (first and (heading or fresh)):
            self._mark_announced(sentence.choices)
        if not item and not heading:
            self._announce(sentence)
        if item or (heading and first):
            self._focus, self._side = sentence.mentions.start, 0
            self._focus_end = item.end if item else len(self._text)
        self._fresh = False
        self.context.statements.append(sentence)
        self._tails = 0

    def _mark_announced(self, mentions: Iterable[int]) -> None:
        if announced := self._section or self._intro:
            self.context.announced.update(dict.fromkeys(mentions, announced))

    def _follow(self, sentence: Statement) -> None:
        side = _SIDE.match(sentence.text)
        self._side = _side_of(side) or self._side
        if not side and self._tails < _MOST_TAILS and goes_on(sentence.text):
            self._extend(sentence)
            return
        self._tails = _MOST_TAILS
        if (about := self._about()) is not None:
            words = sentence.text[side.end() :] if side else sentence.text
            self.context.details.setdefault(about, []).append(Detail(words, self._side))

    def _about(self) -> int | None:
        """The mention that a detail is about: outside items only what has a side is sure."""
        if self._focus is None and self._side and self.context.statements:
            return self.context.statements[-1].mentions.start
        return self._focus

    def _extend(self, sentence: Statement) -> None:
        last = self.context.statements[-1]
        text = f"{last.text} ; {sentence.text}"
        self.context.statements[-1] = Statement(text, last.mentions, last.span)
        self._tails += 1


def _side_of(label: re.Match[str] | None) -> int:
    return 0 if label is None else 1 if label["pro"] else -1
