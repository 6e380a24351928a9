"""Whether a workdir, a checkpoint and a config belong together."""

import dataclasses
import pathlib
from typing import Any

from msm_jax import distributed
from msm_jax import schema
from msm_jax import storage
from msm_jax.log import logger
from msm_jax.training import config as config_lib
from msm_jax.training import environment

FILE_NAME = 'run.json'


class MismatchError(schema.ConfigError):
  """What is on disk was made by another config, tokenizer or data."""


@dataclasses.dataclass(frozen=True)
class Identity:
  """What determines a run's result.

  Attributes:
    config: The part of the config that changes the result.
    fingerprints: Of the tokenizer, of every phase's mixture (its sources, its
      order) and of the checkpoint that the run starts from.
  """

  config: dict[str, Any]
  fingerprints: dict[str, Any]


def of_run(
  config: config_lib.RunConfig,
  *,
  tokenizer: str,
  mixtures: dict[str, Any],
  init: str | None,
) -> Identity:
  return Identity(
    config=config_lib.result_config(config),
    fingerprints={'tokenizer': tokenizer, 'mixtures': mixtures, 'init': init},
  )


def _explain(found: list[tuple[str, Any, Any]]) -> str:
  return '\n'.join(
    f'  {key}: there {theirs!r}, here {ours!r}' for key, ours, theirs in found
  )


def check_same(
  here: Identity, there_config: Any, there_fingerprints: Any, what: str
) -> None:
  """Raises `MismatchError` naming every difference, if there is one."""
  found = schema.differences(here.config, there_config)
  found += schema.differences(
    here.fingerprints, there_fingerprints, 'fingerprints'
  )
  if found:
    raise MismatchError(
      f'{what} was made with something else:\n{_explain(found)}\n'
      'Use another --workdir, or undo the change'
    )


def claim_workdir(workdir: pathlib.Path | str, here: Identity) -> None:
  """Records whose workdir this is, or checks that it is ours.

  Args:
    workdir: Local or `gs://`.
    here: Who we are.

  Raises:
    MismatchError: If it belongs to a run with another result.
  """
  path = storage.join(workdir, FILE_NAME)
  if storage.exists(path):
    there = storage.read_json(path)
    check_same(
      here, there['config'], there['fingerprints'], f'the workdir {workdir}'
    )
  elif distributed.is_first():
    storage.write_atomic(path, storage.canonical_json(dataclasses.asdict(here)))


def check_processes(
  config: config_lib.RunConfig, workdir: pathlib.Path | str, here: Identity
) -> None:
  """Checks that all processes do the same run on the same mesh.

  Raises:
    ConfigError: Naming the keys that differ from those of process 0.
  """
  same = {
    'workdir': str(workdir),
    'config': here.config,
    'fingerprints': here.fingerprints,
    'checkpoint': dataclasses.asdict(config.checkpoint),
    'mesh': dataclasses.asdict(config.mesh),
    'loss_group': config.loss_group,
    'xla_options': config.xla_options,
  }
  distributed.check_alike(same)


def warn_about_environment(there: dict[str, Any]) -> None:
  """Warns where results may differ in the last bits from those so far."""
  found = schema.differences(environment.describe(), there, 'environment')
  if found:
    logger.warning(
      "the environment differs from the checkpoint's; the result will not be "
      'bitwise that of an uninterrupted run:\n%s',
      _explain(found),
    )
