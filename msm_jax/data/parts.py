"""Deals the rows of a source to parts, which are prepared apart.

Which rows are a part depends on their number in the source and on nothing else:
not on the files' format or their number, and not on how many processes or
machines there are.
"""

from collections.abc import Iterator
from collections.abc import Sequence
import dataclasses
import os

from msm_jax.data import documents
from msm_jax.data import rows

ROWS_PER_PART = 1 << 16


@dataclasses.dataclass(frozen=True)
class Span:
  """Rows of one file.

  Attributes:
    path: Of the file.
    prefix: Of the ids of rows that have none.
    first: Index of the first row, from 0.
    stop: One past the last.
    offset: Where the first row begins in a JSONL file, in bytes.
  """

  path: str
  prefix: str
  first: int
  stop: int
  offset: int = 0


@dataclasses.dataclass(frozen=True)
class Part:
  """Rows that are tokenised and packed by themselves."""

  spans: tuple[Span, ...]

  @property
  def rows(self) -> int:
    return sum(span.stop - span.first for span in self.spans)

  def __str__(self) -> str:
    return ', '.join(
      f'{s.path}, rows {s.first}–{s.stop - 1}' for s in self.spans
    )

  def items(self, kind: str) -> Iterator[documents.Item]:
    """Yields documents or conversations, in order; see `documents`."""
    for span in self.spans:
      yield from documents.read_span(
        *(span.path, kind, span.prefix, span.first, span.stop, span.offset)
      )


def plan(files: Sequence[str], rows_per_part: int) -> list[Part]:
  """Returns the parts of a source, each but the last of `rows_per_part` rows.

  Reads the footers of Parquet files, and JSONL files once, for their lines.

  Raises:
    SourceError: Naming a file that is empty, or is no such file.
  """
  names = [os.path.basename(f) for f in files]
  parts: list[list[Span]] = [[]]
  room = rows_per_part
  for path, name in zip(files, names, strict=True):
    # Two files of one name would give two rows one id.
    prefix = name if names.count(name) == 1 else path
    for first, stop, offset in rows.cut(path, room, rows_per_part):
      if not room:
        parts.append([])
        room = rows_per_part
      parts[-1].append(Span(path, prefix, first, stop, offset))
      room -= stop - first
  return [Part(tuple(spans)) for spans in parts]
