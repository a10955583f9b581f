"""Jars of a server, resolved by Maven once and kept in the cache."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from devkit.servers.local import ServerUnavailable, cache_dir

TIMEOUT = 600.0


@dataclass(frozen=True)
class Jars:
    """What ``jars/<folder>/pom.xml`` depends on, with ``<folder>.version`` set."""

    title: str
    folder: str
    version: str
    megabytes: int

    def path(self) -> Path:
        """The directory with the jars, downloaded the first time.

        Raises:
            ServerUnavailable: Maven is missing, or the registry did not deliver.
        """
        jars = cache_dir() / f"{self.folder}-{self.version}"
        if not jars.is_dir():
            if shutil.which("mvn") is None:
                raise ServerUnavailable(
                    f"{self.title}: Maven (mvn) is not on PATH to fetch its jars"
                )
            with tempfile.TemporaryDirectory(dir=cache_dir()) as work:
                self._download(Path(work))
                # Somebody else may have finished first: their copy is as good as this one.
                with contextlib.suppress(OSError):
                    (Path(work) / "jars").rename(jars)
        return jars

    def _download(self, work: Path) -> None:
        told = f"resolving {self.title} {self.version} (about {self.megabytes} MB) ..."
        print(told, file=sys.stderr, flush=True)
        pom = resources.files("devkit.servers").joinpath("jars", self.folder, "pom.xml").read_text()
        (work / "pom.xml").write_text(pom)
        command = ["mvn", "-q", "-B", "dependency:copy-dependencies", "-DincludeScope=runtime"]
        command += [f"-D{self.folder}.version={self.version}", f"-DoutputDirectory={work / 'jars'}"]
        try:
            done = subprocess.run(  # noqa: S603 - our own command line
                command, cwd=work, capture_output=True, text=True, check=False, timeout=TIMEOUT
            )
        except subprocess.TimeoutExpired:
            raise ServerUnavailable(
                f"{self.title}: Maven did not finish in {TIMEOUT:.0f} s"
            ) from None
        if done.returncode:
            lines = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout + done.stderr).splitlines()
            errors = [line for line in lines if line.startswith("[ERROR]")]
            raise ServerUnavailable(f"{self.title}: Maven failed: {(errors or ['no output'])[0]}")
