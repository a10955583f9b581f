"""House rules that a linter does not know: sizes, names, swallowed errors, stubs, metric names."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TypeGuard

import pytest

MODULE_LINES = 400
FUNCTION_LINES = 50
VAGUE = {"manager", "managers", "helper", "helpers", "util", "utils"}
METRIC_NAMES = "contracts/src/contracts/telemetry.py"
BLIND = {"Exception", "BaseException"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def parsed(source: Path) -> ast.Module:
    return ast.parse(source.read_text(encoding="utf-8"))


def long_functions(tree: ast.AST, limit: int = FUNCTION_LINES) -> list[str]:
    """Functions of more than ``limit`` lines, counted from ``def`` to the last one."""
    return [
        f"{node.name}: {_lines(node)} lines"
        for node in ast.walk(tree)
        if isinstance(node, Function) and _lines(node) > limit
    ]


def _lines(node: Function) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def swallowed(tree: ast.AST) -> list[int]:
    """Lines that catch everything and do nothing about it."""
    return [node.lineno for node in ast.walk(tree) if _drops_all(node) or _suppresses_all(node)]


def _drops_all(node: ast.AST) -> TypeGuard[ast.ExceptHandler]:
    return isinstance(node, ast.ExceptHandler) and _blind(node.type) and _idle(node.body)


def _suppresses_all(node: ast.AST) -> TypeGuard[ast.Call]:
    return (
        isinstance(node, ast.Call)
        and _name(node.func) == "suppress"
        and any(_blind(argument) for argument in node.args)
    )


def _blind(caught: ast.expr | None) -> bool:
    if isinstance(caught, ast.Tuple):
        return any(_blind(one) for one in caught.elts)
    return caught is None or _name(caught) in BLIND


def _idle(body: list[ast.stmt]) -> bool:
    return all(
        isinstance(statement, ast.Pass | ast.Continue)
        or (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))
        for statement in body
    )


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def not_implemented(tree: ast.AST) -> list[int]:
    """Lines that mention NotImplementedError."""
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and node.id == "NotImplementedError"
    ]


def vague_names(stem: str, tree: ast.AST) -> list[str]:
    """Names of the module and its classes that say nothing about what they do."""
    names = [stem, *(node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef))]
    return [name for name in names if VAGUE & set(words(name))]


def words(name: str) -> list[str]:
    """``HTTPServer_v2`` as http, server, v2."""
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+", name)
    return [part.lower() for part in parts]


def metric_names(tree: ast.AST) -> list[str]:
    """String literals that look like the name of a metric of ours."""
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and node.value.startswith("limelight_")
    ]


def test_modules_are_short(source: Path) -> None:
    assert len(source.read_text(encoding="utf-8").splitlines()) <= MODULE_LINES


def test_functions_are_short(source: Path) -> None:
    assert long_functions(parsed(source)) == []


def test_no_error_is_swallowed(source: Path) -> None:
    assert swallowed(parsed(source)) == []


def test_nothing_is_left_unimplemented(source: Path) -> None:
    assert not_implemented(parsed(source)) == []


def test_names_say_what_a_thing_does(source: Path) -> None:
    assert vague_names(source.stem, parsed(source)) == []


def test_metric_names_stand_in_telemetry_only(source: Path, source_name: str) -> None:
    if source_name == METRIC_NAMES:
        assert metric_names(parsed(source))
    else:
        assert metric_names(parsed(source)) == []


def test_a_long_function_is_found() -> None:
    tree = ast.parse("async def f():\n    a = 1\n    return a\n")
    assert long_functions(tree, limit=2) == ["f: 3 lines"]
    assert long_functions(tree, limit=3) == []


@pytest.mark.parametrize(
    "code",
    [
        "try:\n    f()\nexcept Exception:\n    pass",
        "try:\n    f()\nexcept BaseException as e:\n    ...",
        "try:\n    f()\nexcept:\n    'why'",
        "try:\n    f()\nexcept (ValueError, Exception):\n    pass",
        "with contextlib.suppress(Exception):\n    f()",
    ],
)
def test_a_swallowed_error_is_found(code: str) -> None:
    assert swallowed(ast.parse(code))


@pytest.mark.parametrize(
    "code",
    [
        "try:\n    f()\nexcept KeyError:\n    pass",
        "try:\n    f()\nexcept Exception:\n    log()",
        "with suppress(KeyError):\n    f()",
    ],
)
def test_a_handled_error_is_let_through(code: str) -> None:
    assert swallowed(ast.parse(code)) == []


def test_a_stub_is_found() -> None:
    assert not_implemented(ast.parse("def f():\n    raise NotImplementedError\n")) == [2]


@pytest.mark.parametrize(
    ("stem", "code", "found"),
    [
        ("string_utils", "", ["string_utils"]),
        ("relay", "class LeaseManager: ...", ["LeaseManager"]),
        ("relay", "class HTTPHelper: ...", ["HTTPHelper"]),
        ("utilization", "class Managed: ...", []),
    ],
)
def test_a_vague_name_is_found(stem: str, code: str, found: list[str]) -> None:
    assert vague_names(stem, ast.parse(code)) == found


def test_a_metric_name_is_found() -> None:
    assert metric_names(ast.parse("COUNT = 'limelight_answers_total'")) == [
        "limelight_answers_total"
    ]
