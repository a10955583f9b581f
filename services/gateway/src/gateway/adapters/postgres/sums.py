"""Sums over the analysed answers of a run: what reports are computed from."""

from __future__ import annotations

from uuid import UUID

from bus.stores.postgres import Connection

from gateway.domain.cells import AnswerCell, BrandCell, Cells

_ANSWER_CELLS = """
SELECT surface, model, prompt_id, count(*) AS answers,
       count(*) FILTER (WHERE informative) AS informative, sum(citations)::bigint AS citations
FROM analyses JOIN completions USING (run_id, completion_id)
WHERE run_id = $1 AND revision = $2
GROUP BY surface, model, prompt_id
"""
_BRAND_CELLS = """
SELECT surface, model, prompt_id, brand_id,
       count(*) FILTER (WHERE named)                     AS named,
       count(*) FILTER (WHERE recommended)               AS recommended,
       count(*) FILTER (WHERE denied)                    AS denied,
       count(*) FILTER (WHERE cited)                     AS cited,
       count(*) FILTER (WHERE link_only)                 AS link_only,
       sum(mentions)::bigint                             AS mentions,
       coalesce(sum(rank), 0)::bigint                    AS rank_sum,
       coalesce(sum(list_rank), 0)::bigint               AS list_rank_sum,
       count(list_rank)                                  AS list_ranked,
       coalesce(sum(sentiment), 0)                       AS sentiment_sum,
       count(sentiment)                                  AS sentiments,
       sum(findings.citations)::bigint                   AS citations,
       sum(position_adjusted_words)                      AS position_adjusted_words
FROM findings JOIN completions USING (run_id, completion_id)
WHERE run_id = $1 AND revision = $2
GROUP BY surface, model, prompt_id, brand_id
"""


async def read_cells(connection: Connection, run_id: UUID, revision: int) -> Cells:
    """All cells of a revision of a run, in no order."""
    # With the default of 4 MB the sums of ten thousand answers are sorted on disk.
    await connection.execute("SET LOCAL work_mem = '64MB'")
    answers = await connection.fetch(_ANSWER_CELLS, run_id, revision)
    brands = await connection.fetch(_BRAND_CELLS, run_id, revision)
    return Cells(
        answers=tuple(AnswerCell(**dict(row)) for row in answers),
        brands=tuple(BrandCell(**dict(row)) for row in brands),
    )
