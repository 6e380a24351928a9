"""Tokenises and packs a source once into a published directory of records.

Rows are dealt to parts, each part is tokenised and packed by itself, what fills
no sequence there is packed once more together, and files are written: see
`stages`. Memory holds what is known of the rows of a part, and the lengths of
left-overs; tokens are in scratch files.
"""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
import hashlib
import os
import pathlib
import shutil
import tempfile
import time
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from msm_jax import progress
from msm_jax import storage
from msm_jax import workers as workers_lib
from msm_jax.data import documents
from msm_jax.data import encoding
from msm_jax.data import packing
from msm_jax.data import parts as parts_lib
from msm_jax.data import prepared
from msm_jax.data import provenance
from msm_jax.data import records
from msm_jax.data import stages
from msm_jax.tokenizers import Tokenizer

ON_LONG_CONVERSATION = ('error', 'drop')
Run = Callable[[stages.Job], None]
"""Runs all stages of a job, wherever that is."""


def prepare_source(
  inputs: Sequence[str | os.PathLike[str]],
  tokenizer: Tokenizer,
  out: str | os.PathLike[str],
  *,
  seq_len: int,
  kind: str = 'auto',
  on_long_conversation: str = 'error',
  shards: int = 0,
  seed: int = 0,
  rows_per_part: int = parts_lib.ROWS_PER_PART,
  workers: int = 1,
  run: Run | None = None,
  scratch: str | None = None,
) -> prepared.PreparedSource:
  """Prepares one source; publishes all of it or nothing.

  The result is the same, to the byte, whoever prepares it: `workers`, `run` and
  `scratch` decide nothing of it.

  Args:
    inputs: Parquet or JSONL files, patterns or directories, all of documents
      or all of conversations.
    tokenizer: Encodes documents as `<bos> text <eos>`, and conversations by its
      chat template.
    out: The directory to publish.
    seq_len: Length of a sequence: the number of (token, next token) pairs.
    kind: 'documents', 'conversations', or 'auto' to go by the columns.
    on_long_conversation: What to do with a conversation longer than a sequence:
      'error', or 'drop' it and count it.
    shards: Number of files; 0 chooses by size. Does not change the content.
    seed: Decides which of equally long pieces share a sequence.
    rows_per_part: Rows that are tokenised and packed by themselves. Decides
      which documents may share a sequence, if there are more.
    workers: Number of processes; 1 is this one.
    run: Runs the stages elsewhere, instead of `workers`; see `beam`.
    scratch: Where to keep what stages leave, if others than this machine run
      them; a directory of its own is made there, and removed.

  Returns:
    The published source.

  Raises:
    SourceError: Naming file, row and id of what cannot be trained on.
    ValueError: If an argument is not what is described here.
    OSError: If the disk is full.
    workers_lib.WorkerDiedError: If processes die of one part again and again.
  """
  if on_long_conversation not in ON_LONG_CONVERSATION:
    raise ValueError(
      f'on_long_conversation: {on_long_conversation!r} is not one of '
      f'{ON_LONG_CONVERSATION}'
    )
  _check_numbers(seq_len=seq_len, rows_per_part=rows_per_part, workers=workers)
  if shards < 0:
    raise ValueError(f'shards: {shards}; expected 0 or more')
  files = documents.find_files(inputs)
  if kind == 'auto':
    kind = documents.detect_kind(files)
  packer = {
    'name': packing.NAME,
    'version': packing.VERSION,
    'layout': records.LAYOUT_VERSION,
    'kind': kind,
    'seq_len': seq_len,
    'seed': seed,
    'on_long_conversation': on_long_conversation,
  }
  parts = parts_lib.plan(files, rows_per_part)
  with (
    storage.publish(os.fspath(out), kind=prepared.KIND) as publication,
    _scratch(scratch, publication.dir) as place,
  ):
    job = stages.Job(
      scratch=place,
      parts=parts,
      kind=kind,
      tokenizer=tokenizer,
      seq_len=seq_len,
      drop_long=on_long_conversation == 'drop',
      seed=seed,
      files=shards,
    )
    if run is not None:
      run(job)
    elif workers == 1:
      run_here(job)
    else:
      run_in_processes(job, workers)
    shards_written, counts, digest = _collect_files(job, publication.dir)
    np.save(publication.dir / prepared.COUNTS_NAME, counts)
    _write_documents(job, publication.dir)
    publication.info.update(
      inputs=[os.path.basename(p) for p in files],
      **_describe(job, packer, counts, digest),
      shards=shards_written,
    )
  return prepared.PreparedSource.open(out)


def _check_numbers(**numbers: int) -> None:
  for name, value in numbers.items():
    if value < 1:
      raise ValueError(f'{name}: {value}; expected a positive integer')


@contextlib.contextmanager
def _scratch(parent: str | None, default: pathlib.Path) -> Iterator[str]:
  """Makes a directory of a job's own, and removes it in the end."""
  if parent is None or not storage.is_remote(parent):
    with tempfile.TemporaryDirectory(dir=parent or default) as directory:
      yield directory
    return
  unique = f'prepare-{os.urandom(8).hex()}'
  directory = storage.join(parent, unique)
  try:
    yield directory
  finally:
    storage.remove_tree(directory)


class _Tokens:
  """A bar of rows with the rate of tokens."""

  def __init__(self, bar: progress.Progress):
    self._bar = bar
    self._begin = time.monotonic()
    self._tokens = 0

  def advance(self, rows: int, tokens: int) -> None:
    self._tokens += tokens
    rate = self._tokens / max(1e-9, time.monotonic() - self._begin)
    self._bar.advance(rows, f'{progress.human(rate)} tokens/s')


def _rows_bar(job: stages.Job) -> progress.Progress:
  rows = sum(part.rows for part in job.parts)
  return progress.Progress('tokenise', rows, 'rows')


def _tokens_bar(job: stages.Job) -> progress.Progress:
  tokens = sum(info['tokens'] for info in job.part_infos())
  return progress.Progress('pack', tokens, 'tokens')


def run_here(job: stages.Job) -> None:
  """Runs all stages in this process."""
  with _rows_bar(job) as bar:
    tokens = _Tokens(bar)
    for index in range(len(job.parts)):
      stages.encode_part(job, index, tokens.advance)
  stages.pack_left_overs(job)
  with _tokens_bar(job) as bar:
    for index in range(job.n_files):
      stages.write_file(job, index, bar.advance)


def run_in_processes(job: stages.Job, workers: int) -> None:
  """Runs all stages in processes of their own on this machine.

  Raises:
    workers_lib.WorkerDiedError: If they die of one part again and again.
  """
  with workers_lib.Pool(job, min(workers, len(job.parts))) as pool:
    with _rows_bar(job) as bar:
      tokens = _Tokens(bar)
      for index in pool.run(
        stages.encode_part,
        len(job.parts),
        lambda i: f'part {i} of {len(job.parts)} ({job.parts[i]})',
      ):
        info = job.part_info(index)
        tokens.advance(info['rows'], info['tokens'])
    stages.pack_left_overs(job)
    with _tokens_bar(job) as bar:
      for index in pool.run(
        stages.write_file,
        job.n_files,
        lambda i: f'file {i} of {job.n_files}',
      ):
        bar.advance(job.file_info(index)['tokens'])


def _collect_files(
  job: stages.Job, directory: pathlib.Path
) -> tuple[list[dict[str, Any]], np.ndarray, str]:
  """Moves the files into a directory.

  Returns:
    `{'name': …, 'sequences': …}` of each, [N, 2] int32 tokens and loss tokens
    of each sequence, and 16 hex digits of all records in order, whatever the
    files.
  """
  described, counts = [], []
  digest = hashlib.sha256()
  for index in range(job.n_files):
    info, place = job.file_info(index), job.file_dir(index)
    name = info['name']
    described.append({'name': name, 'sequences': info['sequences']})
    if storage.is_remote(place):
      with stages.fetched(storage.join(place, name)) as fetched:
        shutil.move(fetched, directory / name)
    else:
      shutil.move(os.path.join(place, name), directory / name)
    with stages.fetched(storage.join(place, stages.COUNTS_NAME)) as path:
      counts.append(np.load(path))
    digest.update(storage.read_bytes(storage.join(place, stages.DIGESTS_NAME)))
  return described, np.concatenate(counts), digest.hexdigest()[:16]


def _write_documents(job: stages.Job, directory: pathlib.Path) -> None:
  """Joins the parts' tables, one of them in memory."""
  known = _known_provenance(job)
  writer = None
  with contextlib.ExitStack() as stack:
    for index in range(len(job.parts)):
      path = storage.join(job.part_dir(index), stages.INDEX_NAME)
      with stages.fetched(path) as local:
        table = pq.read_table(local)
      columns = [c for c in table.column_names if c not in provenance.COLUMNS]
      joined = table.select(columns)
      for name in known:
        missing = pa.nulls(len(table), provenance.type_of(name))
        column = table[name] if name in table.column_names else missing
        joined = joined.append_column(name, column)
      if writer is None:
        path = os.fspath(directory / prepared.DOCUMENTS_NAME)
        writer = stack.enter_context(pq.ParquetWriter(path, joined.schema))
      writer.write_table(joined)


def _known_provenance(job: stages.Job) -> list[str]:
  """Returns the columns in which some row of some part has a value."""
  found = {name for info in job.part_infos() for name in info['provenance']}
  return [name for name in provenance.COLUMNS if name in found]


def _digest_of_data(job: stages.Job) -> str:
  """Returns 16 hex digits of all ids and contents, whatever the parts."""
  digest = hashlib.sha256()
  for index in range(len(job.parts)):
    path = storage.join(job.part_dir(index), stages.DIGESTS_NAME)
    digest.update(storage.read_bytes(path))
  return digest.hexdigest()[:16]


def _describe(
  job: stages.Job,
  packer: dict[str, Any],
  counts: np.ndarray,
  digest: str,
) -> dict[str, Any]:
  """Returns what the manifest says: counts, and what the result depends on."""
  fingerprints = {
    'data': _digest_of_data(job),
    'tokenizer': job.tokenizer.fingerprint,
    'template': job.tokenizer.template_fingerprint,
    'packer': storage.fingerprint(packer),
    'sequences': digest,
  }
  tokens, loss_tokens = counts.sum(axis=0, dtype=np.int64).tolist()
  infos = job.part_infos()

  def total(key: str) -> int:
    return sum(info[key] for info in infos)

  dropped_ids = [i for info in infos for i in info['dropped_ids']]
  # Of what few sources have; others' manifests stay as they were.
  rare = {
    'masked_prefixes': total('masked'),
    'provenance': _known_provenance(job),
    'parts': len(job.parts) if len(job.parts) > 1 else 0,
    'left_over_sequences': job.plan()['left_overs'],
  }
  return {
    **{key: value for key, value in rare.items() if value},
    'source_kind': packer['kind'],
    'seq_len': job.seq_len,
    'vocab_size': job.tokenizer.vocab_size,
    'documents': total('documents'),
    'dropped': total('dropped'),
    'dropped_ids': dropped_ids[: encoding.DROPPED_IDS_KEPT],
    'sequences': len(counts),
    'tokens': tokens,
    'loss_tokens': loss_tokens,
    'splits': total('splits'),
    'fill': tokens / (len(counts) * job.seq_len),
    'packer': packer,
    'fingerprints': fingerprints,
    'fingerprint': storage.fingerprint(fingerprints),
  }
