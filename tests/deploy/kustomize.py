"""Builds overlays with kustomize: from PATH, from the cache, built by Go, or kubectl's own."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from devkit.servers.local import cache_dir

VERSION = "v5.8.1"
MODULE = "sigs.k8s.io/kustomize/kustomize/v5"
SECONDS = 600


@cache
def built(overlay: Path) -> list[dict[str, Any]]:
    """Every object of an overlay. The test is skipped where there is no way to kustomize."""
    command = _command()
    if command is None:
        pytest.skip("kustomize, kubectl or a Go toolchain is not on PATH")
    done = subprocess.run(
        [*command, str(overlay)], capture_output=True, text=True, check=False, timeout=SECONDS
    )
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


@cache
def _command() -> list[str] | None:
    if found := shutil.which("kustomize"):
        return [found, "build"]
    cached = cache_dir() / f"kustomize-{VERSION}"
    if cached.is_file() or _install(cached):
        return [str(cached), "build"]
    if found := shutil.which("kubectl"):
        return [found, "kustomize"]
    return None


def _install(binary: Path) -> bool:
    """Build it into the cache; its sources are checked against Go's checksum database."""
    go = shutil.which("go")
    if go is None:
        return False
    folder = cache_dir() / f"kustomize-{VERSION}.{os.getpid()}"
    done = subprocess.run(
        [go, "install", f"{MODULE}@{VERSION}"],
        env=os.environ | {"GOBIN": str(folder)},
        capture_output=True,
        check=False,
        timeout=SECONDS,
    )
    if done.returncode == 0:
        (folder / "kustomize").replace(binary)
    shutil.rmtree(folder, ignore_errors=True)
    return done.returncode == 0


if __name__ == "__main__":
    if _command() is None:
        print("No kustomize can be had here: tests of the manifests are skipped.")
