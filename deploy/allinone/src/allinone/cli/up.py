"""``limelight up`` and ``limelight simulator``."""

from __future__ import annotations

import os
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from allinone.cli.shell import clear_errors, out
from allinone.options import Options

if TYPE_CHECKING:  # commands that only ask a running Limelight need not load it
    from allinone.app import AllInOne


def up() -> None:
    """Run the whole platform in this process, until Ctrl-C.

    LIMELIGHT_PORT (8080), LIMELIGHT_HOST (127.0.0.1) and LIMELIGHT_DATA_DIR (.limelight) choose
    where.
    """
    with clear_errors():
        configure_logs("INFO")
        run(_serve(Options.from_environment()))


def simulator(
    port: Annotated[int, typer.Option(help="0 picks a free one")] = 8100,
    host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
    config: Annotated[Path | None, typer.Option(help="TOML or JSON of its ground truth")] = None,
) -> None:
    """Run the provider simulator alone: OpenAI's and Anthropic's wire formats, known opinions.

    Models, prices, quotas and faults are declared in its file; faults also by a request's header.
    """
    with clear_errors():
        run(_simulate(host, port, config))


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run it on the event loop of the services."""
    import uvloop  # noqa: PLC0415

    uvloop.run(work)


def configure_logs(default_level: str) -> None:
    """Logs for people on a terminal, JSON elsewhere; LIMELIGHT_LOG_LEVEL and _FORMAT choose."""
    from runtime import logging  # noqa: PLC0415

    from allinone.app import NAME  # noqa: PLC0415

    level = os.environ.get("LIMELIGHT_LOG_LEVEL") or default_level
    style = os.environ.get("LIMELIGHT_LOG_FORMAT", "console" if out.is_terminal else "json")
    logging.configure(NAME, level, style)


def say_where(limelight: AllInOne) -> None:
    """Print the addresses and the key."""
    out.print(f"API docs   {limelight.url}/docs")
    out.print(f"API key    {limelight.data.demo_key()}")
    out.print(f"           (also in {limelight.data.path / 'demo-key'})", soft_wrap=True)
    out.print(f"Health     {limelight.ops_url}/readyz  metrics {limelight.ops_url}/metrics")


async def _serve(options: Options) -> None:
    from bus.host import until_ended  # noqa: PLC0415

    from allinone.app import AllInOne  # noqa: PLC0415

    limelight = AllInOne(options)
    await limelight.start()
    say_where(limelight)
    out.print("Running. Ctrl-C stops it.")
    await until_ended()
    await limelight.stop()


async def _simulate(host: str, port: int, config: Path | None) -> None:
    from bus.host import until_ended  # noqa: PLC0415
    from devkit.simulator import default_config, load_config, serve  # noqa: PLC0415

    running = await serve(default_config() if config is None else load_config(config), host, port)
    out.print("Simulated provider, any key will do:")
    out.print(f"  openai SDK     base_url {running.base_url}")
    out.print(f"  anthropic SDK  base_url {running.root_url}")
    out.print("Ctrl-C stops it.")
    await until_ended()
    await running.stop()
