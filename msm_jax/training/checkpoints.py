"""Checkpoints: one layout in every phase, written in the background, atomic.

A checkpoint `<directory>/<step>/` holds three items: `params`, `optimizer` and
`meta` (JSON: where in the phases it was taken, the config, fingerprints of
tokenizer and data, and the environment). Orbax writes to a temporary name and
renames, so a directory called `<step>` is always whole.
"""

from collections.abc import Collection
import dataclasses
import pathlib
from typing import Any

from etils import epath
import jax
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from msm_jax import models
from msm_jax import storage
from msm_jax.training import restoring
from msm_jax.training import step as step_lib

CheckpointError = restoring.CheckpointError

# What a part of a leaf is stored in, if the leaf is larger: whoever reads one
# layer, or one device's part, reads little else.
_CHUNK_BYTES = 4 << 20
# First keys of leaves with a leading axis of layers.
_STACKS = ('layers', 'last_layers')


@dataclasses.dataclass(frozen=True)
class Meta:
  """What is known of a checkpoint besides its arrays; JSON on disk.

  Attributes:
    step: Updates done since the run began.
    phase: Name of the phase that the last of them belonged to.
    phase_update: Updates done in that phase.
    phase_ended: Whether that was the phase's last update.
    schedule_position: Updates of the schedule done, over carried phases.
    config: The part of the config that changes the result.
    fingerprints: Of tokenizer, mixtures and the checkpoint it started from.
    environment: Versions, flags and devices; see `environment.describe`.
    metrics: Of the last update, e.g. its loss.
  """

  step: int
  phase: str
  phase_update: int
  phase_ended: bool
  schedule_position: int
  config: dict[str, Any]
  fingerprints: dict[str, Any]
  environment: dict[str, Any]
  metrics: dict[str, float]

  @property
  def identity(self) -> str:
    """16 hex digits of all that determined the parameters."""
    return storage.fingerprint(
      {
        'step': self.step,
        'config': self.config,
        'fingerprints': self.fingerprints,
      }
    )


def _chunks(path: tuple[Any, ...], leaf: jax.Array) -> ocp.SaveArgs:
  """How a leaf of the parameters is cut up on disk."""
  if leaf.nbytes <= _CHUNK_BYTES:
    return ocp.SaveArgs()
  layers = (0,) if path[0].key in _STACKS else ()
  return ocp.SaveArgs(chunk_byte_size=_CHUNK_BYTES, shard_axes=layers)


def _manager(
  directory: pathlib.Path | str,
  *,
  keep: int | None,
  always_keep: Collection[int],
  read_only: bool,
) -> ocp.CheckpointManager:
  policy = None
  if keep is not None:
    policy = checkpoint_managers.AnyPreservationPolicy(
      [
        checkpoint_managers.LatestN(keep),
        checkpoint_managers.CustomSteps(sorted(always_keep)),
      ]
    )
  options = ocp.CheckpointManagerOptions(
    preservation_policy=policy,
    enable_async_checkpointing=not read_only,
    cleanup_tmp_directories=not read_only,
    create=not read_only,
    read_only=read_only,
  )
  if not storage.is_remote(directory):
    directory = pathlib.Path(directory).absolute()
  return ocp.CheckpointManager(
    directory, options=options, item_names=('params', 'optimizer', 'meta')
  )


class Checkpoints:
  """The checkpoints of one run."""

  def __init__(
    self,
    directory: pathlib.Path | str,
    *,
    keep: int | None = None,
    always_keep: Collection[int] = (),
    read_only: bool = False,
  ):
    """Opens a directory of checkpoints.

    Args:
      directory: Local or `gs://`.
      keep: How many of the latest to keep; None keeps all.
      always_keep: Steps that are kept in any case, e.g. ends of phases.
      read_only: Whether to refuse to write or clean up.

    Raises:
      CheckpointError: If it is to be read only and there is none.
    """
    self._directory = directory
    if read_only and not storage.exists(directory):
      raise CheckpointError(
        f'{directory}: no checkpoints here; train that run first'
      )
    self._manager = _manager(
      directory, keep=keep, always_keep=always_keep, read_only=read_only
    )
    self._pending: int | None = None

  def steps(self) -> list[int]:
    """Returns the steps that can be restored, ascending."""
    return sorted(self._manager.all_steps())

  def latest(self) -> int | None:
    return self._manager.latest_step()

  def save(self, state: step_lib.TrainState, meta: Meta) -> None:
    """Copies the state and writes it in the background.

    Raises:
      CheckpointError: If the write before this one failed.
    """
    self.wait()
    self._pending = meta.step
    try:
      self._manager.save(
        meta.step,
        args=ocp.args.Composite(
          params=ocp.args.StandardSave(
            state.params,
            jax.tree_util.tree_map_with_path(_chunks, state.params),
          ),
          optimizer=ocp.args.StandardSave(state.optimizer),
          meta=ocp.args.JsonSave(dataclasses.asdict(meta)),
        ),
      )
    except (OSError, ValueError) as e:
      raise self._write_error(e) from e

  def wait(self) -> None:
    """Waits until the last `save` is on disk.

    Raises:
      CheckpointError: If it could not be written, e.g. on a full disk.
    """
    try:
      self._manager.wait_until_finished()
    except (OSError, ValueError) as e:
      raise self._write_error(e) from e
    self._pending = None

  def _write_error(self, cause: Exception) -> CheckpointError:
    whole = [s for s in self.steps() if s != self._pending]
    last = f'step {whole[-1]}' if whole else 'none'
    return CheckpointError(
      f'{self._directory}: the checkpoint of step {self._pending} could not '
      f'be written ({cause}); the last good one is {last}. Make room on the '
      'disk and run the same command again to continue from it'
    )

  def meta(self, step: int) -> Meta:
    restored = self._manager.restore(
      step, args=ocp.args.Composite(meta=ocp.args.JsonRestore())
    )
    return Meta(**restored['meta'])

  def phase_end(self, phase: str) -> int:
    """Returns the step at which `phase` ended.

    Raises:
      CheckpointError: If no checkpoint marks the end of that phase.
    """
    ended = [m.phase for m in map(self.meta, self.steps()) if m.phase_ended]
    for step in self.steps():
      meta = self.meta(step)
      if meta.phase == phase and meta.phase_ended:
        return step
    raise CheckpointError(
      f'{self._directory}: no checkpoint at the end of phase {phase!r}; '
      f'phases that have ended: {ended or "none"}'
    )

  def params(self, step: int, model: models.Model, sharding: Any) -> Any:
    """Restores the parameters only.

    Args:
      step: One of `steps()`.
      model: Whose parameters they are; they are cast to its `param_dtype`.
      sharding: One for all leaves, or a tree with one for each.

    Raises:
      CheckpointError: If they are another model's, or would be rounded.
    """
    return self._restore(step, 'params', model.abstract_params(), sharding)

  def state(
    self, step: int, model: models.Model, sharding: Any
  ) -> step_lib.TrainState:
    """Restores parameters and moments, each onto `sharding`.

    Raises:
      CheckpointError: Also if there are no moments, as in a checkpoint that
        was converted from a published model.
    """
    abstract = step_lib.abstract_state(model)
    if not (self._item(step, 'optimizer')).exists():
      raise CheckpointError(
        f'{self._directory}/{step}: has no optimizer moments, so none can be '
        "carried over: begin with optimizer_state='fresh'"
      )
    return step_lib.TrainState(
      params=self._restore(step, 'params', abstract.params, sharding),
      optimizer=self._restore(step, 'optimizer', abstract.optimizer, sharding),
    )

  def _item(self, step: int, name: str) -> epath.Path:
    return self._manager.directory / str(step) / name

  def _restore(self, step: int, name: str, abstract: Any, sharding: Any) -> Any:
    return restoring.restore(
      self._item(step, name), restoring.place(abstract, sharding)
    )

  def close(self) -> None:
    self.wait()
    self._manager.close()
