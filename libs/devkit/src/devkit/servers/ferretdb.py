"""FerretDB as a local process: a server that speaks MongoDB's protocol, on SQLite files.

Built once by the Go toolchain from its module, whose checksum is pinned, and kept in the cache.
MongoDB itself is in no package registry.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from devkit.ports import free_port
from devkit.servers.local import LocalServer, ServerUnavailable, cache_dir, listens

MODULE = "github.com/FerretDB/FerretDB"
VERSION = "v1.24.2"
CHECKSUM = "h1:trrUU0LbmusMbyubhPS1IELncvrIwKrsRT2LW1UUWCw="
BUILD_TIMEOUT = 900.0


class FerretDBServer(LocalServer):
    """One server without authentication, reachable on the loopback interface only."""

    def __init__(self, data_dir: Path, binary: Path, port: int) -> None:
        command = [
            str(binary),
            "--handler=sqlite",
            f"--sqlite-url=file:{data_dir}/",
            f"--listen-addr=127.0.0.1:{port}",
            "--debug-addr=-",
            "--telemetry=disable",
            "--log-level=warn",
            f"--state-dir={data_dir}",
        ]
        self._port = port
        super().__init__("FerretDB", data_dir, command, lambda: listens(port))

    @classmethod
    def start(cls, data_dir: Path, *, port: int | None = None) -> FerretDBServer:
        """Start on the data in ``data_dir`` and wait until it answers.

        Raises:
            ServerUnavailable: there is no Go toolchain, or the module cannot be had.
            RuntimeError: it does not answer.
        """
        binary = ferretdb_binary()
        data_dir.mkdir(parents=True, exist_ok=True)
        server = cls(data_dir.resolve(), binary, port or free_port())
        server.launch()
        return server

    @property
    def url(self) -> str:
        """What a driver connects to."""
        return f"mongodb://127.0.0.1:{self._port}"


def ferretdb_binary() -> Path:
    """The program, built the first time. Raises ServerUnavailable."""
    binary = cache_dir() / f"ferretdb-{VERSION}"
    if not binary.is_file():
        if shutil.which("go") is None:
            raise ServerUnavailable("FerretDB: there is no Go toolchain (go) on PATH to build it")
        with tempfile.TemporaryDirectory(dir=cache_dir()) as work:
            built = _built(Path(work))
            # Somebody else may have finished first: their copy is as good as this one.
            with suppress(OSError):
                built.rename(binary)
    return binary


def _built(work: Path) -> Path:
    print(f"building FerretDB {VERSION} (a minute or two) ...", file=sys.stderr, flush=True)
    module = json.loads(_go(work, "mod", "download", "-json", f"{MODULE}@{VERSION}"))
    if module["Sum"] != CHECKSUM:
        raise ServerUnavailable(f"FerretDB: the module's checksum is not {CHECKSUM}")
    # A copy: it wants its version in a file that the module does not have.
    source = work / "source"
    shutil.copytree(module["Dir"], source, copy_function=shutil.copyfile)
    for folder in (source, *(path for path in source.rglob("*") if path.is_dir())):
        folder.chmod(0o755)
    (source / "build" / "version" / "version.txt").write_text(VERSION)
    _go(source, "build", "-tags", "ferretdb_sqlite", "-o", str(work / "ferretdb"), "./cmd/ferretdb")
    return work / "ferretdb"


def _go(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - our own command line
            ["go", *arguments],  # noqa: S607 - whichever go is on PATH
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=BUILD_TIMEOUT,
        )
    except subprocess.TimeoutExpired:
        raise ServerUnavailable(f"FerretDB: go did not end in {BUILD_TIMEOUT:.0f} s") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise ServerUnavailable(f"FerretDB: go {arguments[0]} failed: {last}")
    return done.stdout
