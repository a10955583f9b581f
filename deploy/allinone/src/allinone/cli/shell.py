"""What every command shares: consoles, and errors as one clear line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer
from bus.errors import BusError
from bus.migrate import NewerSchema
from devkit.simulator import ConfigError
from rich.console import Console
from runtime.server import PortTaken
from runtime.settings import BadSettings

from allinone.client import ClientError
from allinone.data_dir import DataDirError
from allinone.dead_letters import NoSuchDlq

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

EXPECTED = (
    BusError,
    ClientError,
    ConfigError,
    DataDirError,
    NewerSchema,
    NoSuchDlq,
    PortTaken,
    ValueError,
)


@contextmanager
def clear_errors() -> Iterator[None]:
    """End with status 1 and a message, without a traceback, on what a user can mend."""
    try:
        yield
    except BadSettings as error:
        err.print(f"limelight: {error.message}", markup=False, style="red")
        raise typer.Exit(2) from None
    except EXPECTED as error:
        err.print(f"limelight: {error}", markup=False, style="red")
        raise typer.Exit(1) from None
