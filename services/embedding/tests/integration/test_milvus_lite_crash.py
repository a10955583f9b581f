"""What Milvus Lite has acknowledged is there after a SIGKILL."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from embedding.adapters.milvus import MilvusVectorIndex
from embedding.domain.models import UserKey, UserPoint
from services.embedding.tests import milvus_writer
from services.embedding.tests.milvus_writer import EACH, where

pytestmark = pytest.mark.asyncio
ROOT = Path(milvus_writer.__file__).resolve().parents[3]


def killed_after(batches: int, path: Path) -> int:
    """Write so many batches or more, kill the writer; how many were acknowledged."""
    command = [sys.executable, "-m", "services.embedding.tests.milvus_writer", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as writer:
        assert writer.stdout is not None
        told = [writer.stdout.readline() for _ in range(batches)]
        writer.send_signal(signal.SIGKILL)
        told += writer.stdout.readlines()
    return len([line for line in told if line.strip()])


@pytest.mark.parametrize("batches", [1, 7, 40])
async def test_nothing_acknowledged_is_lost(batches: int, tmp_path: Path) -> None:
    path = tmp_path / "milvus.db"
    acknowledged = killed_after(batches, path)
    assert acknowledged >= batches
    index = MilvusVectorIndex(str(path), "m@1", 384)
    await index.open()
    for number in range(acknowledged):
        ask = UserPoint(UserKey("a", "ask"), 1, where(number))
        (near,) = await index.nearest("a", [ask], EACH * (acknowledged + 1))
        names = {each.user_id for each in near}
        assert {f"u{number * EACH + at}" for at in range(EACH)} <= names
    found = await index.search("a", where(0), ("message",), EACH * (acknowledged + 1))
    assert len(found) >= EACH * acknowledged
    await index.put_users([UserPoint(UserKey("a", "later"), 1, where(0))])
    await index.close()
