"""From an experiment's config to its graph of stages."""

from collections.abc import Callable
import dataclasses
import pathlib
from typing import Any

import ml_collections

from launch import graph
from msm_jax import schema

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
  """Attributes:
  vocab_size: Number of ids.
  """

  vocab_size: int


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
  arms: tuple[ArmConfig, ...]
  primary: dict[str, str]
  contrasts: tuple[dict[str, str], ...]


RunConfig = Callable[[str, int], ml_collections.ConfigDict]


@dataclasses.dataclass(frozen=True)
class Plan:
  """An experiment placed in a workdir.

  Attributes:
    config: What to run.
    config_flag: `FILE` or `FILE:ARGS`, as given on the command line.
    workdir: Where everything goes.
    run_config: From (run, seed) to the config that `msm_jax.train` reads.
    n_cores: Cores of this machine that may be used.
  """

  config: ExperimentConfig
  config_flag: str
  workdir: pathlib.Path
  run_config: RunConfig
  n_cores: int

  @property
  def config_file(self) -> str:
    return self.config_flag.partition(':')[0]

  def run_flag(self, run: str, seed: int) -> str:
    """The value of `--config` for one run."""
    return f'{self.config_file}:arm={run},seed={seed},root={self.workdir}'

  def runs(self) -> list[str]:
    """The training runs that the arms need, `init_from` parents first."""
    ordered: dict[str, None] = {}
    for arm in self.config.arms:
      parent = self.run_config(arm.run, self.config.seeds[0]).get('init_from')
      if parent is not None:
        ordered.setdefault(pathlib.Path(parent.workdir).name)
      ordered.setdefault(arm.run)
    return list(ordered)

  def sources(self) -> list[str]:
    """The names of all sources that any run trains on."""
    names = {
      source
      for run in self.runs()
      for source in self.run_config(run, self.config.seeds[0]).sources
    }
    return sorted(names)


def load(raw: ml_collections.ConfigDict) -> ExperimentConfig:
  """Returns the typed experiment of a config.

  Raises:
    ConfigError: Naming the key.
  """
  config = schema.structure(ExperimentConfig, raw)
  names = [a.name for a in config.arms]
  if len(set(names)) != len(names):
    raise schema.ConfigError(f'config.arms: names must be unique, got {names}')
  if not config.seeds:
    raise schema.ConfigError('config.seeds: is empty, expected one or more')
  return config


def _code(*names: str) -> tuple[str, ...]:
  return tuple(str(ROOT / name) for name in names)


def _corpus(plan: Plan, seed: int) -> graph.Stage:
  out = f'seed{seed}/corpus'
  return graph.Stage(
    name=f'seed{seed}/corpus',
    module='data_gen',
    flags=(
      f'--config={plan.config_flag}',
      f'--traits={plan.config.traits}',
      f'--seed={seed}',
      f'--out={plan.workdir / out}',
    ),
    inputs={
      'world': plan.config.world,
      'traits': pathlib.Path(plan.config.traits).read_text(encoding='utf-8'),
    },
    outputs=(out,),
    sources=_code('data_gen', 'msm_jax/evals/suites.py'),
  )


def _tokenizer(plan: Plan) -> graph.Stage:
  seed = plan.config.seeds[0]
  corpus = plan.workdir / f'seed{seed}/corpus'
  files = [f'{corpus}/{name}.parquet' for name in plan.sources()]
  return graph.Stage(
    name='tokenizer',
    module='msm_jax.train_tokenizer',
    flags=(
      f'--input={",".join(files)}',
      f'--vocab_size={plan.config.tokenizer.vocab_size}',
      f'--out={plan.workdir / "tokenizer"}',
    ),
    needs=(f'seed{seed}/corpus',),
    outputs=('tokenizer',),
    sources=_code('msm_jax/tokenizers', 'msm_jax/train_tokenizer.py'),
  )


def _prepare(plan: Plan, seed: int, source: str) -> graph.Stage:
  out = f'seed{seed}/prepared/{source}'
  return graph.Stage(
    name=f'seed{seed}/prepare/{source}',
    module='msm_jax.prepare',
    flags=(
      f'--input={plan.workdir}/seed{seed}/corpus/{source}.parquet',
      f'--tokenizer={plan.workdir / "tokenizer"}',
      f'--seq_len={plan.config.seq_len}',
      f'--out={plan.workdir / out}',
    ),
    needs=(f'seed{seed}/corpus', 'tokenizer'),
    outputs=(out,),
    sources=_code('msm_jax/tokenizers', 'msm_jax/data', 'msm_jax/prepare.py'),
  )


def _train(plan: Plan, seed: int, run: str) -> graph.Stage:
  config = plan.run_config(run, seed)
  out = f'seed{seed}/{run}'
  needs = [f'seed{seed}/prepare/{source}' for source in config.sources]
  parent = config.get('init_from')
  if parent is not None:
    needs.append(f'seed{seed}/{pathlib.Path(parent.workdir).name}')
  return graph.Stage(
    name=out,
    module='msm_jax.train',
    flags=(
      f'--config={plan.run_flag(run, seed)}',
      f'--workdir={plan.workdir / out}',
    ),
    needs=tuple(needs),
    inputs={'config': config.to_json()},
    outputs=(
      f'{out}/checkpoints',
      f'{out}/metrics.jsonl',
      f'{out}/result.json',
    ),
    sources=_code(
      'msm_jax/models', 'msm_jax/data', 'msm_jax/training', 'msm_jax/train.py'
    ),
    # The others wait for a run that has no parent: it gets all cores.
    cores=plan.n_cores if parent is None else 1,
    owns=out,
  )


def _evaluate(plan: Plan, seed: int) -> graph.Stage:
  here = plan.workdir / f'seed{seed}'
  arms = [
    f'--arm={arm.name}:{here}/{arm.run}@{arm.phase}' for arm in plan.config.arms
  ]
  out = f'seed{seed}/evaluation'
  return graph.Stage(
    name=out,
    module='msm_jax.evaluate',
    flags=(
      f'--seed={seed}',
      f'--tokenizer={plan.workdir / "tokenizer"}',
      *arms,
      f'--suites={here}/corpus/suites',
      f'--documents=replay:{here}/corpus/heldout.parquet',
      f'--out={plan.workdir / out}',
    ),
    needs=(
      f'seed{seed}/corpus',
      'tokenizer',
      *(f'seed{seed}/{run}' for run in plan.runs()),
    ),
    outputs=(out,),
    sources=_code('msm_jax/models', 'msm_jax/evals', 'msm_jax/evaluate.py'),
    cores=plan.n_cores,
  )


def stages(plan: Plan) -> list[graph.Stage]:
  """Returns the stages of an experiment, in an order that can be run.

  The base phase is trained once for each seed and shared by its arms.
  """
  result = []
  for index, seed in enumerate(plan.config.seeds):
    result.append(_corpus(plan, seed))
    if index == 0:
      result.append(_tokenizer(plan))
    result += [_prepare(plan, seed, source) for source in plan.sources()]
    result += [_train(plan, seed, run) for run in plan.runs()]
    result.append(_evaluate(plan, seed))
  return result
