"""What a service can be told: the names that its environment may have."""

from __future__ import annotations

import tomllib
from importlib import import_module
from pathlib import Path

from contracts.topics import TOPICS
from runtime.settings import ServiceSettings

REPOSITORY = Path(__file__).resolve().parents[2]
SERVICES = sorted({name for topic in TOPICS for name in (*topic.consumers, *topic.producers)})
PROVIDERS = "llm-executor"
BUILT_IN = REPOSITORY / "services/llm-executor/src/llm_executor/adapters/providers.toml"


def known_variables(service: str) -> set[str]:
    """Every variable that the service reads."""
    fields = {f"LIMELIGHT_{name.upper()}" for name in _settings(service).model_fields}
    return fields | (provider_keys() if service == PROVIDERS else set())


def required_variables(service: str) -> set[str]:
    """Those without which it does not start."""
    fields = _settings(service).model_fields.items()
    return {f"LIMELIGHT_{name.upper()}" for name, field in fields if field.is_required()}


def provider_keys() -> set[str]:
    """The variables of the built-in providers' keys."""
    providers = tomllib.loads(BUILT_IN.read_text())
    return {
        account["api_key_env"]
        for account in providers.values()
        if isinstance(account, dict) and "api_key_env" in account
    }


def common_variables() -> set[str]:
    """What every service reads."""
    return {f"LIMELIGHT_{name.upper()}" for name in ServiceSettings.model_fields}


def _settings(service: str) -> type[ServiceSettings]:
    module = import_module(f"{service.replace('-', '_')}.settings")
    found: type[ServiceSettings] = module.Settings
    return found
