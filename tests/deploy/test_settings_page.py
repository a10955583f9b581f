"""docs/settings.md says what the services can be told, and keeps up with them."""

from __future__ import annotations

from pathlib import Path

import pytest
from deploy import settings_page
from tests.deploy.settings_of import SERVICES, known_variables, provider_keys, required_variables


@pytest.fixture(scope="module")
def text() -> str:
    return settings_page.page()


def test_the_committed_page_is_up_to_date() -> None:
    assert settings_page.main(["--check"]) == 0


def test_another_page_is_noticed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "settings.md"
    assert settings_page.main(["--check"], page) == 1
    assert settings_page.main([], page) == 0
    assert settings_page.main(["--check"], page) == 0
    page.write_text(page.read_text().replace("9090", "9091"))
    assert settings_page.main(["--check"], page) == 1
    assert "run python -m deploy.settings_page" in capsys.readouterr().err


@pytest.mark.parametrize("service", SERVICES)
def test_every_variable_of_a_service_is_there(text: str, service: str) -> None:
    section = text.partition(f"## {service}\n")[2].partition("\n## ")[0]
    common = text.partition("## Every service")[2].partition("\n## ")[0]
    for variable in known_variables(service) - provider_keys():
        (row,) = [line for line in (common + section).splitlines() if f"| `{variable}` |" in line]
        assert ("**required**" in row) == (variable in required_variables(service))
        assert row.split("|")[-2].strip(), "says what it is for"


def test_secrets_are_marked(text: str) -> None:
    marked = [line for line in text.splitlines() if "| yes |" in line]
    assert any("LIMELIGHT_LOG_PASSWORD" in line for line in marked)
    assert any("LIMELIGHT_BOOTSTRAP_KEY" in line for line in marked)
    assert not any("_FILE" in line or "_PORT" in line for line in marked)
