"""No budget is overdrawn by calls side by side, and none is kept from spending what it has."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st
from llm_executor.domain.budget import NOTHING, Allotment, Of, Purse
from llm_executor.domain.models import Ask, BudgetOf, Grant, Key

CENTS = st.decimals(0, 3, places=4)
LIMITS = st.decimals(0, 10, places=4)
KEYS = [Key("tenant", UUID(int=n)) for n in range(6)]
BUDGET = UUID(int=1)
OF: Of = ("tenant", BUDGET)


def ask(key: Key, usd: Decimal, limit: Decimal) -> Ask:
    return Ask(key, BudgetOf(BUDGET, limit), usd)


@given(LIMITS, LIMITS, LIMITS, CENTS)
def test_what_fits_is_granted_and_what_does_not_is_not(
    limit: Decimal, spent: Decimal, reserved: Decimal, usd: Decimal
) -> None:
    grant, left = Purse(spent, reserved).asked(limit, usd)
    fits_now = usd == 0 or spent + reserved + usd <= limit
    fits_later = usd == 0 or spent + usd <= limit
    assert (grant is Grant.GRANTED) == fits_now
    assert (grant is Grant.WAIT) == (fits_later and not fits_now)
    assert (grant is Grant.DENIED) == (not fits_later)
    if grant is Grant.DENIED:
        assert left == max(NOTHING, limit - spent)
    else:
        assert left == limit - spent - reserved


@given(LIMITS, LIMITS, CENTS)
def test_nobody_waits_for_a_budget_of_which_nothing_is_set_aside(
    limit: Decimal, spent: Decimal, usd: Decimal
) -> None:
    """Nothing would ever end that wait."""
    assert Purse(spent).asked(limit, usd)[0] is not Grant.WAIT


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.lists(st.tuples(st.sampled_from(KEYS), CENTS), max_size=5)),
        st.tuples(st.just("end"), st.tuples(st.sampled_from(KEYS), st.integers(0, 4))),
    ),
    max_size=30,
)


@given(LIMITS, STEPS)
def test_no_sequence_of_asks_and_ends_overdraws(
    limit: Decimal, steps: list[tuple[str, object]]
) -> None:
    """Calls cost a quarter, a half... of what was set aside for them, or all of it."""
    purse, reserved = Purse(), dict.fromkeys(KEYS, NOTHING)
    for step in steps:
        match step:
            case ("ask", list(wanted)):
                allotment = Allotment({OF: purse})
                answers = allotment.answer([ask(key, usd, limit) for key, usd in wanted], reserved)
                reserved |= allotment.reserved
                purse = allotment.purses[OF]
                granted = {
                    key: usd if grant is Grant.GRANTED else NOTHING
                    for (key, usd), (grant, _) in zip(wanted, answers, strict=True)
                }
                assert allotment.reserved == granted
                tight = any(grant is Grant.WAIT for grant, _ in answers)
                assert allotment.tight == ({OF} if tight else set())
            case ("end", (Key() as key, int(quarters))):
                cost = reserved[key] * quarters / 4
                purse = Purse(purse.spent + cost, purse.reserved - reserved[key])
                reserved[key] = NOTHING
        assert purse.reserved == sum(reserved.values())
        assert purse.spent + purse.reserved <= limit


@given(LIMITS, st.lists(st.tuples(st.sampled_from(KEYS), CENTS), max_size=8))
def test_one_batch_of_asks_is_as_good_as_many(
    limit: Decimal, wanted: list[tuple[Key, Decimal]]
) -> None:
    asks = [ask(key, usd, limit) for key, usd in wanted]
    none = dict.fromkeys(KEYS, NOTHING)
    together = Allotment({OF: Purse()})
    answers = together.answer(asks, none)
    purse, reserved, one_by_one = Purse(), dict(none), []
    for each in asks:
        alone = Allotment({OF: purse})
        one_by_one += alone.answer([each], reserved)
        purse, reserved = alone.purses[OF], reserved | alone.reserved
    assert answers == one_by_one
    assert together.purses[OF] == purse
    assert none | together.reserved == reserved


def test_budgets_do_not_touch_each_other() -> None:
    other = UUID(int=2)
    allotment = Allotment({OF: Purse(), ("tenant", other): Purse(), ("other", BUDGET): Purse()})
    one, two = BudgetOf(BUDGET, Decimal(1)), BudgetOf(other, Decimal(1))
    theirs = Key("other", KEYS[0].completion_id)
    asks = [Ask(key, of, Decimal("0.6")) for key, of in ((KEYS[0], one), (KEYS[1], two))]
    asks += [Ask(theirs, one, Decimal("0.6")), Ask(KEYS[2], two, Decimal("0.6"))]
    answers = allotment.answer(asks, {each.key: NOTHING for each in asks})
    assert [grant for grant, _ in answers] == [Grant.GRANTED] * 3 + [Grant.WAIT]
    assert allotment.tight == {("tenant", other)}


def test_one_that_has_ended_is_given_nothing() -> None:
    allotment = Allotment({OF: Purse()})
    answers = allotment.answer([ask(KEYS[0], Decimal(1), Decimal(5))], {})
    assert answers == [(Grant.WAIT, NOTHING)]
    assert (allotment.purses[OF], allotment.reserved, allotment.tight) == (Purse(), {}, set())
