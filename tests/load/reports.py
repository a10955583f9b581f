"""Seconds of ``GET .../report`` over HTTP in a tenant with a million analysed answers.

The first look at a report computes it, later ones find it computed: both are measured, each for
every run of the tenant.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[2])

import gateway  # noqa: E402 - where a script looks first
from bus.migrate import migrate  # noqa: E402
from devkit.embedded import EmbeddedPostgres  # noqa: E402
from services.gateway.tests.calling_api import RUNS, Api  # noqa: E402
from services.gateway.tests.kits import Kit  # noqa: E402
from tests.load.markdown import table  # noqa: E402

MIGRATIONS = Path(gateway.__file__).parent / "migrations"
ANSWERS_A_RUN, SAMPLES, MODELS, BRANDS = 10_000, 5, 4, 10
_HEADINGS = ("look", "reports", "p50 ms", "p99 ms", "worst ms")

# Answers of 500 prompts by 4 models, 5 times each; every brand is named in a share of them.
_FILL = (
    "INSERT INTO runs (tenant_id, run_id, models, samples, expected, state, started_at, "
    "finished_at) SELECT $1, gen_random_uuid(), ARRAY(SELECT 'simulator/model-' || m "
    f"FROM generate_series(1, {MODELS}) AS m), {SAMPLES}, {ANSWERS_A_RUN}, 'completed', "
    "now(), now() FROM generate_series(1, $2)",
    "INSERT INTO revisions SELECT run_id, 1, (SELECT jsonb_agg(jsonb_build_object('brand_id', "
    "md5(b::text)::uuid, 'name', 'Brand ' || b, 'aliases', '[]'::jsonb)) "
    f"FROM generate_series(1, {BRANDS}) AS b), now() FROM runs",
    "INSERT INTO prompts (prompt_id, tenant_id, text) SELECT md5('p' || p)::uuid, $1, "
    f"'Question ' || p FROM generate_series(1, {ANSWERS_A_RUN // MODELS // SAMPLES}) AS p",
    "INSERT INTO run_prompts SELECT run_id, prompt_id, row_number() OVER (PARTITION BY run_id), "
    "CASE WHEN random() < 0.3 THEN ARRAY['tagged'] ELSE '{}' END FROM runs, prompts",
    "INSERT INTO completions (completion_id, tenant_id, run_id, prompt_id, model, sample, "
    "finished, analyzed) SELECT gen_random_uuid(), $1, run_id, prompt_id, model, sample, true, "
    f"true FROM runs, prompts, unnest(models) AS model, generate_series(1, {SAMPLES}) AS sample",
    "INSERT INTO analyses SELECT run_id, 1, completion_id, 'measured', true, 2, '{}', now() "
    "FROM completions",
    "INSERT INTO findings SELECT run_id, 1, completion_id, md5(b::text)::uuid, 2, true, "
    "random() < 0.3, random() < 0.1, false, false, b, NULL, random() * 2 - 1, 1, 0.1 "
    f"FROM completions, generate_series(1, {BRANDS}) AS b WHERE random() < 1.0 / (b + 1)",
    "ANALYZE",
)


async def filled(kit: Kit, api: Api, runs: int) -> list[str]:
    """A tenant with so many runs of 10,000 answers; the runs' ids."""
    for statement in _FILL:
        arguments = (api.tenant_id, runs)[: statement.count("$1") + statement.count("$2")]
        await kit.pool.execute(statement, *arguments, timeout=1800)
    return [str(row["run_id"]) for row in await kit.pool.fetch("SELECT run_id FROM runs")]


async def looks(api: Api, run_ids: Sequence[str]) -> list[float]:
    """Seconds of one look at each report. Raises RuntimeError if one fails."""
    seconds = []
    for run_id in run_ids:
        begun = time.perf_counter()
        response = await api.call("GET", f"{RUNS}/{run_id}/report")
        seconds.append(time.perf_counter() - begun)
        if response.status_code != 200:
            raise RuntimeError(response.text[:500])
        if response.json()["groups"][0]["answers"] != ANSWERS_A_RUN:
            raise RuntimeError("a report lacks answers")
    return seconds


async def measured(runs: int) -> list[tuple[str, list[float]]]:
    """First and later looks, in one tenant."""
    with tempfile.TemporaryDirectory(prefix="limelight-load-") as folder:
        server = await EmbeddedPostgres.start(Path(folder) / "postgres")
        try:
            dsn = await server.database("reports")
            await migrate(dsn, MIGRATIONS)
            kit = await Kit.create(dsn)
            api = await Api.over(kit)
            run_ids = await filled(kit, api, runs)
            await looks(api, run_ids[:1])  # loads what is loaded once
            found = [("first", await looks(api, run_ids[1:])), ("later", await looks(api, run_ids))]
            await kit.close()
            return found
        finally:
            await server.stop()


def rows(found: Sequence[tuple[str, list[float]]]) -> Iterator[tuple[str, ...]]:
    """Milliseconds as text."""
    for look, seconds in found:
        cuts = statistics.quantiles(seconds, n=100, method="inclusive")
        shown = (statistics.median(seconds), cuts[98], max(seconds))
        yield (look, str(len(seconds)), *(f"{1000 * one:.1f}" for one in shown))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100, help="of 10,000 answers each")
    parser.add_argument("--short", action="store_true", help="three runs")
    given = parser.parse_args()
    found = asyncio.run(measured(3 if given.short else given.runs))
    print(table([_HEADINGS, *rows(found)]))


if __name__ == "__main__":
    main()
