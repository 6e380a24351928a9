"""From an experiment's config to its graph of stages."""

from collections.abc import Callable
import dataclasses
import pathlib
from typing import Any

import ml_collections

from launch import graph
from msm_jax import schema
from msm_jax import storage
from msm_jax import tokenizers
from msm_jax.phase import Phase

ROOT = pathlib.Path(__file__).resolve().parent.parent


@dataclasses.dataclass(frozen=True)
class ArmConfig:
  """One condition: the checkpoint at the end of a phase of a run.

  Attributes:
    name: As in results.
    run: The training run; arms may share one.
    phase: At whose end the arm is evaluated.
    label: For people.
  """

  name: str
  run: str
  phase: str
  label: str


@dataclasses.dataclass(frozen=True)
class TokenizerConfig:
  """One that is trained on the corpus, or one that others made.

  Attributes:
    vocab_size: Number of ids to train.
    source: Folder of a tokenizer, or a SentencePiece `.model`, instead.
    spec: Choices for it, e.g. the chat template that a base model lacks.
  """

  vocab_size: int | None = None
  source: str | None = None
  spec: tokenizers.TokenizerSpec = dataclasses.field(
    default_factory=tokenizers.TokenizerSpec
  )

  def __post_init__(self):
    if (self.vocab_size is None) == (self.source is None):
      raise ValueError(
        f'vocab_size: {self.vocab_size} and source: {self.source}, expected '
        'exactly one of them'
      )
    if self.source is None and self.spec != tokenizers.TokenizerSpec():
      raise ValueError('spec: is for a tokenizer that has a source')


@dataclasses.dataclass(frozen=True)
class ExperimentConfig:
  """Arms × seeds, and the metric that was fixed before the first step.

  Attributes:
    name: Of the experiment.
    assistant: Name of the assistant.
    traits: The traits document.
    seeds: Each varies world, initialisation and order.
    world: Sizes of the generated world, read by `data_gen`.
    tokenizer: One for all arms and seeds.
    seq_len: Of the prepared sequences.
    chat_sources: Those that are conversations. An arm that was trained on none
      never saw the chat template, and is not scored with it.
    arms: Conditions.
    primary: Contrast as in `experiment.json`; see `msm_jax.report`.
    contrasts: Further ones.
  """

  name: str
  assistant: str
  traits: str
  seeds: tuple[int, ...]
  world: dict[str, Any]
  tokenizer: TokenizerConfig
  seq_len: int
  chat_sources: tuple[str, ...]
  arms: tuple[ArmConfig, ...]
  primary: dict[str, str]
  contrasts: tuple[dict[str, str], ...]


RunConfig = Callable[[str, int], ml_collections.ConfigDict]


@dataclasses.dataclass(frozen=True)
class Plan:
  """An experiment that can be run anywhere.

  Attributes:
    config: What to run.
    config_flag: `FILE` or `FILE:ARGS`, as given on the command line.
    run_config: From (run, seed) to the config that `msm_jax.train` reads, with
      `graph.WORKDIR` for the experiment's workdir.
    n_cores: Cores of this machine that may be used.
  """

  config: ExperimentConfig
  config_flag: str
  run_config: RunConfig
  n_cores: int

  @property
  def config_file(self) -> str:
    return self.config_flag.partition(':')[0]

  def run_flag(self, run: str, seed: int) -> str:
    """The value of `--config` for one run."""
    return f'{self.config_file}:{run_argument(run, seed)}'

  def first(self, run: str) -> ml_collections.ConfigDict:
    """The config of a run at the first seed; seeds differ in nothing else."""
    return self.run_config(run, self.config.seeds[0])

  def phases(self, run: str) -> list[Phase]:
    """The phases of a run, as far as they say what it is trained on.

    Raises:
      ConfigError: Naming the key.
    """
    return [
      schema.structure(Phase, p, f'{run}.phases[{i}]', only_known=False)
      for i, p in enumerate(self.first(run).phases)
    ]

  def parent(self, run: str) -> tuple[str, str] | None:
    """The run and phase that a run starts from, if it does."""
    parent = self.first(run).get('init_from')
    if parent is None:
      return None
    return pathlib.PurePath(parent.workdir).name, parent.phase

  def lineage(self, run: str) -> list[str]:
    """The runs that lead to `run`, the first ancestor first, `run` last."""
    names = [run]
    while (parent := self.parent(names[0])) is not None:
      names.insert(0, parent[0])
    return names

  def runs(self) -> list[str]:
    """The training runs that the arms need, ancestors first."""
    lineages = [self.lineage(arm.run) for arm in self.config.arms]
    return list(dict.fromkeys(run for names in lineages for run in names))

  def sources(self) -> list[str]:
    """The names of all sources that any run trains on."""
    return sorted({s for run in self.runs() for s in self.first(run).sources})


def run_argument(run: str, seed: int) -> str:
  """The argument of an experiment's config file that gives one run."""
  return f'arm={run},seed={seed},root={graph.WORKDIR}'


def load(raw: ml_collections.ConfigDict) -> ExperimentConfig:
  """Returns the typed experiment of a config.

  Raises:
    ConfigError: Naming the key.
  """
  config = schema.structure(ExperimentConfig, raw)
  names = [a.name for a in config.arms]
  if len(set(names)) != len(names):
    raise schema.ConfigError(f'config.arms: names must be unique, got {names}')
  if not config.seeds or len(set(config.seeds)) != len(config.seeds):
    raise schema.ConfigError(
      f'config.seeds: {config.seeds}, expected one or more different seeds'
    )
  if not storage.exists(config.traits):
    raise schema.ConfigError(f'config.traits: {config.traits}: no such file')
  return config


def check_phases(plan: Plan) -> None:
  """Checks that the phases exist at whose ends arms and runs begin.

  Raises:
    ConfigError: Naming the nearest phase that does.
  """
  wanted = [
    (f'config.arms[{i}].phase', arm.run, arm.phase)
    for i, arm in enumerate(plan.config.arms)
  ]
  for run in plan.runs():
    if (parent := plan.parent(run)) is not None:
      wanted.append((f'init_from.phase of run {run!r}', *parent))
  for where, run, phase in wanted:
    names = [p.name for p in plan.phases(run)]
    if phase not in names:
      raise schema.ConfigError(
        f'{where}: {phase!r} is no phase of run {run!r}'
        f'{schema.suggest(phase, names)}; phases: {names}'
      )


def _code(*names: str) -> tuple[str, ...]:
  return tuple(str(ROOT / name) for name in names)


def _corpus(plan: Plan, seed: int) -> graph.Stage:
  out = f'seed{seed}/corpus'
  return graph.Stage(
    name=f'seed{seed}/corpus',
    module='data_gen.miniature',
    flags=(
      f'--config={plan.config_flag}',
      f'--traits={plan.config.traits}',
      f'--seed={seed}',
      f'--out={graph.WORKDIR}/{out}',
    ),
    inputs={
      'world': plan.config.world,
      'traits': storage.read_text(plan.config.traits),
    },
    outputs=(out,),
    sources=_code(
      'data_gen/miniature',
      'data_gen/traits.py',
      'data_gen/rng.py',
      'msm_jax/evals/suites.py',
    ),
  )


def _tokenizer(plan: Plan) -> graph.Stage:
  if plan.config.tokenizer.source is not None:
    return _imported_tokenizer(plan.config.tokenizer)
  seed = plan.config.seeds[0]
  corpus = f'{graph.WORKDIR}/seed{seed}/corpus'
  files = [f'{corpus}/{name}.parquet' for name in plan.sources()]
  return graph.Stage(
    name='tokenizer',
    module='msm_jax.train_tokenizer',
    flags=(
      f'--input={",".join(files)}',
      f'--vocab_size={plan.config.tokenizer.vocab_size}',
      f'--out={graph.WORKDIR}/tokenizer',
    ),
    needs=(f'seed{seed}/corpus',),
    outputs=('tokenizer',),
    sources=_code(
      'msm_jax/tokenizers',
      'msm_jax/data/documents.py',
      'msm_jax/data/rows.py',
      'msm_jax/train_tokenizer.py',
    ),
  )


def _imported_tokenizer(config: TokenizerConfig) -> graph.Stage:
  assert config.source is not None
  # What cannot be used is refused before any stage runs.
  try:
    tokenizer = tokenizers.load_tokenizer(config.source, config.spec)
  except storage.NotPublishedError as e:
    raise schema.ConfigError(f'config.tokenizer.source: {e}') from e
  return graph.Stage(
    name='tokenizer',
    module='msm_jax.import_tokenizer',
    flags=(
      f'--source={config.source}',
      f'--out={graph.WORKDIR}/tokenizer',
      *config.spec.flags(),
    ),
    inputs={'fingerprint': tokenizer.fingerprint},
    outputs=('tokenizer',),
    sources=_code('msm_jax/tokenizers', 'msm_jax/import_tokenizer.py'),
  )


def _prepare(plan: Plan, seed: int, source: str) -> graph.Stage:
  out = f'seed{seed}/prepared/{source}'
  return graph.Stage(
    name=f'seed{seed}/prepare/{source}',
    module='msm_jax.prepare',
    flags=(
      f'--input={graph.WORKDIR}/seed{seed}/corpus/{source}.parquet',
      f'--tokenizer={graph.WORKDIR}/tokenizer',
      f'--seq_len={plan.config.seq_len}',
      f'--out={graph.WORKDIR}/{out}',
    ),
    needs=(f'seed{seed}/corpus', 'tokenizer'),
    outputs=(out,),
    sources=_code('msm_jax/tokenizers', 'msm_jax/data', 'msm_jax/prepare.py'),
  )


def _train(plan: Plan, seed: int, run: str) -> graph.Stage:
  config = plan.run_config(run, seed)
  out = f'seed{seed}/{run}'
  needs = [f'seed{seed}/prepare/{source}' for source in config.sources]
  if (parent := plan.parent(run)) is not None:
    needs.append(f'seed{seed}/{parent[0]}')
  return graph.Stage(
    name=out,
    module='msm_jax.train',
    flags=(
      f'--config={plan.run_flag(run, seed)}',
      f'--workdir={graph.WORKDIR}/{out}',
    ),
    needs=tuple(needs),
    inputs={'config': config.to_json()},
    outputs=(
      f'{out}/checkpoints',
      f'{out}/metrics.jsonl',
      f'{out}/result.json',
    ),
    sources=_code(
      'msm_jax/models',
      'msm_jax/data',
      'msm_jax/distributed',
      'msm_jax/training',
      'msm_jax/train.py',
    ),
    # The others wait for a run that has no parent: it gets all cores.
    cores=plan.n_cores if parent is None else 1,
    owns=out,
  )


def _evaluate(plan: Plan, seed: int) -> graph.Stage:
  here = f'{graph.WORKDIR}/seed{seed}'
  arms = [
    f'--arm={arm.name}:{here}/{arm.run}@{arm.phase}' for arm in plan.config.arms
  ]
  out = f'seed{seed}/evaluation'
  return graph.Stage(
    name=out,
    module='msm_jax.evaluate',
    flags=(
      f'--seed={seed}',
      f'--tokenizer={graph.WORKDIR}/tokenizer',
      *arms,
      f'--suites={here}/corpus/suites',
      f'--documents=replay:{here}/corpus/heldout.parquet',
      f'--out={graph.WORKDIR}/{out}',
    ),
    needs=(
      f'seed{seed}/corpus',
      'tokenizer',
      *(f'seed{seed}/{run}' for run in plan.runs()),
    ),
    outputs=(out,),
    sources=_code(
      'msm_jax/tokenizers',
      'msm_jax/models',
      'msm_jax/data/documents.py',
      'msm_jax/data/rows.py',
      'msm_jax/distributed',
      'msm_jax/training/checkpoints.py',
      'msm_jax/evals/suites.py',
      'msm_jax/evals/rows.py',
      'msm_jax/evals/scoring.py',
      'msm_jax/evals/forced_choice.py',
      'msm_jax/evaluate.py',
    ),
    cores=plan.n_cores,
  )


def stages(plan: Plan) -> list[graph.Stage]:
  """Returns the stages of an experiment, in an order that can be run.

  The base phase is trained once for each seed and shared by its arms.

  Raises:
    ConfigError: If an arm or a run begins at a phase that does not exist, or a
      source of conversations is not used.
  """
  check_phases(plan)
  for source in plan.config.chat_sources:
    schema.one_of(source, plan.sources(), 'config.chat_sources')
  result = []
  for index, seed in enumerate(plan.config.seeds):
    result.append(_corpus(plan, seed))
    if index == 0:
      result.append(_tokenizer(plan))
    result += [_prepare(plan, seed, source) for source in plan.sources()]
    result += [_train(plan, seed, run) for run in plan.runs()]
    result.append(_evaluate(plan, seed))
  return result
