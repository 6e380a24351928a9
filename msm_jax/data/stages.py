"""The stages of `prepare`, as functions of a job and a number.

  encode_part(job, i)    rows of part i → tokens, packed → scratch/part-…
  pack_left_overs(job)   what filled no sequence in its part → scratch/plan
  write_file(job, f)     sequences of file f → scratch/file-…

Parts do not know of each other, nor files. What a stage leaves in the scratch
directory is published (all of it or nothing), is the same whoever made it, and
is not made again; so stages may run in any process, on any machine, once or
several times.
"""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
import dataclasses
import itertools
import pathlib
import shutil
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from msm_jax import storage
from msm_jax import tokenizers
from msm_jax.data import documents
from msm_jax.data import encoding
from msm_jax.data import packing
from msm_jax.data import parts as parts_lib
from msm_jax.data import records
from msm_jax.data import writing

# Percent of positions in sequences that stay as the rows of one part fill them.
GOOD_FILL = 99

KIND = 'prepared-part'
INDEX_NAME = 'index.parquet'
COUNTS_NAME = 'counts.npy'
DIGESTS_NAME = encoding.DIGESTS_NAME
_PLACED_NAME = 'placed.npz'
_LEFT_NAME = 'left.npz'
_LEFT_TOKENS_NAME = 'left-tokens'
_LEFT_TRAINED_NAME = 'left-trained'
_BYTES_PER_FILE = 1 << 30  # before compression


@dataclasses.dataclass(frozen=True)
class Job:
  """All that decides what is prepared; may be sent to other machines.

  Attributes:
    scratch: Directory of what stages leave, local or `gs://…`.
    parts: Of the source.
    kind: 'documents' or 'conversations'.
    tokenizer: Encodes them.
    seq_len: Length of a sequence.
    drop_long: Whether conversations that are longer are left out.
    seed: Decides which of equally long pieces share a sequence.
    files: Number of files; 0 chooses by size.
  """

  scratch: str
  parts: Sequence[parts_lib.Part]
  kind: str
  tokenizer: tokenizers.Tokenizer
  seq_len: int
  drop_long: bool
  seed: int
  files: int

  def part_dir(self, index: int) -> str:
    return storage.join(self.scratch, f'part-{index:05}')

  @property
  def plan_dir(self) -> str:
    return storage.join(self.scratch, 'plan')

  def file_dir(self, index: int) -> str:
    return storage.join(self.scratch, f'file-{index:05}')

  def part_info(self, index: int) -> dict[str, Any]:
    """Returns what `encode_part` found out."""
    return _info(self.part_dir(index))

  def part_infos(self) -> list[dict[str, Any]]:
    return [self.part_info(i) for i in range(len(self.parts))]

  def file_info(self, index: int) -> dict[str, Any]:
    """Returns what `write_file` found out."""
    return _info(self.file_dir(index))

  @property
  def n_files(self) -> int:
    """Number of files, once left-overs are packed."""
    return len(self.plan()['bounds']) - 1

  def plan(self) -> dict[str, Any]:
    """Returns what `pack_left_overs` found out."""
    return _info(self.plan_dir)


def _info(directory: str) -> dict[str, Any]:
  return storage.read_manifest(directory, kind=KIND).info


def is_done(directory: str) -> bool:
  """Whether a stage left its result there; in a bucket, not only a claim."""
  try:
    _info(directory)
  except storage.NotPublishedError:
    return False
  return True


def _no_report(*_: int) -> None:
  pass


def encode_part(
  job: Job, index: int, report: Callable[[int, int], None] = _no_report
) -> None:
  """Tokenises, splits and packs the rows of one part.

  Args:
    job: Which.
    index: Of the part.
    report: Is told, every now and then, of so many more rows and tokens.

  Raises:
    SourceError: Naming file, row and id of what cannot be trained on.
    OSError: If the disk is full.
  """
  if is_done(job.part_dir(index)):
    return
  with storage.publish(job.part_dir(index), kind=KIND) as publication:
    directory = publication.dir
    encoded = encoding.encode_items(
      job.parts[index].items(job.kind),
      job.tokenizer,
      directory,
      seq_len=job.seq_len,
      drop_long=job.drop_long,
      report=report,
    )
    packed = packing.pack(encoded.lengths - 1, job.seq_len, seed=job.seed)
    pieces = np.bincount(packed.document, minlength=len(encoded.index))
    placed = _place(packed, np.cumsum(encoded.lengths) - encoded.lengths)
    stay = _stay(packed, alone=len(job.parts) == 1)
    placed.select(stay).save(directory / _PLACED_NAME)
    left = placed.select(~stay)
    _save_left_overs(directory, left, encoded)
    _write_index(directory, encoded, pieces)
    publication.info.update(
      documents=len(encoded.index),
      rows=job.parts[index].rows,
      dropped=encoded.dropped,
      dropped_ids=encoded.dropped_ids,
      masked=encoded.masked,
      provenance=encoded.provenance.column_names,
      splits=packed.splits,
      sequences=int(np.count_nonzero(stay)),
      tokens=int(packed.length.sum(dtype=np.int64)),
      left_over=int(left.length.sum(dtype=np.int64)),
    )


def _place(packed: packing.Packing, first_token: np.ndarray) -> writing.Placed:
  return writing.Placed(
    n_sequences=packed.n_sequences,
    document=packed.document,
    piece=packed.piece,
    flat=first_token[packed.document] + packed.start,
    length=packed.length,
    sequence=packed.sequence,
    slot=packed.slot,
    offset=packed.offset,
  )


def _stay(packed: packing.Packing, *, alone: bool) -> np.ndarray:
  """Returns [N] bool, which sequences are good as they are.

  These are the fullest, as many as are together filled to `GOOD_FILL`. Where
  there is no other part, there is nothing to fill the others with.
  """
  if alone:
    return np.ones(packed.n_sequences, bool)
  filled = np.zeros(packed.n_sequences, np.int64)
  np.add.at(filled, packed.sequence, packed.length)
  order = np.argsort(-filled, kind='stable')
  room = packed.seq_len * np.arange(1, packed.n_sequences + 1)
  stay = np.empty(packed.n_sequences, bool)
  stay[order] = 100 * np.cumsum(filled[order]) >= GOOD_FILL * room
  return stay


def _save_left_overs(
  directory: pathlib.Path, left: writing.Placed, encoded: encoding.Encoded
) -> None:
  """Writes pieces and their tokens, one more of each than it has pairs."""
  order = np.lexsort((left.piece, left.document))
  left = left.pieces(order)
  held = left.length + 1
  at = np.repeat(left.flat, held) + packing.ragged_arange(held)
  for name, file, dtype in (
    (_LEFT_TOKENS_NAME, encoded.tokens, np.int32),
    (_LEFT_TRAINED_NAME, encoded.trained, np.uint8),
  ):
    values = np.memmap(file, dtype, 'r')[at] if at.size else np.empty(0, dtype)
    values.tofile(directory / name)
  np.savez(
    directory / _LEFT_NAME,
    document=left.document,
    piece=left.piece,
    length=left.length,
  )


def _write_index(
  directory: pathlib.Path, encoded: encoding.Encoded, pieces: np.ndarray
) -> None:
  table = encoded.index.append_column('pieces', pa.array(pieces, pa.int32()))
  for name in encoded.provenance.column_names:
    table = table.append_column(name, encoded.provenance[name])
  pq.write_table(table, directory / INDEX_NAME)


def pack_left_overs(job: Job) -> None:
  """Packs what filled no sequence within its part, and plans the files.

  Raises:
    SourceError: If there is nothing in any part.
  """
  if is_done(job.plan_dir):
    return
  infos = job.part_infos()
  if not sum(info['documents'] for info in infos):
    files = sorted({s.path for part in job.parts for s in part.spans})
    dropped = sum(info['dropped'] for info in infos)
    raise documents.SourceError(
      f'{", ".join(files)}: nothing is left to prepare; all {dropped} '
      f'conversations are longer than seq_len={job.seq_len}'
    )
  first_document = _starts(infos, 'documents')[:-1]
  with storage.publish(job.plan_dir, kind=KIND) as publication:
    left = _join_left_overs(job, first_document, publication.dir)
    packed = packing.pack(left['length'], job.seq_len, seed=job.seed)
    flat = np.cumsum(left['length'] + 1) - (left['length'] + 1)
    dataclasses.replace(
      _place(packed, flat),
      document=left['document'][packed.document],
      piece=left['piece'][packed.document],
    ).save(publication.dir / _PLACED_NAME)
    first_sequence = _starts(infos, 'sequences')
    total = first_sequence[-1] + packed.n_sequences
    n_files = min(job.files or _files_by_size(total, job.seq_len), total)
    publication.info.update(
      first_document=first_document,
      first_sequence=[*first_sequence, total],
      left_overs=packed.n_sequences,
      bounds=np.linspace(0, total, n_files + 1).astype(int).tolist(),
    )


def _starts(infos: list[dict[str, Any]], key: str) -> list[int]:
  """Returns 0, and the running sums of a count of the parts."""
  return [0, *itertools.accumulate(info[key] for info in infos)]


def _join_left_overs(
  job: Job, first_document: list[int], directory: pathlib.Path
) -> dict[str, np.ndarray]:
  """Joins the parts' pieces, and writes their tokens one after the other."""
  joined: dict[str, list[np.ndarray]] = {}
  for index in range(len(job.parts)):
    part = job.part_dir(index)
    with fetched(storage.join(part, _LEFT_NAME)) as path, np.load(path) as left:
      arrays = {name: left[name].astype(np.int64) for name in left.files}
    arrays['document'] += first_document[index]
    for name, array in arrays.items():
      joined.setdefault(name, []).append(array)
    for source, name in (
      (_LEFT_TOKENS_NAME, encoding.TOKENS_NAME),
      (_LEFT_TRAINED_NAME, encoding.TRAINED_NAME),
    ):
      with (
        storage.open_published(storage.join(part, source)) as read,
        open(directory / name, 'ab') as write,
      ):
        shutil.copyfileobj(read, write)
  return {name: np.concatenate(arrays) for name, arrays in joined.items()}


def _files_by_size(n_sequences: int, seq_len: int) -> int:
  size = n_sequences * seq_len * 4 * len(records.FIELDS)
  return -(-size // _BYTES_PER_FILE)


def write_file(
  job: Job, index: int, report: Callable[[int], None] = _no_report
) -> None:
  """Writes one file of sequences.

  Args:
    job: Which.
    index: Of the file.
    report: Is told, every now and then, of so many more tokens.

  Raises:
    OSError: If the disk is full.
  """
  if is_done(job.file_dir(index)):
    return
  plan = job.plan()
  begin, end = plan['bounds'][index : index + 2]
  name = f'shard-{index:05}-of-{len(plan["bounds"]) - 1:05}.array_record'
  with storage.publish(job.file_dir(index), kind=KIND) as publication:
    written = writing.write_records(
      publication.dir / name, _sequences(job, plan, begin, end), report
    )
    np.save(publication.dir / COUNTS_NAME, written.counts)
    (publication.dir / DIGESTS_NAME).write_bytes(written.digests)
    tokens, loss_tokens = written.counts.sum(axis=0, dtype=np.int64).tolist()
    publication.info.update(
      name=name, sequences=end - begin, tokens=tokens, loss_tokens=loss_tokens
    )


def _sequences(
  job: Job, plan: dict[str, Any], begin: int, end: int
) -> Iterator[records.Record]:
  """Yields sequences `begin` … `end` − 1: those of parts, then left-overs."""
  firsts = plan['first_sequence']
  first_document = [*plan['first_document'], 0]  # Left-overs know theirs.
  places = [job.part_dir(i) for i in range(len(job.parts))] + [job.plan_dir]
  for i, place in enumerate(places):
    first, stop = max(begin, firsts[i]), min(end, firsts[i + 1])
    if first >= stop:
      continue
    with (
      fetched(storage.join(place, _PLACED_NAME)) as placed,
      fetched(storage.join(place, encoding.TOKENS_NAME)) as tokens,
      fetched(storage.join(place, encoding.TRAINED_NAME)) as trained,
    ):
      stretch = writing.Stretch(
        placed=writing.Placed.load(placed),
        first=first - firsts[i],
        stop=stop - firsts[i],
        tokens=tokens,
        trained=trained,
        first_document=first_document[i],
      )
      yield from writing.gather_records(
        stretch, job.seq_len, job.tokenizer.pad_id
      )


@contextlib.contextmanager
def fetched(path: str) -> Iterator[str]:
  """Lends a local file: the file itself, or the cache's of a remote one."""
  with storage.hold(path) as held:
    yield str(held.path)
