"""What a mention amounts to: tables of sentences labelled by reading, and the rules one by one."""

from __future__ import annotations

import re
from pathlib import Path
from uuid import uuid4

import pytest
from mention_analyzer.domain.models import Answer, Brand, CaseRule, Mention, Outcome, Source
from mention_analyzer.domain.rules import analyze
from mention_analyzer.domain.sayings.contexts import announcement
from mention_analyzer.domain.sayings.cues import MARK, Kind, find_cues

SENTENCES = Path(__file__).parent / "sentences"
LABELS = {"+": Outcome.RECOMMENDED, "-": Outcome.DENIED, "=": Outcome.NAMED}
LABELLED = re.compile(r"([A-Z][A-Za-z]+)([+=-])(?![A-Za-z0-9])")
LEAST_ACCURACY = 0.9


def found(text: str, *names: str) -> tuple[Mention, ...]:
    brands = tuple(Brand(uuid4(), name, case=CaseRule.ANY) for name in dict.fromkeys(names))
    answer = Answer("t", uuid4(), uuid4(), uuid4(), "p/m", 0, text, simulated=False)
    return analyze(answer, brands).mentions


def judged(line: str) -> list[tuple[str, Outcome, Outcome | None]]:
    """For each label of a line: the name, what is right, and what is found there."""
    text, wanted, at = "", list[tuple[int, str, Outcome]](), 0
    for label in LABELLED.finditer(line):
        text += line[at : label.start()]
        wanted.append((len(text), label[1], LABELS[label[2]]))
        text, at = text + label[1], label.end()
    text += line[at:]
    by_start = {m.start: m.outcome for m in found(text, *(name for _, name, _ in wanted))}
    return [(name, right, by_start.get(start)) for start, name, right in wanted]


def lines(table: str) -> list[str]:
    text = (SENTENCES / f"{table}.txt").read_text(encoding="utf-8")
    _, *rest = text.splitlines()
    return [line.replace("\\n", "\n") for line in rest]


@pytest.mark.parametrize("table", ["tuning", "held_out"])
def test_outcomes_agree_with_a_reader(table: str) -> None:
    judgements = [(line, *one) for line in lines(table) for one in judged(line)]
    wrong = [one for one in judgements if one[2] is not one[3]]
    assert len(judgements) >= 120
    assert 1 - len(wrong) / len(judgements) >= LEAST_ACCURACY, wrong


@pytest.mark.parametrize("outcome", list(LABELS.values()))
@pytest.mark.parametrize("table", ["tuning", "held_out"])
def test_no_outcome_is_guessed_or_missed(table: str, outcome: Outcome) -> None:
    judgements = [one for line in lines(table) for one in judged(line)]
    right = sum(want is got is outcome for _, want, got in judgements)
    assert right / sum(want is outcome for _, want, _ in judgements) >= 0.85
    assert right / sum(got is outcome for _, _, got in judgements) >= 0.85


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("Notion+ is not only a great choice for teams.", "no negation"),
        ("Notion= is not cheap.", "a property"),
        ("Unlike Notion=, Obsidian+ is a great choice.", "passed over"),
        ("You can't go wrong with Notion+.", "no denial"),
        ("I can't recommend Notion+ enough.", "no denial"),
        ("I can't recommend Notion-.", "a denial"),
        ("There is no reason not to use Notion+.", "two negations"),
        ("I don't think Notion- is a good choice.", "negation before the name"),
        ("Neither Notion- nor Obsidian- is a good choice.", "negation before both names"),
        ("I don't use Windows, so I recommend Notion+.", "another clause"),
        ("Notion= is popular, but I recommend Obsidian+.", "another clause"),
        ("I'd use Obsidian+ rather than Notion-.", "one instead of the other"),
        ("Instead of Notion=, some use Obsidian=.", "nothing is chosen"),
        ("Avoid Notion- and Obsidian-.", "both in one breath"),
        ("I recommend Notion+ for teams and Obsidian+ for writers.", "two objects"),
        ("The best choice is Bear, while Notion= is widely used.", "praise of another"),
        ("Notion= is widely used, the best choice is Bear.", "praise of another"),
        ("Notion- is slow. I'd avoid it.", "the next sentence goes on"),
        ("Notion= is slow. I'd avoid Bear.", "the next sentence does not"),
        ("Is Notion= a good choice?", "a question"),
        ("A great choice for teams, Notion+ has databases.", "an opening clause"),
        ("Although there are better choices, Notion= has databases.", "a concession"),
        ("If you choose Notion=, pay by the year.", "a condition"),
        ("Choose Notion+ if you like databases.", "a choice with a condition"),
        ("Before you recommend Notion=, ask for a trial.", "a condition"),
        ("No problem: I recommend Notion+.", "no negation across a colon"),
        ("A great alternative to Notion= is Bear+.", "praise of the other"),
        ("There are better options than Notion-.", "blame of the one compared"),
        ("Notion+ is a great choice. It's not ideal for large teams.", "a caveat"),
        ("Notion- is a great choice. It's not recommended, though.", "the later word"),
        ("Notion= needs care to avoid data loss.", "no object"),
        ("Some apps, like Notion-, are no longer recommended.", "an example"),
        ("Find the best app for you: Notion= syncs.", "advice on choosing"),
    ],
)
def test_rules_one_by_one(line: str, why: str) -> None:
    for name, right, got in judged(line):
        assert got is right, (name, why)


@pytest.mark.parametrize(
    ("text", "outcomes"),
    [
        ("Top picks:\n\n1. **Notion** - wiki\n2. **Bear** - notes", "recommended recommended"),
        ("## Best apps\n\n- Notion: wiki\n- Bear: notes", "recommended recommended"),
        ("Here are apps:\n\n1. **Notion** - wiki\n2. **Bear** - notes", "named named"),
        ("Apps to avoid:\n\n- Notion: slow\n- Bear: Apple only", "denied denied"),
        ("Top picks:\n\n- Notion: cheaper than Bear\n", "recommended named"),
        (
            "Top picks:\n\n- Notion: wiki\n\nHonorable mentions:\n\n- Bear: notes",
            "recommended named",
        ),
        ("Top picks:\n\n- Notion: I would avoid it now.\n- Bear: notes", "denied recommended"),
        (
            "Here are the best apps:\n\n### Notion\n\nWiki.\n\n### Bear\n\nNotes.",
            "recommended " * 2,
        ),
        ("Here are top picks: Notion: A wiki.Bear: For notes.", "recommended recommended"),
        ("Top picks: Notion: A wiki. Things to consider: Bear: For notes.", "recommended named"),
    ],
)
def test_lists_recommend_what_they_announce(text: str, outcomes: str) -> None:
    assert [str(m.outcome) for m in found(text, "Notion", "Bear")] == outcomes.split()


@pytest.mark.parametrize(
    ("words", "outcome"),
    [
        ("here are the best laptops", Outcome.RECOMMENDED),
        ("my recommendations", Outcome.RECOMMENDED),
        ("other great options", Outcome.RECOMMENDED),
        ("apps i would not recommend", Outcome.DENIED),
        ("brands to avoid", Outcome.DENIED),
        ("honorable mentions", None),
        ("things to consider when choosing the best laptop", None),
        ("best practices", None),
        ("overview", None),
    ],
)
def test_announcements(words: str, outcome: Outcome | None) -> None:
    assert announcement(words) is outcome


def test_places_decide_before_words() -> None:
    text = "I recommend Bear ([Evernote][1]).\n\n[1]: https://press.com/evernote-review"
    outcomes = [m.outcome for m in found(text, "Bear", "Evernote")]
    assert outcomes == [Outcome.RECOMMENDED, Outcome.CITED, Outcome.LINK_ONLY]


def test_a_source_beside_the_text_is_no_mention() -> None:
    brand = Brand(uuid4(), "Notion", domains=("notion.so",))
    sources = (Source("https://notion.so"),)
    answer = Answer(
        "t", uuid4(), uuid4(), uuid4(), "p/m", 0, "Hi.", simulated=False, sources=sources
    )
    assert analyze(answer, (brand,)).mentions == ()


@pytest.mark.parametrize(
    ("clause", "kinds"),
    [
        (f"{MARK} is a great choice", [Kind.PRAISE]),
        (f"i'd go with {MARK}", [Kind.TAKE]),
        (f"{MARK} is not recommended", [Kind.NOT, Kind.PRAISE]),
        (f"{MARK} isn't worth it", [Kind.FAIL]),
        (f"many go with {MARK}", []),
        (f"{MARK} is recommended to restart", []),
        (f"find the best choice with {MARK}", [Kind.PASS]),
        (f"{MARK} has the best screen", []),
        (f"{MARK} is the best", [Kind.LAUD]),
        (f"don't overlook {MARK}", [Kind.TAKE]),
        (f"{MARK}はおすすめしません", [Kind.LEAVE]),
        ("", []),
    ],
)
def test_cues(clause: str, kinds: list[Kind]) -> None:
    assert [cue.kind for cue in find_cues(clause)] == kinds
