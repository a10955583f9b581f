"""Run the simulator alone: ``python -m devkit.simulator --port 4010 --config truth.toml``."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from pathlib import Path

from devkit.simulator.config import SimulatorConfig, default_config, load_config
from devkit.simulator.server import serve
from devkit.simulator.tables import ConfigError


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM; 2 if the configuration or the address cannot be used."""
    options = _parser().parse_args(arguments)
    try:
        config = load_config(options.config) if options.config else default_config()
        asyncio.run(_run(config, options.host, options.port))
    except (ConfigError, OSError) as error:
        print(f"simulator: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="devkit.simulator", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=4010, help="0 picks a free port")
    parser.add_argument("--config", type=Path, help="TOML or JSON file; default: built-in demo")
    return parser


async def _run(config: SimulatorConfig, host: str, port: int) -> None:
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    async with await serve(config, host, port) as simulator:
        print(f"simulator listening on {simulator.base_url}", flush=True)
        await ended.wait()


if __name__ == "__main__":
    sys.exit(main())
