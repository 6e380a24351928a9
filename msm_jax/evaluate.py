"""Scores checkpoints on forced-choice suites and held-out documents.

    python -m msm_jax.evaluate --seed=0 --tokenizer=DIR \\
      --arm=sft_only:runs/x/sft_only@sft --arm=base:runs/x/base@base \\
      --suites=DIR --documents=replay:heldout.parquet --out=DIR

An arm is `NAME:WORKDIR@PHASE`: the checkpoint at the end of that phase of that
run. Writes `rows.parquet` (one row per arm, suite, item and order; the report
is made from these alone) and `samples.jsonl` (answers, greedily decoded).
"""

from collections.abc import Sequence
import contextlib
import functools
import json
import pathlib
import sys

from absl import app
from absl import flags
import jax
import pyarrow.parquet as pq

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

_ARMS = flags.DEFINE_multi_string(
  'arm', None, 'NAME:WORKDIR@PHASE; repeat for each arm.', required=True
)
_SEED = flags.DEFINE_integer('seed', None, 'Written to rows.', required=True)
_TOKENIZER = flags.DEFINE_string('tokenizer', None, 'Its folder', required=True)
_SUITES = flags.DEFINE_string('suites', None, 'Folder of *.jsonl suites.')
_DOCUMENTS = flags.DEFINE_multi_string(
  'documents', [], 'SUITE:FILE.parquet, for perplexity; may be repeated.'
)
_OUT = flags.DEFINE_string('out', None, 'Folder to publish.', required=True)
_SAMPLES = flags.DEFINE_integer(
  'samples', 4, 'Answers to decode for each arm and suite.', lower_bound=0
)
_ON_UNEQUAL = flags.DEFINE_enum(
  'on_unequal_options',
  'error',
  ['error', 'drop'],
  'What to do with items whose options differ in token length.',
)
_NEW_TOKENS = 24


def parse_arm(text: str) -> tuple[str, str, str]:
  """Splits `NAME:WORKDIR@PHASE`.

  Raises:
    ValueError: If it is not of that form.
  """
  name, colon, rest = text.partition(':')
  workdir, at, phase = rest.rpartition('@')
  if not (name and colon and workdir and at and phase):
    raise ValueError(f'--arm={text}: expected NAME:WORKDIR@PHASE')
  return name, workdir, phase


def load_checkpoint(
  workdir: str, phase: str, tokenizer: tokenizers.Tokenizer
) -> tuple[models.Model, models.Params]:
  """Restores the parameters at the end of a phase of a run.

  Raises:
    ConfigError: If that run was trained with another tokenizer.
    CheckpointError: If there is no such checkpoint.
  """
  with contextlib.closing(
    training.Checkpoints(storage.join(workdir, 'checkpoints'), read_only=True)
  ) as checkpoints:
    step = checkpoints.phase_end(phase)
    meta = checkpoints.meta(step)
    there = meta.fingerprints['tokenizer']
    if there != tokenizer.fingerprint:
      raise schema.ConfigError(
        f'--tokenizer: its fingerprint is {tokenizer.fingerprint}, but '
        f'{workdir} was trained with {there}; its scores would be meaningless'
      )
    config = schema.structure(models.DecoderConfig, meta.config['model'])
    model = models.Model(config)
    sharding = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    return model, checkpoints.params(step, model, sharding)


def read_documents(spec: str) -> tuple[str, list[forced_choice.Document]]:
  """Reads `SUITE:FILE.parquet`; documents are clustered by `genre`, if any."""
  suite, colon, path = spec.partition(':')
  if not (suite and colon and path):
    raise ValueError(f'--documents={spec}: expected SUITE:FILE.parquet')
  table = pq.read_table(path).to_pylist()
  return suite, [
    forced_choice.Document(
      row['id'], row['text'], str(row.get('genre') or row['id'])
    )
    for row in table
  ]


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
  answers = models.greedy(
    model,
    params,
    prompts,
    new_tokens=_NEW_TOKENS,
    stop_ids={tokenizer.end_of_turn_id, tokenizer.eos_id},
  )
  return [
    {
      'arm': arm,
      'suite': item.suite,
      'item': item.item,
      'prompt': tokenizer.decode(prompt),
      'answer': tokenizer.decode(answer),
    }
    for item, prompt, answer in zip(items, prompts, answers, strict=True)
  ]


def evaluate(
  arms: Sequence[tuple[str, str, str]],
  *,
  tokenizer: tokenizers.Tokenizer,
  suites: str | None,
  documents: Sequence[str],
  seed: int,
  samples: int,
  on_unequal: str,
) -> tuple[list[rows_lib.Row], list[dict[str, str]]]:
  """Scores every arm on every suite.

  Returns:
    Result rows and sampled answers.
  """
  prepared = {}
  if suites is not None:
    for file in sorted(pathlib.Path(suites).glob('*.jsonl')):
      items = list(suites_lib.read_suite(file))
      prepared[file.stem] = forced_choice.prepare_suite(
        tokenizer, items, on_unequal=on_unequal
      )
      if dropped := prepared[file.stem].dropped:
        log.logger.warning(
          'suite %s: dropped %d items whose options differ in length: %s',
          file.stem,
          len(dropped),
          ', '.join(dropped[:5]),
        )
  texts = dict(read_documents(spec) for spec in documents)
  if not prepared and not texts:
    raise ValueError('--suites, --documents: nothing to evaluate')
  n_requests = sum(
    sum(len(r) for r in suite.requests) for suite in prepared.values()
  ) + sum(map(len, texts.values()))
  rows: list[rows_lib.Row] = []
  answers: list[dict[str, str]] = []
  with progress.Progress(
    f'evaluate seed {seed}', n_requests * len(arms), 'options'
  ) as report:
    for arm, workdir, phase in arms:
      model, params = load_checkpoint(workdir, phase, tokenizer)
      score = functools.partial(scoring.score, model, params, report=report)
      for suite in prepared.values():
        rows += forced_choice.score_suite(score, suite, arm=arm, seed=seed)
        if samples:
          answers += sample_answers(
            model, params, tokenizer, suite, arm=arm, n=samples
          )
      for name, docs in texts.items():
        rows += forced_choice.score_documents(
          score, tokenizer, docs, suite=name, arm=arm, seed=seed
        )
  return rows, answers


def main(argv: list[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f'unexpected arguments: {argv[1:]}')
  log.configure()
  try:
    tokenizer = tokenizers.load_tokenizer(_TOKENIZER.value)
    rows, answers = evaluate(
      [parse_arm(a) for a in _ARMS.value],
      tokenizer=tokenizer,
      suites=_SUITES.value,
      documents=_DOCUMENTS.value,
      seed=_SEED.value,
      samples=_SAMPLES.value,
      on_unequal=_ON_UNEQUAL.value,
    )
  except (ValueError, FileNotFoundError, training.CheckpointError) as e:
    log.logger.error('%s', e)
    sys.exit(1)
  with storage.publish(_OUT.value, kind='evaluation') as publication:
    rows_lib.write_rows(publication.dir / 'rows.parquet', rows)
    lines = [json.dumps(a, ensure_ascii=False) + '\n' for a in answers]
    (publication.dir / 'samples.jsonl').write_text(
      ''.join(lines), encoding='utf-8'
    )
    publication.info.update(
      seed=_SEED.value,
      arms=[a.partition(':')[0] for a in _ARMS.value],
      rows=len(rows),
    )


if __name__ == '__main__':
  app.run(main)
