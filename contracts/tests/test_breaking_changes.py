"""Each kind of breaking change is caught, at its place, and harmless changes are not."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Annotated, Literal
from uuid import UUID

import pytest
from contracts.compatibility import Change, breaking_changes
from contracts.json_schema import Json, payload_schema
from contracts.topics import TOPICS
from pydantic import BaseModel, Field

Edit = Callable[[Json], object]


class Address(BaseModel):
    street: str
    kind: Literal["home", "work"]
    zip: str = ""


class Order(BaseModel):
    order_id: UUID
    state: Literal["open", "paid"]
    currency: Literal["EUR"] = "EUR"
    amount: Annotated[int, Field(ge=0, lt=100)]
    note: Annotated[str, Field(max_length=20)] | None = None
    ship_to: Address
    bill_to: Address | None = None
    others: tuple[Address, ...] = ()
    tags: dict[str, int] = {}


class Tree(BaseModel):
    name: str
    parent: Tree | None = None
    children: tuple[Tree, ...] = ()


ORDER: Json = Order.model_json_schema()


def found(edit: Edit) -> list[Change]:
    edited = deepcopy(ORDER)
    edit(edited)
    assert edited != ORDER, "the edit changed nothing"
    return breaking_changes(ORDER, edited)


def prop(schema: Json, name: str) -> Json:
    field: Json = schema["properties"][name]
    return field


def address(schema: Json) -> Json:
    part: Json = schema["$defs"]["Address"]
    return part


def add_required(schema: Json) -> None:
    schema["properties"]["shop"] = {"type": "string"}
    schema["required"].append("shop")


def drop_part_field(schema: Json) -> None:
    del address(schema)["properties"]["zip"]


BREAKING: list[tuple[str, Edit, str, str]] = [
    ("field removed", lambda s: s["properties"].pop("tags"), "tags", "field-removed"),
    ("field in a part removed", drop_part_field, "ship_to.zip", "field-removed"),
    ("in a list of parts", drop_part_field, "others[].zip", "field-removed"),
    ("in an optional part", drop_part_field, "bill_to.zip", "field-removed"),
    ("new required field", add_required, "shop", "required-field-added"),
    (
        "optional becomes required",
        lambda s: s["required"].append("note"),
        "note",
        "field-became-required",
    ),
    (
        "in a part",
        lambda s: address(s)["required"].append("zip"),
        "ship_to.zip",
        "field-became-required",
    ),
    (
        "required becomes optional",
        lambda s: s["required"].remove("amount"),
        "amount",
        "field-became-optional",
    ),
    ("another type", lambda s: prop(s, "amount").update(type="string"), "amount", "type-changed"),
    ("wider type", lambda s: prop(s, "amount").update(type="number"), "amount", "type-changed"),
    ("another format", lambda s: prop(s, "order_id").pop("format"), "order_id", "type-changed"),
    ("null not allowed any more", lambda s: prop(s, "note")["anyOf"].pop(), "note", "type-changed"),
    (
        "null allowed",
        lambda s: s["properties"].update(state={"anyOf": [prop(s, "state"), {"type": "null"}]}),
        "state",
        "type-changed",
    ),
    (
        "another part",
        lambda s: s["properties"].update(ship_to={"type": "string"}),
        "ship_to",
        "type-changed",
    ),
    (
        "items of another type",
        lambda s: prop(s, "others").update(items={"type": "string"}),
        "others[]",
        "type-changed",
    ),
    (
        "values of another type",
        lambda s: prop(s, "tags").update(additionalProperties={"type": "string"}),
        "tags{}",
        "type-changed",
    ),
    (
        "closed to unknown fields",
        lambda s: s.update(additionalProperties=False),
        "${}",
        "type-changed",
    ),
    ("value removed", lambda s: prop(s, "state")["enum"].pop(), "state", "enum-value-removed"),
    (
        "value added to a closed list",
        lambda s: prop(s, "state")["enum"].append("void"),
        "state",
        "enum-value-added",
    ),
    (
        "value added in a part",
        lambda s: address(s)["properties"]["kind"]["enum"].append("other"),
        "ship_to.kind",
        "enum-value-added",
    ),
    (
        "value added to a single one",
        lambda s: s["properties"].update(
            currency={"type": "string", "default": "EUR", "enum": ["EUR", "USD"]}
        ),
        "currency",
        "enum-value-added",
    ),
    ("list becomes open", lambda s: prop(s, "state").pop("enum"), "state", "type-changed"),
    (
        "open becomes a list",
        lambda s: address(s)["properties"]["street"].update(enum=["Main Street"]),
        "ship_to.street",
        "type-changed",
    ),
    ("tighter limit", lambda s: prop(s, "amount").update(minimum=1), "amount", "limit-changed"),
    (
        "looser limit",
        lambda s: prop(s, "amount").update(exclusiveMaximum=1000),
        "amount",
        "limit-changed",
    ),
    ("limit dropped", lambda s: prop(s, "amount").pop("minimum"), "amount", "limit-changed"),
    (
        "limit inside a union",
        lambda s: prop(s, "note")["anyOf"][0].update(maxLength=10),
        "note",
        "limit-changed",
    ),
    (
        "new pattern",
        lambda s: address(s)["properties"]["zip"].update(pattern="^[0-9]+$"),
        "ship_to.zip",
        "limit-changed",
    ),
    ("another key", lambda s: s.update({"x-key": "amount"}), "$", "limit-changed"),
    (
        "another default",
        lambda s: address(s)["properties"]["zip"].update(default="0"),
        "ship_to.zip",
        "default-changed",
    ),
]


@pytest.mark.parametrize(
    ("edit", "path", "rule"), [case[1:] for case in BREAKING], ids=[case[0] for case in BREAKING]
)
def test_breaking_change_is_caught(edit: Edit, path: str, rule: str) -> None:
    assert (path, rule) in {(change.path, change.rule) for change in found(edit)}


def rename_part(schema: Json) -> None:
    schema["$defs"]["PostalAddress"] = schema["$defs"].pop("Address")
    for field in (prop(schema, "ship_to"), prop(schema, "others")["items"]):
        field["$ref"] = "#/$defs/PostalAddress"
    prop(schema, "bill_to")["anyOf"][0]["$ref"] = "#/$defs/PostalAddress"


HARMLESS: list[tuple[str, Edit]] = [
    ("new optional field", lambda s: s["properties"].update(shop={"type": "string"})),
    ("in a part", lambda s: address(s)["properties"].update(city={"type": "string"})),
    ("description", lambda s: prop(s, "amount").update(description="in cents")),
    ("title", lambda s: s.update(title="Purchase")),
    ("identity", lambda s: s.update({"$id": "urn:limelight:event:order.placed.v1"})),
    ("order of values", lambda s: prop(s, "state")["enum"].reverse()),
    ("order of alternatives", lambda s: prop(s, "note")["anyOf"].reverse()),
    ("order of required", lambda s: s["required"].reverse()),
    ("name of a part", rename_part),
    ("unknown fields said to be welcome", lambda s: s.update(additionalProperties=True)),
]


@pytest.mark.parametrize("edit", [edit for _, edit in HARMLESS], ids=[name for name, _ in HARMLESS])
def test_harmless_change_is_let_through(edit: Edit) -> None:
    assert found(edit) == []


def test_parts_that_contain_themselves() -> None:
    old = Tree.model_json_schema()
    new = deepcopy(old)
    assert breaking_changes(old, new) == []
    del new["$defs"]["Tree"]["properties"]["name"]
    assert "field-removed" in {change.rule for change in breaking_changes(old, new)}


def test_a_change_reads_as_a_sentence() -> None:
    [change] = found(lambda s: s["properties"].pop("tags"))
    assert str(change) == "tags: field-removed: old readers may need it"


def objects(schema: Json) -> list[Json]:
    return [schema, *schema.get("$defs", {}).values()]


REAL_FIELDS = [
    (topic.name, index, name)
    for topic in TOPICS
    for index, part in enumerate(objects(payload_schema(topic)))
    for name in part.get("properties", ())
]


@pytest.mark.parametrize(("topic_name", "index", "field"), REAL_FIELDS)
def test_removing_or_retyping_any_real_field_is_caught(
    topic_name: str, index: int, field: str
) -> None:
    topic = next(topic for topic in TOPICS if topic.name == topic_name)
    old, removed, retyped = (payload_schema(topic) for _ in range(3))
    assert breaking_changes(old, removed) == []
    del objects(removed)[index]["properties"][field]
    assert breaking_changes(old, removed)
    objects(retyped)[index]["properties"][field] = {"type": "object"}
    assert breaking_changes(old, retyped)
