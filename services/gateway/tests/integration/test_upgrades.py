"""Data of earlier versions is there after an upgrade."""

from __future__ import annotations

import shutil
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest
from bus.migrate import migrate
from devkit.embedded import EmbeddedPostgres
from services.gateway.tests.conftest import MIGRATIONS
from services.gateway.tests.kits import Kit

pytestmark = pytest.mark.asyncio
BEFORE_VISIBILITY = ("0001.keys-and-runs.sql", "0002.cancel-and-cost.sql")
RUN, PROMPT, BRAND = (UUID(int=n) for n in range(1, 4))


async def test_runs_from_before_brands_and_prompts_were_entities_keep_their_counts(
    postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    dsn = await postgres.database("gateway_upgrade")
    for name in BEFORE_VISIBILITY:
        shutil.copy(MIGRATIONS / name, tmp_path)
    await migrate(dsn, tmp_path)
    await _fill(dsn)

    await migrate(dsn, MIGRATIONS)

    kit = await Kit.create(dsn)
    try:
        found = await kit.runs.findings("acme", RUN, None)
        assert found is not None
        assert [brand.name for brand in found.brands] == ["Notion"]
        assert [prompt.text for prompt in found.status.run.prompts] == ["Which app?"]
        (answers,) = found.cells.answers
        assert (answers.answers, answers.informative) == (2, 1)
        (brand,) = found.cells.brands
        assert (brand.brand_id, brand.named, brand.mentions) == (BRAND, 1, 3)
    finally:
        await kit.close()


async def _fill(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    named, other = uuid4(), uuid4()
    await connection.execute("INSERT INTO tenants (tenant_id) VALUES ('acme')")
    await connection.execute(
        "INSERT INTO runs (tenant_id, run_id, brands, prompts, models, samples, expected, state, "
        "started_at, finished_at) VALUES ('acme', $1, $2, $3, '{openai/gpt-5}', 2, 2, "
        "'completed', now(), now())",
        RUN,
        f'[{{"brand_id": "{BRAND}", "name": "Notion", "aliases": []}}]',
        f'[{{"prompt_id": "{PROMPT}", "text": "Which app?"}}]',
    )
    await connection.executemany(
        "INSERT INTO completions (completion_id, tenant_id, run_id, prompt_id, model, sample, "
        "finished, analyzed) VALUES ($1, 'acme', $2, $3, 'openai/gpt-5', $4, true, true)",
        [(named, RUN, PROMPT, 0), (other, RUN, PROMPT, 1)],
    )
    await connection.execute("INSERT INTO brand_mentions VALUES ($1, $2, 3)", named, BRAND)
    await connection.close()
