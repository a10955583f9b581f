"""Settings of the log: which go together, and what is said when half of them are there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from runtime.settings import BadSettings, ServiceSettings, load

TLS = "kafka+ssl://broker:9093"
SASL = {"log_sasl_mechanism": "SCRAM-SHA-512", "log_username": "ada", "log_password": "tulips"}


@pytest.fixture
def pem(tmp_path: Path) -> Path:
    path = tmp_path / "some.pem"
    path.touch()
    return path


def refused(**values: Any) -> str:
    with pytest.raises(BadSettings) as caught:
        load(ServiceSettings, **values)
    return caught.value.message


def test_what_goes_together(pem: Path) -> None:
    load(ServiceSettings, log_url="kafka://broker:9092", **SASL)
    load(ServiceSettings, log_url=TLS)
    load(ServiceSettings, log_url=TLS, log_ca_file=pem, **SASL)
    load(ServiceSettings, log_url=TLS, log_cert_file=pem, log_key_file=pem)


@pytest.mark.parametrize("left_out", SASL)
def test_a_user_needs_all_three(left_out: str) -> None:
    given = {name: value for name, value in SASL.items() if name != left_out}
    said = refused(log_url=TLS, **given)
    assert f"so set LIMELIGHT_{left_out.upper()} too" in said
    assert "tulips" not in said


@pytest.mark.parametrize("field", ["log_ca_file", "log_cert_file", "log_key_file"])
def test_certificates_need_tls(pem: Path, field: str) -> None:
    said = refused(log_url="kafka://broker:9092", **{field: pem})
    assert f"LIMELIGHT_{field.upper()} is for TLS" in said


@pytest.mark.parametrize("field", ["log_cert_file", "log_key_file"])
def test_a_certificate_needs_its_key(pem: Path, field: str) -> None:
    said = refused(log_url=TLS, **{field: pem})
    assert "set both of LIMELIGHT_LOG_CERT_FILE and LIMELIGHT_LOG_KEY_FILE" in said


def test_a_file_that_is_not_there() -> None:
    assert "LIMELIGHT_LOG_CA_FILE: " in refused(log_url=TLS, log_ca_file="/nowhere/ca.pem")


def test_a_local_log_has_no_user() -> None:
    assert "names another log" in refused(log_url="local:log.db", **SASL)


def test_a_password_in_the_url_is_refused_and_not_repeated() -> None:
    said = refused(log_url="kafka://ada:tulips@broker:9092")
    assert "LIMELIGHT_LOG_USERNAME" in said
    assert "tulips" not in said


def test_an_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*SASL, "log_ca_file", "instance", "ops_port"):
        monkeypatch.setenv(f"LIMELIGHT_{name.upper()}", "")
    settings = load(ServiceSettings)
    assert (settings.log_username, settings.instance, settings.ops_port) == (None, "", 9090)


def test_a_password_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SASL.items():
        monkeypatch.setenv(f"LIMELIGHT_{name.upper()}", value)
    settings = load(ServiceSettings, log_url=TLS)
    assert settings.log_password is not None
    assert settings.log_password.get_secret_value() == "tulips"
    assert "tulips" not in repr(settings)
