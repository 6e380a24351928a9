"""The metrics writer: JSONL always, TensorBoard, and W&B if asked for.

One record per update. On a resume the log is cut back to the checkpoint's step
first, so it has neither gaps nor duplicates however the run was interrupted. In
a bucket, whose files cannot grow, it is carried on at every checkpoint.
"""

from collections.abc import Sequence
import json
import os
import pathlib
import tempfile
from typing import Any
from typing import Protocol

import numpy as np
import tensorboardX

from msm_jax import storage
from msm_jax.log import logger

FILE_NAME = 'metrics.jsonl'


def flatten(record: dict[str, Any], prefix: str = '') -> dict[str, float]:
  """Returns the numbers of a nested record, keys joined with `/`."""
  flat: dict[str, float] = {}
  for key, value in record.items():
    if isinstance(value, dict):
      flat |= flatten(value, f'{prefix}{key}/')
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
      flat[prefix + key] = float(value)
  return flat


def loss_by_source(
  sources: Sequence[str], row_loss: Any, row_weight: Any
) -> dict[str, float]:
  """Returns Σ loss / Σ weight over the rows of each source."""
  loss, weight = np.asarray(row_loss), np.asarray(row_weight)
  names = np.asarray(sources)
  return {
    str(name): float(loss[names == name].sum())
    / max(float(weight[names == name].sum()), 1e-8)
    for name in np.unique(names)
  }


def _cut_back(path: str, step: int) -> None:
  """Drops records after `step`, and a last line that was cut short."""
  if not storage.exists(path):
    if step:
      raise ValueError(
        f'{path}: is missing, but the checkpoint is at step {step}; '
        'the metrics of a run belong to it: restore the file, or start over'
      )
    return
  kept = []
  for line in storage.read_bytes(path).splitlines():
    try:
      record = json.loads(line)
    except ValueError:
      break  # A killed writer's last line; all that follows is not there.
    if record['step'] > step:
      break
    kept.append(line + b'\n')
  if len(kept) != step:
    raise ValueError(
      f'{path}: has {len(kept)} whole records up to step {step}; '
      'expected one per update. Was the file edited? Start over in a new '
      'workdir'
    )
  storage.write_atomic(path, b''.join(kept))


class Writer(Protocol):
  """Where records of updates go."""

  def write(self, record: dict[str, Any]) -> None: ...

  def flush(self) -> None: ...

  def close(self) -> None: ...


class NoWriter:
  """Of processes that leave writing to the first."""

  def write(self, record: dict[str, Any]) -> None:
    pass

  def flush(self) -> None:
    pass

  def close(self) -> None:
    pass


class MetricsWriter:
  """Writes records `{'step': int, …}`, in order, one per update."""

  def __init__(
    self,
    workdir: pathlib.Path | str,
    *,
    resume_step: int,
    wandb_config: dict[str, Any] | None = None,
  ):
    """Opens the log of a run.

    Args:
      workdir: Of the run.
      resume_step: Updates already done; later records are dropped.
      wandb_config: The config to send to Weights & Biases, or None not to use
        it. A failure of W&B is logged and never stops a run.
    """
    storage.make_dirs(workdir)
    _cut_back(storage.join(workdir, FILE_NAME), resume_step)
    self._scratch = None
    self._growing: storage.GrowingFiles | None = None
    folder = pathlib.Path(workdir)
    if storage.is_remote(workdir):
      self._scratch = tempfile.TemporaryDirectory(prefix='msm_jax-')
      folder = pathlib.Path(self._scratch.name)
      self._growing = storage.GrowingFiles(folder, str(workdir))
    # Line-buffered: whoever watches the file sees each update at once.
    self._file = open(  # noqa: SIM115
      folder / FILE_NAME, 'a', encoding='utf-8', buffering=1
    )
    self._board = tensorboardX.SummaryWriter(
      str(folder / 'tensorboard'), purge_step=resume_step + 1, flush_secs=30
    )
    name = os.path.basename(str(workdir).rstrip('/'))
    self._wandb = _start_wandb(name, folder, wandb_config)

  def write(self, record: dict[str, Any]) -> None:
    self._file.write(json.dumps(record, allow_nan=False) + '\n')
    step = record['step']
    flat = flatten({k: v for k, v in record.items() if k != 'step'})
    for key, value in flat.items():
      self._board.add_scalar(key, value, step)
    if self._wandb is not None:
      try:
        self._wandb.log(flat, step=step)
      except Exception as e:
        logger.warning('W&B failed (%r); the run goes on without it', e)
        self._wandb = None

  def flush(self) -> None:
    """Puts all records on disk; called before a checkpoint is written."""
    self._file.flush()
    os.fsync(self._file.fileno())
    if self._growing is not None:
      self._board.flush()
      self._growing.flush()

  def close(self) -> None:
    self.flush()
    self._file.close()
    self._board.close()
    if self._growing is not None and self._scratch is not None:
      self._growing.flush()
      self._scratch.cleanup()
    if self._wandb is not None:
      self._wandb.finish()


def _start_wandb(
  name: str, folder: pathlib.Path, config: dict[str, Any] | None
) -> Any | None:
  if config is None:
    return None
  try:
    import wandb  # An optional extra.

    return wandb.init(
      project='msm_jax', name=name, dir=str(folder), config=config
    )
  except Exception as e:
    logger.warning('W&B could not be started (%r); running without it', e)
    return None
