"""Checkpoints: one layout in every phase, written in the background, atomic.

A checkpoint `<directory>/<step>/` holds three items: `params`, `optimizer` and
`meta` (JSON: where in the phases it was taken, the config, fingerprints of
tokenizer and data, and the environment). Orbax writes to a temporary name and
renames, so a directory called `<step>` is always whole.

Where adapters are trained, `params` holds these alone. The frozen base is an
item `frozen` of the first checkpoint that has it, which is kept as long as the
run; `meta` of later ones names that step.
"""

from collections.abc import Collection
from collections.abc import Mapping
import dataclasses
import pathlib
from typing import Any

from etils import epath
import jax
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from msm_jax import distributed
from msm_jax import models
from msm_jax import schema
from msm_jax import storage
from msm_jax.models import lora as lora_lib
from msm_jax.training import restoring
from msm_jax.training import step as step_lib
from msm_jax.training.config import OptimizerConfig

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
    base: Phase at whose beginning the frozen base was made, if there is one.
    base_step: The checkpoint that holds it.
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
  base: str | None = None
  base_step: int | None = None

  def lora(self) -> lora_lib.LoRAConfig | None:
    """Returns the adapters that the phase trained, if it did."""
    if (raw := self._phase().get('lora')) is None:
      return None
    return schema.structure(lora_lib.LoRAConfig, raw, f'{self.phase}.lora')

  def optimizer(self) -> OptimizerConfig:
    """Returns the optimizer of the phase, which says how moments are kept."""
    raw = self._phase().get('optimizer', {})
    return schema.structure(OptimizerConfig, raw, f'{self.phase}.optimizer')

  def _phase(self) -> dict[str, Any]:
    (phase,) = [p for p in self.config['phases'] if p['name'] == self.phase]
    return phase

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


@dataclasses.dataclass(frozen=True)
class _KeepBases(checkpoint_managers.PreservationPolicy):
  """Keeps the checkpoints that hold a frozen base.

  Attributes:
    bases: Their steps; grows while the run goes on.
  """

  bases: Mapping[str, int]

  def should_preserve(self, checkpoints, *, context):
    del context
    return [c.step in self.bases.values() for c in checkpoints]


def _manager(
  directory: pathlib.Path | str,
  *,
  keep: int | None,
  always_keep: Collection[int],
  bases: Mapping[str, int],
  read_only: bool,
) -> ocp.CheckpointManager:
  policy = None
  if keep is not None:
    policy = checkpoint_managers.AnyPreservationPolicy(
      [
        checkpoint_managers.LatestN(keep),
        checkpoint_managers.CustomSteps(sorted(always_keep)),
        _KeepBases(bases),
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
    directory,
    options=options,
    item_names=('params', 'frozen', 'optimizer', 'meta'),
  )


def _save_args(params: models.Params) -> ocp.args.StandardSave:
  return ocp.args.StandardSave(
    params, jax.tree_util.tree_map_with_path(_chunks, params)
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
    # By phase, the step that holds the base which was made at its beginning.
    self._bases: dict[str, int] = {}
    self._manager = _manager(
      directory,
      keep=keep,
      always_keep=always_keep,
      bases=self._bases,
      read_only=read_only,
    )
    for meta in map(self.meta, self.steps()):
      if meta.base is not None and meta.base_step is not None:
        self._bases[meta.base] = meta.base_step
    self._pending: int | None = None

  def steps(self) -> list[int]:
    """Returns the steps that can be restored, ascending."""
    return sorted(self._manager.all_steps())

  def latest(self) -> int | None:
    return self._manager.latest_step()

  def save(self, state: step_lib.TrainState, meta: Meta) -> None:
    """Copies the state and writes it in the background.

    The frozen base, if there is one, is written if no earlier checkpoint has
    the same, by `meta.base`; `meta.base_step` is filled in here.

    Raises:
      CheckpointError: If the write before this one failed.
    """
    self.wait()
    self._pending = meta.step
    trained, frozen = lora_lib.split(state.params)
    items = {'params': _save_args(trained)}
    if frozen:
      assert meta.base is not None
      holder = self._bases.setdefault(meta.base, meta.step)
      if holder == meta.step:
        items['frozen'] = _save_args(frozen)
      meta = dataclasses.replace(meta, base_step=holder)
    try:
      self._manager.save(
        meta.step,
        args=ocp.args.Composite(
          optimizer=ocp.args.StandardSave(state.optimizer),
          meta=ocp.args.JsonSave(dataclasses.asdict(meta)),
          **items,
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

  def has_moments(self, step: int) -> bool:
    """Whether there are optimizer moments; a conversion writes none."""
    return self._item(step, 'optimizer').exists()

  def params(self, step: int, model: models.Model, sharding: Any) -> Any:
    """Restores the parameters only.

    Args:
      step: One of `steps()`.
      model: Whose parameters they are; they are cast to its `param_dtype`.
      sharding: One for all leaves, or a tree with one for each.

    Raises:
      CheckpointError: If they are another model's, or would be rounded.
    """
    trained, frozen = lora_lib.split(model.abstract_params())
    ours = theirs = sharding
    if isinstance(sharding, dict):
      ours, theirs = lora_lib.split(sharding)
    params = self._restore(step, 'params', trained, ours)
    if not frozen:
      return params
    holder = self.meta(step).base_step
    if holder is None:
      raise CheckpointError(
        f'{self._directory}/{step}: has no adapters, but the model has'
      )
    base = self._restore(holder, 'frozen', frozen, theirs)
    return lora_lib.join(params, base)

  def state(
    self, step: int, model: models.Model, sharding: Any
  ) -> step_lib.TrainState:
    """Restores parameters and moments.

    Args:
      step: One of `steps()`.
      model: Whose they are.
      sharding: One for all leaves, or a `TrainState` with one for each.

    Raises:
      CheckpointError: Also if there are no moments, as in a checkpoint that
        was converted from a published model.
    """
    abstract = step_lib.abstract_state(model, self.meta(step).optimizer())
    of_params = of_moments = sharding
    if isinstance(sharding, step_lib.TrainState):
      of_params, of_moments = sharding
    if not self.has_moments(step):
      raise CheckpointError(
        f'{self._directory}/{step}: has no optimizer moments, so none can be '
        "carried over: begin with optimizer_state='fresh'"
      )
    return step_lib.TrainState(
      params=self.params(step, model, of_params),
      optimizer=self._restore(
        step, 'optimizer', abstract.optimizer, of_moments
      ),
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

  def __enter__(self) -> 'Checkpoints':
    return self

  def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
    # After a failure that other processes may not share, to finish a write
    # together with them would be to wait for ever.
    failed = kind is not None and issubclass(kind, Exception)
    if distributed.count() == 1 or not failed:
      self.close()
