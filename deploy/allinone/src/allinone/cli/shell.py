"""What every command shares: consoles, and errors as one clear line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


@contextmanager
def clear_errors() -> Iterator[None]:
    """On what a user can mend: a message without a traceback, and status 1 (settings: 2)."""
    try:
        yield
    except (Exception, SystemExit) as error:
        status, message = _told(error)
        if not status:
            raise
        err.print(f"limelight: {message}", markup=False, style="red", soft_wrap=True)
        raise typer.Exit(status) from None


def _told(error: BaseException) -> tuple[int, str]:
    """Exit status and message for what is expected; status 0 for a defect.

    Most commands load none of these packages: they are looked at once something went wrong.
    """
    from bus.errors import BusError  # noqa: PLC0415
    from bus.migrate import NewerSchema  # noqa: PLC0415
    from runtime.server import PortTaken  # noqa: PLC0415
    from runtime.settings import BadSettings  # noqa: PLC0415

    from allinone.client import ClientError  # noqa: PLC0415
    from allinone.data_dir import DataDirError  # noqa: PLC0415
    from allinone.dead_letters import NoSuchDlq  # noqa: PLC0415

    expected = (BusError, ClientError, DataDirError, NewerSchema, NoSuchDlq, PortTaken, ValueError)
    if isinstance(error, typer.Exit):
        return 0, ""
    if isinstance(error, BadSettings):
        return 2, error.message
    if isinstance(error, OSError) and not isinstance(error, expected):
        return _told_of_system(error)
    return (1, str(error)) if isinstance(error, expected) else (0, "")


def _told_of_system(error: OSError) -> tuple[int, str]:
    """A file or an address that cannot be used. A reader that has gone is no error of ours."""
    if error.strerror is None or isinstance(error, BrokenPipeError):
        return 0, ""
    if error.filename is None:
        return 1, error.strerror
    return 1, f"{error.filename} cannot be used: {error.strerror}"
