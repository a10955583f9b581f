"""Numbers within bounds."""

from __future__ import annotations

import math
import random
from fractions import Fraction

from devkit.simulator.schemas.conform import Schema, SchemaError, bound, violation

_SPAN = 100
_STEPS = 1_000
_TRIES = 40


def make_integer(schema: Schema, luck: random.Random) -> int:
    """A whole number within the bounds. Raises ``SchemaError``."""
    return int(_stepped(schema, luck, _whole_step(schema)))


def make_number(schema: Schema, luck: random.Random) -> int | float:
    """A number within the bounds. Raises ``SchemaError``."""
    if "multipleOf" in schema:
        return _stepped(schema, luck, _step(schema))
    low, high = _range(schema, Fraction(1, _STEPS))
    for _ in range(_TRIES):
        value = float(low + (high - low) * luck.randint(0, _STEPS) / _STEPS)
        for candidate in (round(value, 2), value):
            if violation(_numeric(schema), candidate, schema) is None:
                return candidate
    raise SchemaError(_lowest(schema), "leaves no number between the bounds")


def _stepped(schema: Schema, luck: random.Random, step: Fraction) -> int | float:
    low, high = _range(schema, step)
    first, last = math.ceil(low / step), math.floor(high / step)
    if first > last:
        raise SchemaError(_lowest(schema), "leaves no number between the bounds")
    tried = [luck.randint(first, last) for _ in range(_TRIES)]
    for times in (*tried, *range(first, min(last, first + _STEPS) + 1)):
        exact = times * step
        value = exact.numerator if exact.denominator == 1 else float(exact)
        if violation(_numeric(schema), value, schema) is None:
            return value
    raise SchemaError("multipleOf" if "multipleOf" in schema else _lowest(schema), "has no match")


def _range(schema: Schema, step: Fraction) -> tuple[Fraction, Fraction]:
    """Closed bounds; one that is missing is put some way off the other."""
    lows = [Fraction(str(bound(schema, k))) for k in _LOWS if k in schema]
    highs = [Fraction(str(bound(schema, k))) for k in _HIGHS if k in schema]
    span = max(Fraction(_SPAN), step * _SPAN)
    low = max(lows, default=min((*highs, span)) - span)
    high = min(highs, default=max(low, Fraction(0)) + span)
    if low > high:
        raise SchemaError(_lowest(schema), f"{low} is above the maximum {high}")
    return low, high


_LOWS = ("minimum", "exclusiveMinimum")
_HIGHS = ("maximum", "exclusiveMaximum")


def _step(schema: Schema) -> Fraction:
    step = Fraction(str(bound(schema, "multipleOf")))
    if step <= 0:
        raise SchemaError("multipleOf", "must be above 0")
    return step


def _whole_step(schema: Schema) -> Fraction:
    """The smallest whole multiple of ``multipleOf``: 0.5 gives 1, 2.5 gives 5."""
    step = _step(schema) if "multipleOf" in schema else Fraction(1)
    return Fraction(step.numerator)


def _lowest(schema: Schema) -> str:
    return next((keyword for keyword in (*_LOWS, *_HIGHS) if keyword in schema), "type")


def _numeric(schema: Schema) -> Schema:
    return {k: schema[k] for k in (*_LOWS, *_HIGHS, "multipleOf") if k in schema}
