"""JSON made from schemas, judged by an independent validator over generated schemas."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from devkit.simulator.schemas import Facts, SchemaError, broken, generate
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

Schema = dict[str, Any]

NAMES = st.text("abcdefg", min_size=1, max_size=4)
FORMATS = st.sampled_from(
    ["date", "time", "date-time", "duration", "email", "hostname", "uri", "uuid", "ipv4", "ipv6"]
)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-9, 9), st.text(max_size=5))
ROWS = [
    {"name": "Zqx", "rank": 1, "sentiment": "positive"},
    {"name": "Qzx", "rank": 2, "sentiment": "negative"},
]
FACTS = Facts({"answer": "Use Zqx, not Qzx."}, ROWS)


def accepts(schema: Any, value: object) -> bool:
    formats = Draft202012Validator.FORMAT_CHECKER
    return Draft202012Validator(schema, format_checker=formats).is_valid(value)


def optional(draw: st.DrawFn, schema: Schema, **keywords: st.SearchStrategy[Any]) -> Schema:
    for keyword, values in keywords.items():
        if draw(st.booleans()):
            schema[keyword] = draw(values)
    return schema


@st.composite
def strings(draw: st.DrawFn) -> Schema:
    if draw(st.integers(0, 3)) == 0:
        return {"type": "string", "format": draw(FORMATS)}
    least = draw(st.integers(0, 60))
    return optional(
        draw,
        {"type": "string", "minLength": least},
        maxLength=st.integers(least, least + 40),
        description=st.text(max_size=9),
    )


@st.composite
def integers(draw: st.DrawFn) -> Schema:
    low = draw(st.integers(-1000, 1000))
    kinds = [
        {"minimum": low},
        {"maximum": low},
        {"minimum": low, "maximum": low + draw(st.integers(0, 30))},
        {"exclusiveMinimum": low, "maximum": low + 1},
        {"exclusiveMinimum": low, "exclusiveMaximum": low + 2 + draw(st.integers(0, 9))},
        {"multipleOf": draw(st.sampled_from([1, 2, 7, 0.5, 2.5])), "minimum": low},
        {},
    ]
    return {"type": "integer", **draw(st.sampled_from(kinds))}


@st.composite
def numbers(draw: st.DrawFn) -> Schema:
    low = draw(st.floats(-1000, 1000, allow_subnormal=False))
    kinds = [
        {"minimum": low},
        {"maximum": low, "minimum": low},
        {"minimum": low, "exclusiveMaximum": low + draw(st.floats(0.001, 5))},
        {"exclusiveMinimum": low, "maximum": low + draw(st.floats(0.001, 5))},
        {"multipleOf": draw(st.sampled_from([0.1, 0.25, 3])), "minimum": low},
        {},
    ]
    return {"type": "number", **draw(st.sampled_from(kinds))}


ENUMS = st.lists(SCALARS, min_size=1, max_size=4).map(lambda values: {"enum": values})
CONSTANTS = SCALARS.map(lambda value: {"const": value})
LEAVES = st.one_of(
    strings(),
    integers(),
    numbers(),
    ENUMS,
    CONSTANTS,
    st.just({"type": "boolean"}),
    st.just({"type": "null"}),
    st.just({}),
    st.just(True),
    st.just({"type": ["string", "null"]}),
)


@st.composite
def arrays(draw: st.DrawFn, inner: st.SearchStrategy[Any]) -> Schema:
    least = draw(st.integers(0, 4))
    made = {"type": "array", "items": draw(inner), "minItems": least}
    return optional(
        draw,
        made,
        maxItems=st.integers(least, least + 3),
        prefixItems=st.lists(inner, min_size=1, max_size=2),
    )


@st.composite
def objects(draw: st.DrawFn, inner: st.SearchStrategy[Any]) -> Schema:
    properties = draw(st.dictionaries(NAMES, inner, max_size=4))
    if draw(st.booleans()):
        properties["brands"] = {"type": "array", "items": {"type": "string"}}
    needed = draw(st.lists(st.sampled_from(sorted(properties)), unique=True)) if properties else []
    made = {"type": "object", "properties": properties, "required": needed}
    return optional(draw, made, additionalProperties=st.just(False) | inner)


@st.composite
def choices(draw: st.DrawFn, inner: st.SearchStrategy[Any]) -> Schema:
    branches = draw(st.lists(inner, min_size=1, max_size=3))
    if draw(st.booleans()):
        return {"anyOf": branches}
    tagged = [
        {
            "type": "object",
            "properties": {"kind": {"const": at}, "value": branch},
            "required": ["kind", "value"],
        }
        for at, branch in enumerate(branches)
    ]
    return {"oneOf": tagged}


def containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(arrays(inner), objects(inner), choices(inner))


SCHEMAS = st.recursive(LEAVES, containers, max_leaves=12)


@settings(max_examples=400)
@given(SCHEMAS, st.integers())
def test_every_value_satisfies_its_schema(schema: Any, seed: int) -> None:
    value = generate(schema, random.Random(seed), FACTS)
    assert accepts(schema, value)
    assert json.loads(json.dumps(value)) == value


@settings(max_examples=200)
@given(st.dictionaries(NAMES, SCHEMAS, min_size=1, max_size=3), st.integers())
def test_references_and_all_of_are_followed(parts: dict[str, Any], seed: int) -> None:
    schema: Schema = {
        "$defs": parts,
        "type": "object",
        "properties": {
            name: {"allOf": [{"$ref": f"#/$defs/{name}"}, {"description": "d"}]} for name in parts
        },
        "required": list(parts),
    }
    assert accepts(schema, generate(schema, random.Random(seed), FACTS))


@given(SCHEMAS, st.integers())
def test_equal_luck_makes_equal_values(schema: Any, seed: int) -> None:
    one, again = [generate(schema, random.Random(seed), FACTS) for _ in range(2)]
    assert json.dumps(one) == json.dumps(again)


@settings(max_examples=300)
@given(SCHEMAS, st.integers())
def test_broken_text_never_satisfies_the_schema(schema: Any, seed: int) -> None:
    assume(isinstance(schema, dict))
    text = broken(schema, generate(schema, random.Random(seed), FACTS))
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        return
    assert not accepts(schema, value)


@settings(max_examples=300)
@example({"const": ""}, {"type": "string", "format": "date"}, 0)
@example({"const": ""}, {"anyOf": [{"type": "string", "format": "date"}]}, 0)
@example({"enum": ["", 1]}, {"anyOf": [{"type": "string", "format": "date"}]}, 0)
@given(SCHEMAS, SCHEMAS, st.integers())
def test_contradictions_are_refused_or_solved(one: Any, other: Any, seed: int) -> None:
    schema = {"allOf": [one, other]}
    try:
        value = generate(schema, random.Random(seed), FACTS)
    except SchemaError:
        return
    assert accepts(schema, value)


def test_different_luck_makes_different_values() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    assert len({str(generate(schema, random.Random(seed))) for seed in range(50)}) > 20


def test_brands_fill_lists_of_strings_and_of_objects() -> None:
    strings_: Schema = {"type": "array", "items": {"type": "string"}}
    rows: Schema = {
        "type": "array",
        "items": {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "rank": {"type": "integer"},
                "sentiment": {"enum": ["positive", "negative"]},
                "comment": {"type": "string"},
            },
            "required": ["name", "rank", "sentiment", "comment"],
        },
    }
    schema = {
        "type": "object",
        "properties": {"mentioned_brands": strings_, "BrandRows": rows, "others": strings_},
        "required": ["mentioned_brands", "BrandRows", "others"],
    }
    value = generate(schema, random.Random(1), FACTS)
    assert value["mentioned_brands"] == ["Zqx", "Qzx"]
    assert [{key: row[key] for key in ROWS[0]} for row in value["BrandRows"]] == ROWS
    assert not {"Zqx", "Qzx"} & set(value["others"])


@pytest.mark.parametrize(
    ("limits", "count"),
    [({"maxItems": 1}, 1), ({"minItems": 4}, 4), ({}, 2), ({"minItems": 1}, 2)],
)
def test_bounds_of_a_list_of_brands_are_kept(limits: Schema, count: int) -> None:
    brands = {"type": "array", "items": {"type": "string"}, **limits}
    schema = {"type": "object", "properties": {"brands": brands}, "required": ["brands"]}
    names = generate(schema, random.Random(1), FACTS)["brands"]
    assert len(names) == count
    assert names[: min(2, count)] == ["Zqx", "Qzx"][:count]


def test_facts_are_used_only_where_the_schema_allows_them() -> None:
    def answer(schema: Schema) -> Any:
        wrapped = {"type": "object", "properties": {"answer": schema}, "required": ["answer"]}
        return generate(wrapped, random.Random(1), FACTS)["answer"]

    assert answer({"type": "string"}) == "Use Zqx, not Qzx."
    assert len(answer({"type": "string", "maxLength": 5})) <= 5
    assert isinstance(answer({"type": "boolean"}), bool)


def test_recursive_schemas_end() -> None:
    node = {
        "type": "object",
        "properties": {
            "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
            "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
        },
        "required": ["children", "next"],
    }
    schema = {"$defs": {"node": node}, "$ref": "#/$defs/node"}
    for seed in range(30):
        assert accepts(schema, generate(schema, random.Random(seed)))


@pytest.mark.parametrize(
    ("schema", "keyword"),
    [
        (False, "false"),
        (3, "schema"),
        ({"type": "text"}, "type"),
        ({"type": "string", "pattern": "a+"}, "pattern"),
        ({"not": {}}, "not"),
        ({"type": "string", "minLength": 3, "maxLength": 2}, "minLength"),
        ({"type": "string", "format": "uuid", "maxLength": 5}, "format"),
        ({"type": "string", "minLength": "x"}, "minLength"),
        ({"type": "string", "minLength": 10**9}, "minLength"),
        ({"type": "integer", "minimum": 3, "maximum": 2}, "minimum"),
        ({"type": "integer", "exclusiveMinimum": 3, "exclusiveMaximum": 4}, "exclusiveMinimum"),
        ({"type": "integer", "multipleOf": 0}, "multipleOf"),
        ({"type": "array", "minItems": 3, "maxItems": 2}, "minItems"),
        ({"type": "array", "minItems": 10**9}, "minItems"),
        ({"type": "array", "items": False, "minItems": 1}, "minItems"),
        ({"items": {"type": "null"}, "uniqueItems": True, "minItems": 2}, "uniqueItems"),
        ({"required": ["a"], "additionalProperties": False}, "required"),
        ({"minProperties": 1, "additionalProperties": False}, "minProperties"),
        ({"required": ["a", "b"], "maxProperties": 1}, "maxProperties"),
        ({"enum": []}, "enum"),
        ({"enum": [1], "type": "string"}, "enum"),
        ({"const": 1, "type": "string"}, "type"),
        ({"anyOf": [{"type": "string", "pattern": "a"}, False]}, "anyOf"),
        ({"oneOf": [{"type": "null"}, {"const": None}]}, "oneOf"),
        ({"allOf": [{"type": "string"}, {"type": "null"}]}, "type"),
        ({"$ref": "#/$defs/none"}, "$ref"),
        ({"$ref": "https://x.example/schema"}, "$ref"),
        ({"$ref": "#"}, "$ref"),
        ({"properties": {"a": {"$ref": "#"}}, "required": ["a"]}, "$ref"),
        ({"properties": 3}, "properties"),
    ],
)
def test_what_cannot_be_satisfied_is_refused_by_its_keyword(schema: Any, keyword: str) -> None:
    with pytest.raises(SchemaError) as caught:
        generate(schema, random.Random(1))
    assert caught.value.keyword == keyword
    assert f"'{keyword}'" in str(caught.value)


def test_a_property_that_cannot_be_made_is_left_out_if_it_may_be() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string", "pattern": "x"}}}
    assert generate(schema, random.Random(1)) == {}


def test_deep_nesting_is_refused() -> None:
    schema: Schema = {}
    for _ in range(200):
        schema = {"type": "array", "minItems": 1, "items": schema}
    with pytest.raises(SchemaError):
        generate(schema, random.Random(1))
