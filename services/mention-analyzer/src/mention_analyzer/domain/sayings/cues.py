"""The words by which an answer recommends a brand or rules it out, as tables of patterns.

A cue stands in one clause (see ``statements``), in lower case, every mention being one ``MARK``.
Its kind says where its brand stands and what a negation before it makes of it:

========  ==========================================  =====================  ==================
kind      example                                     its brand              negated
========  ==========================================  =====================  ==================
TAKE      I recommend X; go with X; can't go wrong    follows, else before   denied
PRAISE    X is a great choice; best overall: X        before, else follows   denied
LAUD      X is the best                               before, else follows   nothing
LEAVE     avoid X; I'd skip X                         follows, else before   nothing
FAIL      X is a poor choice; X didn't make the list  before, else follows   nothing
========  ==========================================  =====================  ==================

NOT negates the cues behind it, PASS only looks like a negation ("not only"). At one place the
first pattern of the table wins, so whole phrases stand before the words they are made of.
English has the full table, German, Spanish, French and Japanese the commonest words.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import NamedTuple

MARK = "\ue000"  # of the private use area: stands for one mention


class Kind(StrEnum):
    """What a cue does to its brand, and on which side of it that brand stands."""

    PASS = "pass_"  # noqa: S105 - a kind of cue
    TAKE = "take"
    PRAISE = "praise"
    LAUD = "laud"
    LEAVE = "leave"
    FAIL = "fail"
    NOT = "not_"


class Cue(NamedTuple):
    """One cue, by its place in the clause."""

    kind: Kind
    start: int
    end: int


_ADJECTIVE = (
    "great|good|excellent|solid|fantastic|strong|perfect|wonderful|superb|outstanding|ideal|best|"
    "top|smart|safe|safest|better|first|obvious|clear|natural|right|reliable|decent|terrific|"
    "favou?rite|fine|amazing|brilliant|suitable|primary|number one|#1|winning|"
    "editor'?s'?"
)
_NOUN = (
    "choices?|picks?|options?|bets?|fits?|match|recommendations?|buys?|starting point|"
    "alternatives?|contenders?|tool for th(?:e|is) job|tool for (?:you|this)"
)
_BAD = "bad|poor|weak|wrong|terrible|worst|worse|risky"
_NOT = r"(?:not|never|no longer|\w+n't|cannot)"
_GET = "choose|pick|go with|go for|opt for|get|buy|use|grab|switch to|stick with|start with|take"
_LOOK = "try|consider|look at|check out|look into|lean towards?|explore|begin with|keep an eye on"
_MODAL = (
    r"i'd|i'll|we'd|i would|we would|you'd|should|you could|you might|you may want to|"
    r"(?:you'll|you will|you) want to|i might|definitely|let's|please|otherwise|instead|then"
)
_ADVERB = r"(?:(?:\w+ly|also|just|still|always|first|rather|even|instead) ){0,2}"
_REFUSED = (
    r"(?:don't|do not|never|wouldn't|would not|shouldn't|should not) (?:\w+ly )?"
    r"(?:use|buy|choose|pick|get|go with|go for|bother|waste|rely on|start with|opt for|pay for|"
    r"trust|install|consider|touch)"
)

_TABLE: dict[Kind, tuple[str, ...]] = {
    Kind.TAKE: (
        r"(?:can't|cannot|can not) (?:recommend|praise) (?:\S+ ){1,5}?enough",
        r"(?:can't|cannot|can not|won't|hard to|difficult to|never) (?:\w+ly |ever )?go (?:far )?"
        r"wrong",
        r"(?:won't|will not|never) (?:\w+ )?(?:regret|be disappointed)",
        r"(?:you'll|you will|you'd) (?:probably |likely )?be happy with",
        rf"no reason not to (?:{_GET})",
        r"(?:don't|do not|never) (?:overlook|miss|sleep on|skip out on|ignore|dismiss|rule out)",
        r"(?:not|n't) hesitate to (?:recommend|choose|buy|get)",
        r"vote (?:goes|would go) to|nothing (?:\w+ ){0,4}beats|no (?:better|stronger) \w+ than",
        r"(?:hard|difficult) not to (?:recommend|like|choose|love)",
        r"recommend(?:s|ing)?|suggest(?:ing)?",
        rf"(?:{_MODAL}) {_ADVERB}(?:{_GET}|{_LOOK})",
        rf"^(?:(?:so|and|but|or|just|simply|also|first|if so) )?(?:{_GET}|{_LOOK})",
        # German, Spanish, French
        r"empfehle|empfehlen|greifen sie zu|nimm",
        r"recomiendo|recomendamos|recomendaría|te sugiero",
        r"recommande|recommandons|recommanderais|conseille|optez pour",
    ),
    Kind.FAIL: (
        rf"(?:(?:a|an|the) )?(?:{_BAD})(?: [\w-]+)?? (?:{_NOUN})",
        r"(?:there are|there's|you'll find|plenty of|many|has) (?:\w+ )?better "
        r"(?:options|alternatives|choices|products|picks)(?: than)?",
        rf"{_NOT} make (?:the|my|our|this) (?:\w+ )?(?:cut|list|shortlist)",
        rf"{_NOT} (?:among them|one of them|on (?:this|the|my|our) (?:\w+ )?list|included here)",
        r"(?:missing|absent|excluded|left off|omitted) from (?:this|the|my|our) (?:\w+ )?list",
        rf"{_NOT} (?:really |quite |currently )?worth (?:it|the|buying|considering|your|paying)",
        rf"{_NOT} (?:right |really |quite )?for you",
        rf"{_NOT} (?:really |very |particularly |well )?(?:suitable|suited|advisable|meant for)",
        r"fails? to meet|look elsewhere|best avoided|out of the running|red flag|"
        r"(?:one|ones|brand|model|product) to (?:avoid|skip)|not (?:the )?one i'd|deal-?breaker",
        r"abzuraten|nicht empfehlenswert|mala opción|mauvais choix",
    ),
    Kind.PRAISE: (
        rf"(?:(?:an?|the|my|our|its|their|your) (?:[\w-]+ )??)?(?:{_ADJECTIVE})"
        rf"(?:[ -][\w'-]+){{0,3}}? (?:{_NOUN})",
        r"(?:my|our) (?:[\w-]+ ){0,2}?(?:pick|choice|favou?rites?|vote|recommendation|go-to)",
        r"if i had to (?:pick|choose|recommend) (?:just |only )?\w+",
        r"best (?:overall|budget|value|all-round|premium)|best in class|best-in-class|"
        r"best (?:suited )?for(?! (?:you|your)\b| ?:)",
        r"(?:ideal|perfect) (?:\w+ )?for(?! ?:)",
        r"(?:budget|value|premium|upgrade) (?:pick|choice|option)(?= ?:)",
        rf"^\W*for (?!example|instance|context|reference|more)[^:,.;{MARK}]{{3,50}}:",
        rf"the (?:[\w-]+ ){{1,3}}(?:to|(?:that |which )?(?:i'd|i would|we'd|we would)) {_ADVERB}"
        rf"(?:{_GET}|beat|recommend|suggest|have)",
        r"winner|wins|takes the (?:crown|cake|win)|gold standard|the way to go|comes? out on top|"
        r"(?:hard|tough|difficult) to beat|can't be beat(?:en)?|second to none|hands[ -]down|"
        r"gets? (?:my|our) (?:vote|nod)|top spot|stands? out as|safe bet|no-brainer|must-have|"
        r"editor'?s'? choice|top[ -](?:rated|recommended|tier|ranked)|go-to",
        r"worth (?:considering|a look|a try|trying|checking out|buying|every penny|the money|"
        r"exploring|a shot)",
        r"recommended(?! (?:to|that|settings?|dose|you)\b)|recommendations?",
        r"beste[ns]? (?:wahl|option|alternative)|(?:sehr )?gute wahl|empfehlenswert|testsieger",
        r"mejor (?:opción|elección|alternativa)|buena opción|recomendable|opción ideal",
        r"meilleure? (?:choix|option)|(?:bon|excellent) choix|idéale? pour|recommandée?",
    ),
    Kind.LAUD: (
        # Looking back at a form of "to be" or an adverb: "has the best screen" is no such praise.
        r"(?:(?<=(?:is|be|'s|re|of|ns|ly|ll) )|(?<= as ))(?:the|my|our) (?:[\w-]+ )?best"
        r"(?![ -](?:known|selling|at|in)\b)",
    ),
    Kind.LEAVE: (
        _REFUSED,
        r"avoid(?:ing)?|skip(?:ping)?|steer clear of|(?:stay|keep) (?:away|clear) (?:from|of)|"
        r"pass on|rul(?:e|ed|ing) out|(?:left|leave|leaving) out|exclud(?:ed|ing)|"
        r"(?:warn(?:s|ed)?|advise|recommend|caution) against|wary of|"
        r"(?:think|thinking) twice (?:before|about)(?: \w+ing)?|mistake to \w+|"
        rf"no (?:good )?reason to (?:{_GET})|talk you out of",
        r"abraten|meiden|vermeiden|finger weg von|evita|evitar|evite|evitaría|"
        r"évitez|éviter|éviterais|déconseille",
    ),
    Kind.PASS: (
        r"(?:find(?:ing)?|choos(?:e|ing)|pick(?:ing)?|determin(?:e|ing)|decid(?:e|ing)(?: on)?|get|"
        r"which is|what is|what's|identify) the (?:best|right|ideal|perfect)(?: [\w-]+)?",
        r"not (?:only|just|merely|to mention)|\w+n't (?:only|just)|why not|no doubt",
        rf"{_NOT} (?:the )?(?:only|cheapest|a bad|bad|alone)|"
        r"without (?:a )?(?:second )?(?:thought|doubt|hesitation|question)",
    ),
    Kind.NOT: (
        r"neither (?:\S+ ){1,4}?nor",
        rf"{_NOT}|without|neither|nor|none of|no|hardly|rarely|far from|anything but|less than",
        r"(?:hard|difficult|tough|hesitant|reluctant) to|hesitate to|struggle to",
        r"nicht|keine?[nsrm]?|nunca|n'(?:est|a|ont) (?:pas|plus)|ne",
    ),
}
_ORDER = (Kind.FAIL, Kind.PASS, Kind.TAKE, Kind.LEAVE, Kind.PRAISE, Kind.LAUD, Kind.NOT)
# Japanese puts no spaces between words, and its negation behind the verb.
_UNSPACED = (
    r"(?P<leave_ja>(?:おすすめ|お勧め|オススメ|推奨)(?:し|でき)ません|避け(?:た|る|まし))|"
    r"(?P<praise_ja>おすすめ|お勧め|オススメ|最適|ベスト)"
)
_LATIN = "|".join(f"(?P<{kind}>{'|'.join(_TABLE[kind])})" for kind in _ORDER)
_CUES = re.compile(rf"(?<![\w-])(?:{_LATIN})(?![\w-])|{_UNSPACED}")
_JAPANESE = {"leave_ja": Kind.LEAVE, "praise_ja": Kind.PRAISE}


def find_cues(clause: str) -> tuple[Cue, ...]:
    """The cues of a clause in order, without overlap."""
    return tuple(
        Cue(_JAPANESE.get(found.lastgroup) or Kind(found.lastgroup), *found.span())
        for found in _CUES.finditer(clause)
        if found.lastgroup
    )
