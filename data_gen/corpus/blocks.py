"""Rows as the viewer reads them: compressed blocks of compact JSON.

`index` is one block: what lists and filters need of every row, by column, with
labels as numbers. Texts and details come in blocks of `ROWS_PER_BLOCK` rows, so
that the page can read them one by one. `viewer.js` is the only reader.
"""

import base64
from collections.abc import Iterator
from collections.abc import Sequence
import json
from typing import Any
import zlib

from data_gen.corpus.rows import GateVerdict
from data_gen.corpus.rows import Row
from data_gen.corpus.rows import Step

ROWS_PER_BLOCK = 500
_GZIP = 31  # zlib's window bits for a gzip header
_DIGITS = 12  # of hashes, which do not compress; the Parquet has all


def packed(value: Any) -> str:
  """Returns a JSON value as gzip in base64; the same value, the same text."""
  text = json.dumps(value, ensure_ascii=False, separators=(',', ':'))
  compressor = zlib.compressobj(level=6, wbits=_GZIP)
  data = compressor.compress(text.encode()) + compressor.flush()
  return base64.b64encode(data).decode('ascii')


class _Codes:
  """Numbers labels by their first occurrence."""

  def __init__(self) -> None:
    self.labels: dict[str, int] = {}

  def __getitem__(self, label: str) -> int:
    return self.labels.setdefault(label, len(self.labels))


def index(rows: Sequence[Row], traits: Sequence[dict[str, Any]]) -> str:
  """Returns the block of ids and labels of all rows.

  Args:
    rows: In the order of the page.
    traits: As JSON; `id`, `name` and `type` of each are shown.
  """
  columns = ('source', 'genre', 'variant', 'failures')
  codes = {name: _Codes() for name in columns}
  trait_codes = {t['id']: i for i, t in enumerate(traits)}
  return packed(
    {
      'rowsPerBlock': ROWS_PER_BLOCK,
      'id': [row.id for row in rows],
      'accepted': [int(row.accepted) for row in rows],
      'source': [codes['source'][row.source] for row in rows],
      'genre': [codes['genre'][row.genre] for row in rows],
      'variant': [codes['variant'][row.variant] for row in rows],
      'traits': [[trait_codes[t] for t in row.trait_ids] for row in rows],
      'failures': [
        [codes['failures'][f] for f in _failures(row)] for row in rows
      ],
      'labels': {
        **{name: list(codes[name].labels) for name in columns},
        'traits': [[t['name'], t['type'], t['id']] for t in traits],
      },
    }
  )


def _failures(row: Row) -> list[str]:
  """`gate: reason` of what a row failed, the decisive one first."""
  failed = [f'{v.gate}: {v.reason}' for v in row.verdicts if not v.passed]
  first = [row.rejected_because] if row.rejected_because else []
  return list(dict.fromkeys(first + failed))


def texts(rows: Sequence[Row]) -> Iterator[str]:
  """Yields blocks: of a row, its text or its list of (role, content)."""
  for part in _parts(rows):
    yield packed([r.text if r.messages is None else r.messages for r in part])


def details(rows: Sequence[Row]) -> Iterator[str]:
  """Yields blocks: of a row, all that is neither text nor in the index."""
  for part in _parts(rows):
    yield packed([_detail(row) for row in part])


def _parts(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
  for first in range(0, len(rows), ROWS_PER_BLOCK):
    yield rows[first : first + ROWS_PER_BLOCK]


def _detail(row: Row) -> list[Any]:
  return [
    row.masked_prefix,
    {
      'plan node': row.plan_node,
      'domain': row.domain,
      'framing': row.framing,
      'pair': row.pair_id,
      'rejected because': row.rejected_because,
    },
    [_verdict(v) for v in row.verdicts],
    [_step(s) for s in row.lineage],
  ]


def _verdict(verdict: GateVerdict) -> list[Any]:
  return [
    verdict.gate,
    int(verdict.passed),
    verdict.reason,
    verdict.detail,
    verdict.score,
  ]


def _step(step: Step) -> list[Any]:
  return [
    step.task,
    step.model,
    step.sampling,
    step.sample,
    step.failure,
    step.prompt_tokens,
    step.completion_tokens,
    step.cost_usd,
    step.key[:_DIGITS],
    step.prompt_sha256[:_DIGITS],
    step.text_sha256[:_DIGITS],
  ]
