"""Scores checkpoints on forced-choice suites and held-out documents.

    python -m msm_jax.evaluate --seed=0 --tokenizer=DIR \\
      --arm=sft_only:runs/x/sft_only@sft --arm=base:runs/x/base@base \\
      --suites=DIR --documents=replay:heldout.parquet --out=DIR

Several processes share the work: see `python -m msm_jax.train --help`. Each has
all parameters on its own devices, scores its part, and process 0 writes.

An arm is `NAME:WORKDIR@PHASE`: the checkpoint at the end of that phase of that
run. Writes `rows.parquet` (one row per arm, suite, item and order; the report
is made from these alone) and `samples.jsonl` (answers, greedily decoded).
"""

from collections.abc import Mapping
from collections.abc import Sequence
import contextlib
import dataclasses
import functools
import io
import json
from typing import Any

from absl import app
from absl import flags
import jax
import numpy as np
import pyarrow.parquet as pq

from msm_jax import data
from msm_jax import distributed
from msm_jax import log
from msm_jax import models
from msm_jax import progress
from msm_jax import schema
from msm_jax import storage
from msm_jax import tokenizers
from msm_jax import training
from msm_jax.evals import forced_choice
from msm_jax.evals import rows as rows_lib
from msm_jax.evals import scoring
from msm_jax.evals import suites as suites_lib
from msm_jax.models import axes

_NEW_TOKENS = 24

Suites = Mapping[str, forced_choice.PreparedSuite]
Documents = Mapping[str, Sequence[forced_choice.Document]]


@dataclasses.dataclass(frozen=True)
class Arm:
  """The checkpoint at the end of a phase of a run.

  Attributes:
    name: As in rows.
    workdir: Of the run.
    phase: At whose end the checkpoint was taken.
  """

  name: str
  workdir: str
  phase: str


def parse_arm(text: str) -> Arm:
  """Splits `NAME:WORKDIR@PHASE`.

  Raises:
    ConfigError: If it is not of that form.
  """
  name, _, rest = text.partition(':')
  workdir, _, phase = rest.rpartition('@')
  if not (name and workdir and phase):
    raise schema.ConfigError(f'--arm={text}: expected NAME:WORKDIR@PHASE')
  return Arm(name, workdir, phase)


def parse_arms(texts: Sequence[str]) -> list[Arm]:
  """Parses several arms, whose names must differ."""
  arms = [parse_arm(t) for t in texts]
  names = [a.name for a in arms]
  if repeated := sorted({n for n in names if names.count(n) > 1}):
    raise schema.ConfigError(f'--arm: {repeated} are given more than once')
  return arms


@dataclasses.dataclass(frozen=True)
class Checkpoint:
  """An arm's checkpoint, found but not loaded.

  Attributes:
    arm: Whose it is.
    step: Its step.
    model: Its architecture.
    seq_len: Length of the sequences that it was trained on.
  """

  arm: Arm
  step: int
  model: models.Model
  seq_len: int

  def params(self, layout: models.Layout | None = None) -> models.Params:
    """Restores the parameters onto a mesh, or this process's first device."""
    layout = layout or _layout(jax.local_devices()[:1])
    shardings = axes.shardings(self.model.abstract_params(), layout)
    with _open(self.arm) as checkpoints:
      return checkpoints.params(self.step, self.model, shardings)


def _layout(devices: Sequence[Any], **sizes: int) -> models.Layout:
  return models.Layout(models.make_mesh(models.MeshConfig(**sizes), devices))


def layout_here(found: Sequence[Checkpoint]) -> models.Layout:
  """Returns how parameters lie on the devices of this process.

  In parts, or as copies if not all of them can be cut in so many parts.
  Processes need not keep step with each other so.
  """
  devices = jax.local_devices()
  layout = _layout(devices, data=1, fsdp=-1)
  try:
    for checkpoint in found:
      axes.shardings(checkpoint.model.abstract_params(), layout)
  except schema.ConfigError:
    return _layout(devices)
  return layout


def _open(arm: Arm) -> contextlib.closing[training.Checkpoints]:
  return contextlib.closing(
    training.Checkpoints(
      storage.join(arm.workdir, 'checkpoints'), read_only=True
    )
  )


def find_checkpoint(arm: Arm, tokenizer: tokenizers.Tokenizer) -> Checkpoint:
  """Finds the checkpoint of an arm, without its parameters.

  Raises:
    ConfigError: If that run was trained with another tokenizer.
    CheckpointError: If there is no such checkpoint; names those that there are.
  """
  with _open(arm) as checkpoints:
    step = checkpoints.phase_end(arm.phase)
    meta = checkpoints.meta(step)
  there = meta.fingerprints['tokenizer']
  if there != tokenizer.fingerprint:
    raise schema.ConfigError(
      f'--tokenizer: its fingerprint is {tokenizer.fingerprint}, but '
      f'{arm.workdir} was trained with {there}; its scores would be '
      'meaningless: give the tokenizer of that run'
    )
  config = schema.structure(
    models.DecoderConfig, meta.config['model'], f'{arm.workdir}: model'
  )
  return Checkpoint(
    arm,
    step,
    models.Model(config, meta.lora()),
    max(phase['seq_len'] for phase in meta.config['phases']),
  )


def read_suites(
  folder: str, tokenizer: tokenizers.Tokenizer, on_unequal: str
) -> Suites:
  """Reads and tokenises every `*.jsonl` of a folder, by its name.

  Raises:
    ValueError: If there is none, or one is not a suite that can be scored.
  """
  names = [n for n in storage.list_dir(folder) if n.endswith('.jsonl')]
  if not names:
    raise schema.ConfigError(f'--suites={folder}: no *.jsonl files there')
  prepared = {}
  for name in names:
    suite = name.removesuffix('.jsonl')
    items = list(suites_lib.read_suite(storage.join(folder, name)))
    for item in items:
      if item.suite != suite:
        raise ValueError(f'{folder}/{name}: has {item.where} of another suite')
    suites_lib.check_suite(items)
    prepared[suite] = forced_choice.prepare_suite(
      tokenizer, items, on_unequal=on_unequal
    )
    if dropped := prepared[suite].dropped:
      log.logger.warning(
        'suite %s: dropped %d items whose options differ in length: %s',
        suite,
        len(dropped),
        ', '.join(dropped[:5]),
      )
  return prepared


def read_documents(spec: str) -> tuple[str, list[forced_choice.Document]]:
  """Reads `SUITE:FILE`; documents are clustered by `genre`, if they have one.

  Raises:
    ValueError: If it is not of that form, or the file is not of documents with
      different ids.
  """
  suite, _, path = spec.partition(':')
  if not (suite and path):
    raise schema.ConfigError(f'--documents={spec}: expected SUITE:FILE')
  genres = _genres(path)
  documents: dict[str, forced_choice.Document] = {}
  for item in data.read_items([path], kind='documents'):
    assert isinstance(item, data.Document)
    if item.id in documents:
      raise ValueError(f'{path}, row {item.row}: id {item.id!r} occurs twice')
    genre = genres[item.row] if genres else None
    documents[item.id] = forced_choice.Document(
      item.id, item.text, genre or item.id
    )
  return suite, list(documents.values())


def _genres(path: str) -> list[str | None]:
  """The genre of each row, or nothing where there is no such column."""
  if not path.endswith('.parquet'):
    return []
  with storage.open_published(path) as f:
    file = pq.ParquetFile(f)
    if 'genre' not in file.schema_arrow.names:
      return []
    return file.read(columns=['genre'])['genre'].to_pylist()


def sample_answers(
  model: models.Model,
  params: models.Params,
  tokenizer: tokenizers.Tokenizer,
  suite: forced_choice.PreparedSuite,
  *,
  arm: str,
  n: int,
) -> list[dict[str, str]]:
  """Decodes answers to items spread over a suite, for people to read."""
  stride = max(len(suite.items) // max(n, 1), 1)
  # An odd stride visits both option orders.
  items = suite.items[:: stride | 1][:n]
  prompts = [forced_choice.prompt_tokens(tokenizer, i) for i in items]
  answers = models.sample(
    model,
    params,
    prompts,
    models.SamplingConfig(
      max_new_tokens=_NEW_TOKENS,
      temperature=0,
      stop_ids=(tokenizer.end_of_turn_id, tokenizer.eos_id),
    ),
  )
  return [
    {
      'arm': arm,
      'suite': item.suite,
      'item': item.item,
      'prompt': tokenizer.decode(prompt),
      'answer': tokenizer.decode(answer.tokens),
    }
    for item, prompt, answer in zip(items, prompts, answers, strict=True)
  ]


@dataclasses.dataclass(frozen=True)
class Results:
  """Result rows, and answers for people to read."""

  rows: list[rows_lib.Row]
  samples: list[dict[str, str]]


def evaluate(
  arms: Sequence[Arm],
  *,
  tokenizer: tokenizers.Tokenizer,
  suites: Suites,
  documents: Documents,
  seed: int,
  samples: int = 0,
) -> Results:
  """Scores every arm on every suite and all documents.

  Args:
    arms: Whose checkpoints are scored; all are found before one is scored.
    tokenizer: Of all arms.
    suites: See `read_suites`.
    documents: See `read_documents`, by suite.
    seed: Written to rows.
    samples: Answers to decode for each arm and suite.
  """
  if repeated := sorted(set(suites) & set(documents)):
    raise schema.ConfigError(
      f'--documents: {repeated} are names of suites already'
    )
  found = [find_checkpoint(arm, tokenizer) for arm in arms]
  # One for all arms, or their perplexities would not compare.
  max_length = min(c.seq_len for c in found)
  layout = layout_here(found)
  n_options = sum(len(r) for s in suites.values() for r in s.requests)
  n_documents = sum(map(len, documents.values()))
  rows: list[rows_lib.Row] = []
  answers: list[dict[str, str]] = []
  with progress.Progress(
    f'evaluate seed {seed}',
    (n_options + n_documents) * len(arms) / distributed.count(),
    'options',
    shown=distributed.is_first(),
  ) as report:
    for checkpoint in found:
      model, params = checkpoint.model, checkpoint.params(layout)
      arm = checkpoint.arm.name
      score = functools.partial(
        _score_shared, model, params, layout=layout, report=report
      )
      for suite in suites.values():
        rows += forced_choice.score_suite(score, suite, arm=arm, seed=seed)
        if distributed.is_first():
          answers += sample_answers(
            model, params, tokenizer, suite, arm=arm, n=samples
          )
      for name, texts in documents.items():
        rows += forced_choice.score_documents(
          score,
          tokenizer,
          texts,
          suite=name,
          arm=arm,
          seed=seed,
          max_length=max_length,
        )
  return Results(rows, answers)


def _score_shared(
  model: models.Model,
  params: models.Params,
  requests: Sequence[scoring.Request],
  *,
  layout: models.Layout,
  report: progress.Progress,
) -> np.ndarray:
  """Scores requests, each in one of the processes; all get all scores."""
  n, out = distributed.count(), np.zeros(len(requests), np.float64)
  mine = requests[distributed.index() :: n]
  scores = scoring.score(model, params, mine, layout=layout, report=report)
  for i, raw in enumerate(distributed.gather(scores.tobytes())):
    out[i::n] = np.frombuffer(raw, np.float64)
  return out


def define_flags() -> None:
  """Defines the flags; not at import, since importers have their own."""
  distributed.define_flags()
  flags.DEFINE_multi_string(
    'arm', None, 'NAME:WORKDIR@PHASE; repeat for each arm.', required=True
  )
  flags.DEFINE_integer('seed', None, 'Written to rows.', required=True)
  flags.DEFINE_string('tokenizer', None, 'Its folder', required=True)
  flags.DEFINE_string('suites', None, 'Folder of *.jsonl suites.')
  flags.DEFINE_multi_string(
    'documents', [], 'SUITE:FILE of documents, for perplexity; may be repeated.'
  )
  flags.DEFINE_string('out', None, 'Folder to publish.', required=True)
  flags.DEFINE_integer(
    'samples', 4, 'Answers to decode for each arm and suite.', lower_bound=0
  )
  flags.DEFINE_enum(
    'on_unequal_options',
    'error',
    ['error', 'drop'],
    'What to do with items whose options differ in token length.',
  )


def _evaluate_flags() -> Results:
  """Evaluates what the flags ask for."""
  tokenizer = tokenizers.load_tokenizer(flags.FLAGS.tokenizer)
  suites: Suites = {}
  if flags.FLAGS.suites is not None:
    suites = read_suites(
      flags.FLAGS.suites, tokenizer, flags.FLAGS.on_unequal_options
    )
  documents = dict(read_documents(spec) for spec in flags.FLAGS.documents)
  if not suites and not documents:
    raise schema.ConfigError('--suites, --documents: nothing to evaluate')
  return evaluate(
    parse_arms(flags.FLAGS.arm),
    tokenizer=tokenizer,
    suites=suites,
    documents=documents,
    seed=flags.FLAGS.seed,
    samples=flags.FLAGS.samples,
  )


def main(argv: list[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f'unexpected arguments: {argv[1:]}')
  try:
    distributed.join_by_flags({'--out': flags.FLAGS.out})
    if not distributed.is_first():
      _evaluate_flags()
      return
    with storage.publish(flags.FLAGS.out, kind='evaluation') as publication:
      results = _evaluate_flags()
      rows_lib.write_rows(publication.dir / 'rows.parquet', results.rows)
      lines = io.StringIO()
      for answer in results.samples:
        lines.write(json.dumps(answer, ensure_ascii=False) + '\n')
      storage.write_atomic(publication.dir / 'samples.jsonl', lines.getvalue())
      publication.info.update(
        seed=flags.FLAGS.seed,
        arms=[arm.name for arm in parse_arms(flags.FLAGS.arm)],
        rows=len(results.rows),
      )
  except (ValueError, OSError, training.CheckpointError) as e:
    log.logger.error('%s', e)
    distributed.leave(1)
  except Exception as e:
    distributed.leave_or_raise(e)


if __name__ == '__main__':
  define_flags()
  log.configure()
  app.run(main)
