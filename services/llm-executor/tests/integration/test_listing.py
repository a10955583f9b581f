"""Reading lists of models: the three shapes, and whatever else a provider may send."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm_executor.adapters.listing import next_page, read_catalog, version_of
from llm_executor.adapters.wire import EventReader, Malformed, data_url, parsed, usd
from llm_executor.domain.models import ListedModel

LISTED: dict[str, Any] = {
    "id": "openai/gpt-5",
    "context_length": 400_000,
    "architecture": {"input_modalities": ["text", "image"], "output_modalities": ["text"]},
    "top_provider": {"max_completion_tokens": 128_000},
    "supported_parameters": ["seed", "max_tokens"],
    "pricing": {
        "prompt": "0.00000125",
        "completion": "0.00001",
        "request": "0",
        "image": "0.001",
        "web_search": "0.01",
        "internal_reasoning": "0.00001",
        "input_cache_read": "0.000000125",
        "input_cache_write": "0.000002",
        "discount": 0,
    },
}


def listed(*items: object) -> tuple[ListedModel, ...]:
    return read_catalog("acme", [{"data": list(items)}], simulated=False).models


def prices(**changes: object) -> Any:
    return listed({**LISTED, "pricing": {**LISTED["pricing"], **changes}})[0].prices


def test_openrouters_list_is_read_exactly() -> None:
    assert listed(LISTED) == (
        ListedModel(
            name="openai/gpt-5",
            context_tokens=400_000,
            max_output_tokens=128_000,
            input_modalities=("image", "text"),
            output_modalities=("text",),
            parameters=("max_tokens", "seed"),
            prices={
                "input": Decimal("0.00000125"),
                "output": Decimal("0.00001"),
                "request": Decimal("0"),
                "cached_input": Decimal("0.000000125"),
                "cache_write": Decimal("0.000002"),
                "reasoning": Decimal("0.00001"),
                "image": Decimal("0.001"),
                "web_search": Decimal("0.01"),
            },
        ),
    )


def test_openais_list_has_names_alone() -> None:
    item = {"id": "gpt-5", "object": "model", "created": 1, "owned_by": "openai"}
    assert listed(item) == (ListedModel("gpt-5"),)


def test_googles_names_are_those_it_is_called_by() -> None:
    assert listed({"id": "models/gemini-3"})[0].name == "gemini-3"


def test_anthropics_list_has_limits_and_senses() -> None:
    sees = {"image_input": {"supported": True}}
    item = {"id": "claude-1", "max_input_tokens": 200_000, "max_tokens": 64, "capabilities": sees}
    blind = {"id": "claude-0", "capabilities": {"image_input": {"supported": False}}}
    assert listed(item, blind) == (
        ListedModel("claude-0"),
        ListedModel("claude-1", 200_000, 64, ("image", "text")),
    )


@pytest.mark.parametrize("name", ["context_window", "max_model_len"])
def test_other_names_of_the_context_are_known(name: str) -> None:
    assert listed({"id": "llama", name: 8192})[0].context_tokens == 8192


@pytest.mark.parametrize("price", ["-1", "free", "", None, "NaN", "Infinity", [], True, "1e99"])
@pytest.mark.parametrize("name", ["prompt", "completion", "request", "input_cache_read"])
def test_a_price_that_is_none_leaves_no_prices(name: str, price: object) -> None:
    assert prices(**{name: price}) is None


def test_a_price_beside_the_ordinary_call_may_be_none() -> None:
    found = prices(web_search="?", image="-1")
    assert found is not None
    assert found.keys() & {"web_search", "image"} == set()
    assert found["input"] == Decimal("0.00000125")


def test_without_a_main_price_there_are_no_prices() -> None:
    assert listed({**LISTED, "pricing": {"prompt": "1"}})[0].prices is None
    assert listed({**LISTED, "pricing": "free"})[0].prices is None


def test_what_is_no_model_is_skipped_and_the_rest_kept() -> None:
    odd: list[object] = [
        None,
        5,
        [],
        {},
        {"id": 5},
        {"id": ""},
        {"id": "a\x00b"},
        {"id": "x" * 9999},
    ]
    found = listed(*odd, {"id": "fine"}, *odd, {"id": "fine", "context_length": 1})
    assert found == (ListedModel("fine"),)


@pytest.mark.parametrize("page", [None, [], {}, {"data": {}}, {"error": "no"}, "models"])
def test_what_is_no_list_is_malformed(page: object) -> None:
    with pytest.raises(Malformed):
        read_catalog("acme", [page], simulated=False)


def test_pages_end_when_they_say_so() -> None:
    assert next_page({"has_more": True, "last_id": "a"}) == "a"
    for page in ({"has_more": False, "last_id": "a"}, {"has_more": True}, {}, None, 5):
        assert next_page(page) is None


def test_the_version_follows_from_the_content_alone() -> None:
    shuffled = {**LISTED, "supported_parameters": ["max_tokens", "seed"]}
    shuffled["pricing"] = {**LISTED["pricing"], "prompt": "0.000001250", "request": "0.0"}
    other = {"id": "other"}
    one = read_catalog("acme", [{"data": [LISTED, other]}], simulated=False)
    two = read_catalog("acme", [{"data": [other]}, {"data": [shuffled]}], simulated=True)
    assert one.version == two.version == version_of(reversed(one.models))
    assert len(one.version) == 12


@pytest.mark.parametrize(
    "change",
    [
        {"id": "openai/gpt-6"},
        {"context_length": 1},
        {"top_provider": {}},
        {"architecture": {}},
        {"supported_parameters": []},
        {"pricing": {**LISTED["pricing"], "prompt": "0.00000126"}},
        {"pricing": {**LISTED["pricing"], "web_search": "0.02"}},
        {"pricing": None},
    ],
)
def test_every_change_changes_the_version(change: dict[str, Any]) -> None:
    assert version_of(listed(LISTED)) != version_of(listed({**LISTED, **change}))


KEYS = (*LISTED, *LISTED["pricing"], "input_modalities", "max_completion_tokens", "data")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just("-0.1"),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6)
    ),
    max_leaves=25,
)
ITEMS = JSON | st.fixed_dictionaries(
    {"id": st.text(min_size=1, max_size=5)},
    optional={"pricing": JSON, "architecture": JSON, "top_provider": JSON, "context_length": JSON},
)


@given(st.lists(ITEMS, max_size=6), st.randoms(use_true_random=False))
def test_any_list_is_read_the_same_in_any_order(items: list[Any], rng: random.Random) -> None:
    # Of two entries of one name the first counts, so that names must differ for this.
    seen: dict[object, Any] = {}
    for item in items:
        name = item.get("id") if isinstance(item, dict) else None
        seen.setdefault(repr(name).removeprefix("'models/"), item)
    items = list(seen.values())
    catalog = read_catalog("acme", [{"data": items}], simulated=False)
    rng.shuffle(items)
    again = read_catalog("acme", [{"data": items}], simulated=False)
    assert catalog == again
    for model in catalog.models:
        assert model.name
        assert all(price >= 0 for price in (model.prices or {}).values())
        assert model.context_tokens is None or model.context_tokens > 0


@given(JSON)
def test_no_page_breaks_the_reader(page: object) -> None:
    try:
        read_catalog("acme", [page], simulated=False)
    except Malformed:
        assert not isinstance(page, dict) or not isinstance(page.get("data"), list)


# The pieces it is made of.


@given(st.binary(max_size=60))
def test_bytes_are_json_or_malformed(raw: bytes) -> None:
    try:
        parsed(raw)
    except Malformed:
        return


def test_numbers_with_a_point_are_exact() -> None:
    assert parsed(b'{"cost": 0.10000000000000000001}') == {
        "cost": Decimal("0.10000000000000000001")
    }


@pytest.mark.parametrize("raw", [b"1e99999999999999999999", b"NaN", b"-Infinity", b"[" * 99_999])
def test_numbers_that_are_none_are_malformed(raw: bytes) -> None:
    with pytest.raises(Malformed):
        parsed(raw)


@given(st.decimals(min_value=0, max_value=10**9, places=12))
def test_amounts_are_kept_as_written(amount: Decimal) -> None:
    assert usd(str(amount)) == amount
    assert str(usd(amount)) == str(amount)


@given(
    st.lists(st.text(st.characters(exclude_characters="\r\n", codec="utf-8")), max_size=4),
    st.sampled_from([b"\n", b"\r\n"]),
    st.data(),
)
def test_events_are_the_same_however_they_are_cut(
    texts: list[str], end: bytes, draw: st.DataObject
) -> None:
    sent = [text.encode() for text in texts]
    whole = b"".join(
        b": comment" + end + b"event: x" + end + b"data: " + data + end + b"data:more" + end + end
        for data in sent
    )
    reader, found, at = EventReader(), [], 0
    while at < len(whole):
        size = draw.draw(st.integers(1, 9))
        found += reader.feed(whole[at : at + size])
        at += size
    assert found == [data + b"\nmore" for data in sent]


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("data:image/png;base64,aGk=", ("image/png", "aGk=")),
        ("data:image/png;name=a.png;base64,aGk=", ("image/png", "aGk=")),
        ("data:text/plain,hi", None),
        ("https://example.com/a.png?data:,", None),
        ("", None),
    ],
)
def test_data_urls_are_taken_apart(address: str, parts: tuple[str, str] | None) -> None:
    assert data_url(address) == parts
