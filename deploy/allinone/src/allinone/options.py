"""Where an all-in-one keeps its data and which ports it serves: cheap to read for every command."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

DEFAULT_DIR = ".limelight"


@dataclass(frozen=True)
class Options:
    """Where it keeps its data and which port it serves."""

    data_dir: Path
    port: int = 8080
    host: str = "127.0.0.1"
    ops_port: int = 0
    shutdown_seconds: float = 20.0
    simulator_config: Path | None = None

    @classmethod
    def from_environment(cls) -> Options:
        """Read ``LIMELIGHT_DATA_DIR``, ``_PORT``, ``_HOST``, ``_OPS_PORT``, ``_SIMULATOR_CONFIG``.

        Raises:
            ValueError: a port is not a number.
        """
        simulator_config = os.environ.get("LIMELIGHT_SIMULATOR_CONFIG")
        return cls(
            data_dir=Path(os.environ.get("LIMELIGHT_DATA_DIR", DEFAULT_DIR)),
            port=_port("LIMELIGHT_PORT", 8080),
            host=os.environ.get("LIMELIGHT_HOST", "127.0.0.1"),
            ops_port=_port("LIMELIGHT_OPS_PORT", 0),
            simulator_config=None if simulator_config is None else Path(simulator_config),
        )


def _port(variable: str, default: int) -> int:
    text = os.environ.get(variable, str(default))
    if not text.isdecimal() or int(text) > 65535:
        raise ValueError(f"{variable} is {text!r}: give a port from 0 to 65535")
    return int(text)
