"""The training loop: phases of updates over `batch(step)`, resumable."""

import contextlib
import os
import pathlib
import time

import jax

from msm_jax import data
from msm_jax import distributed
from msm_jax import models
from msm_jax import progress
from msm_jax import schema
from msm_jax import storage
from msm_jax import tokenizers
from msm_jax.data.prefetch import Prefetcher
from msm_jax.log import logger
from msm_jax.training import checkpoints as checkpoints_lib
from msm_jax.training import environment
from msm_jax.training import flops
from msm_jax.training import guard
from msm_jax.training import identity as identity_lib
from msm_jax.training import loading
from msm_jax.training import metrics as metrics_lib
from msm_jax.training import phases
from msm_jax.training import preemption
from msm_jax.training import programs as programs_lib
from msm_jax.training import starting
from msm_jax.training import step as step_lib
from msm_jax.training import watch as watch_lib
from msm_jax.training import xla_options
from msm_jax.training.config import RunConfig
from msm_jax.training.dispatched import Dispatched
from msm_jax.training.result import params_sha256
from msm_jax.training.result import Result

_PREFETCH = 2


class Trainer:
  """One run in one workdir."""

  def __init__(self, config: RunConfig, workdir: str):
    """Checks everything that can be checked before the first update.

    Raises:
      ConfigError: For a config that cannot be run.
      MismatchError: If the workdir belongs to another run.
    """
    self._config, self._workdir = config, workdir
    self._mesh = models.make_mesh(config.mesh)
    self._layout = models.Layout(
      self._mesh, grad_reduce_dtype=config.grad_reduce_dtype
    )
    self._options = xla_options.of_mesh(config.xla_options, self._mesh)
    tokenizer = tokenizers.load_tokenizer(config.tokenizer)
    _check_vocabulary(tokenizer, config)
    self._mixtures = [
      data.mixture_for_phase(config, i) for i in range(len(config.phases))
    ]
    parent = starting.parent_meta(config)
    self._crossings = phases.crossings(
      config, parent.lora() if parent else None
    )
    self._plans = phases.plan(config, parent.schedule_position if parent else 0)
    for plan in self._plans:
      step_lib.check_shapes(self._model(plan), self._key(plan), self._layout)
    self._identity = identity_lib.of_run(
      config,
      tokenizer=tokenizer.fingerprint,
      mixtures={
        phase.name: mixture.describe()
        for phase, mixture in zip(config.phases, self._mixtures, strict=True)
      },
      init=parent.identity if parent else None,
    )
    identity_lib.check_processes(config, workdir, self._identity)
    identity_lib.claim_workdir(workdir, self._identity)
    self._guard = guard.LossGuard(config.max_loss_jump)
    self._flops_per_update = [
      flops.flops_per_token(self._model(p), p.phase.seq_len)
      * p.phase.tokens_per_update
      for p in self._plans
    ]
    self._warmed: Prefetcher[step_lib.Batch] | None = None
    self._start: starting.Start | None = None
    self._tokens_seen = 0
    self._last_finished = time.monotonic()
    self._last_metrics: dict[str, float] = {}

  def _model(self, plan: phases.Plan) -> models.Model:
    return self._crossings[plan.index].after

  @property
  def total_updates(self) -> int:
    return self._plans[-1].stop

  def train(self) -> Result:
    """Trains to the end, from wherever the workdir's checkpoints stand.

    Raises:
      Preempted: After SIGTERM, once a checkpoint is on disk.
      TrainingDivergedError: On a loss that is not finite or explodes.
      CheckpointError: If a checkpoint cannot be written.
      PeerLostError: If another process of the run has stopped.
    """
    with watch_lib.Watch(self._config.watch) as self._watch:
      return self._train()

  def _train(self) -> Result:
    for plan, mixture in zip(self._plans, self._mixtures, strict=True):
      logger.info('phase %s:\n%s', plan.phase.name, mixture.report())
    logger.info(
      '%s parameters, of which phases train %s; phases:\n%s',
      f'{models.Model(self._config.model).n_params():,}',
      ', '.join(f'{self._model(p).n_trained():,}' for p in self._plans),
      phases.table(self._plans),
    )
    if self._mesh.size > 1:
      sizes = ', '.join(
        f'{k} {v}' for k, v in self._mesh.shape.items() if v > 1
      )
      logger.info('mesh: %s', sizes)
    if self._options:
      shown = ' '.join(f'{k}={v}' for k, v in self._options.items())
      logger.info('XLA options: %s', shown)
    with contextlib.ExitStack() as stack:
      self._stack = stack
      self._checkpoints = stack.enter_context(
        checkpoints_lib.Checkpoints(
          storage.join(self._workdir, 'checkpoints'),
          keep=self._config.checkpoint.keep,
          always_keep=[p.stop for p in self._plans],
        )
      )
      self._listener = stack.enter_context(preemption.Listener())
      self._programs = programs_lib.Programs(
        self._config.model, self._layout, self._options
      )
      stack.callback(self._programs.close)
      step, self._start = self._restore_or_init()
      self._writer = stack.enter_context(
        contextlib.closing(self._open_writer(step))
      )
      self._progress = stack.enter_context(
        progress.Progress(
          os.path.basename(self._workdir.rstrip('/')),
          self._total_tokens(),
          'tokens',
          done=self._planned_tokens(step),
          shown=distributed.is_first(),
        )
      )
      for plan in self._plans:
        if step < plan.stop:
          self._run_phase(plan, step - plan.start)
          step = plan.stop
      digest = params_sha256(self._take_start().params)
      return Result(step, self._tokens_seen, digest)

  def _take_start(self) -> starting.Start:
    """Hands over what was reached; nothing else may keep it in memory."""
    start, self._start = self._start, None
    assert start is not None
    return start

  def _carries_moments(self, index: int) -> bool:
    """Whether moments cross into the phase of this index, if there is one."""
    phases_ = self._config.phases
    return index < len(phases_) and phases_[index].optimizer_state == 'carry'

  def _total_tokens(self) -> int:
    return sum(p.phase.n_tokens for p in self._plans)

  def _planned_tokens(self, step: int) -> int:
    return sum(
      (min(max(step, p.start), p.stop) - p.start) * p.phase.tokens_per_update
      for p in self._plans
    )

  def _open_writer(self, step: int) -> metrics_lib.Writer:
    if not distributed.is_first():
      return metrics_lib.NoWriter()
    wandb_config = self._identity.config if self._config.log_wandb else None
    return metrics_lib.MetricsWriter(
      self._workdir, resume_step=step, wandb_config=wandb_config
    )

  def _restore_or_init(self) -> tuple[int, starting.Start]:
    # Where parameters and moments come from, in this order:
    # 1. this workdir's latest checkpoint, if there is one;
    # 2. else the end of a phase of the run that `init_from` names: parameters,
    #    and also moments if the first phase carries them;
    # 3. else a random initialisation from the seed.
    # Of a store that lists late, one process may know more than another.
    latest = self._checkpoints.latest()
    step = distributed.from_first(-1 if latest is None else latest)
    if step < 0:
      before = self._crossings[0].before
      return 0, starting.begin(self._config, before, self._layout)
    meta = self._checkpoints.meta(step)
    identity_lib.check_same(
      self._identity,
      meta.config,
      meta.fingerprints,
      f'the checkpoint {self._workdir}/checkpoints/{step}',
    )
    identity_lib.warn_about_environment(meta.environment)
    self._tokens_seen = int(meta.metrics['tokens_seen'])
    self._last_metrics = dict(meta.metrics)
    logger.info('continuing from the checkpoint of step %d', step)
    (plan,) = [p for p in self._plans if p.phase.name == meta.phase]
    carried = self._carries_moments(plan.index + 1)
    return step, starting.load(
      self._checkpoints,
      step,
      self._model(plan),
      self._layout,
      with_moments=carried or not meta.phase_ended,
    )

  def _loader(
    self, plan: phases.Plan, first: int
  ) -> Prefetcher[step_lib.Batch]:
    batch = loading.batches(self._mixtures[plan.index], self._layout)
    updates = plan.stop - plan.start
    return data.prefetch(batch, first, updates, depth=_PREFETCH)

  def _key(self, plan: phases.Plan) -> step_lib.StepKey:
    return step_lib.StepKey.of(plan.phase, self._config, self._layout)

  def _warm_next(self, plan: phases.Plan) -> None:
    """Compiles the next phase's step and fills its loader, meanwhile."""
    if plan.index + 1 < len(self._plans):
      following = self._plans[plan.index + 1]
      self._programs.request(self._key(following))
      self._programs.request(self._crossings[following.index])
      if following.phase.optimizer_state != 'carry':
        self._programs.request(programs_lib.ZeroMoments.of(following.phase))
      self._warmed = self._loader(following, 0)
      self._stack.callback(self._warmed.close)

  def _take_loader(
    self, plan: phases.Plan, first: int
  ) -> Prefetcher[step_lib.Batch]:
    warmed, self._warmed = self._warmed, None
    if warmed is not None and first == 0:
      return warmed
    return self._loader(plan, first)

  def _enter(self, plan: phases.Plan) -> step_lib.TrainState:
    """Takes parameters and moments over the boundary into a phase."""
    self._watch.doing('crossing', plan.start)
    start = self._take_start()
    cross = self._programs.crossing(self._crossings[plan.index])
    key = jax.random.key(self._config.seed)
    # New adapters are others than those of the phase before.
    key = jax.random.fold_in(key, plan.index + 1)
    distributed.meet()
    params = cross(start.params, key)
    zeros = None
    if plan.phase.optimizer_state != 'carry':
      zeros = self._programs.zero_moments(
        programs_lib.ZeroMoments.of(plan.phase)
      )
    return phases.enter(plan.phase, params, start.moments, self._layout, zeros)

  def _run_phase(self, plan: phases.Plan, first: int) -> None:
    """Runs the updates of a phase from number `first` on."""
    self._guard.new_phase()
    if first == 0:
      state = self._enter(plan)
    else:
      params, moments = self._take_start()
      assert moments is not None
      state = step_lib.TrainState(params, moments)
      del params, moments
    self._watch.doing('compiling', plan.start + first)
    program = self._programs.step(self._key(plan))
    distributed.meet()
    pending: Dispatched | None = None
    self._last_finished = time.monotonic()
    self._watch.new_phase()
    with contextlib.closing(self._take_loader(plan, first)) as batches:
      for update in range(first, plan.stop - plan.start):
        self._watch.doing('reading its batch', plan.start + update)
        batch = next(batches)
        self._watch.doing('computing', plan.start + update)
        learning_rate = plan.learning_rate(update)
        state, metrics = program(state, batch, learning_rate)
        # The metrics of the update before this one are read only now, so that
        # the device never waits for the host.
        if pending is not None:
          self._finish(pending)
        step = plan.start + update + 1
        pending = Dispatched(step, plan, update, float(learning_rate), metrics)
        if update == first:
          self._warm_next(plan)
        stop = self._listener.requested(step)
        if stop or self._must_save(plan, step):
          self._finish(pending)
          pending = None
          self._save(plan, step, state)
        if stop:
          self._checkpoints.wait()
          logger.info('SIGTERM: saved at step %d; run again to continue', step)
          raise preemption.Preempted(step)
    carried = self._carries_moments(plan.index + 1)
    self._start = starting.Start(
      state.params, state.optimizer if carried else None
    )

  def _must_save(self, plan: phases.Plan, step: int) -> bool:
    return step == plan.stop or step % self._config.checkpoint.every == 0

  def _save(
    self, plan: phases.Plan, step: int, state: step_lib.TrainState
  ) -> None:
    update = step - plan.start
    self._watch.doing('saving', step)
    self._writer.flush()  # A checkpoint never knows more than the log.
    self._checkpoints.save(
      state,
      checkpoints_lib.Meta(
        step=step,
        phase=plan.phase.name,
        phase_update=update,
        phase_ended=step == plan.stop,
        schedule_position=plan.schedule_offset + update,
        config=self._identity.config,
        fingerprints=self._identity.fingerprints,
        environment=environment.describe(),
        metrics=self._last_metrics,
        base=phases.base_phase(self._plans, plan.index),
      ),
    )
    self._watch.paused()

  def _finish(self, pending: Dispatched) -> None:
    """Reads an update's metrics, checks them, and writes its record."""
    plan, mixture = pending.plan, self._mixtures[pending.plan.index]
    loss = float(pending.metrics.loss)
    grad_norm = float(pending.metrics.grad_norm)
    if problem := self._guard.problem(loss, grad_norm):
      raise guard.TrainingDivergedError(
        pending.explain(mixture, problem, self._last_good())
      )
    self._tokens_seen += sum(
      tokens for tokens, _ in mixture.counts(pending.update).values()
    )
    self._watch.finished()
    now = time.monotonic()
    seconds = max(now - self._last_finished, 1e-9)
    self._last_finished = now
    peak = flops.peak_flops(self._mesh.devices.flat[0].device_kind)
    rate = self._flops_per_update[plan.index] / seconds
    self._writer.write(
      pending.record(
        mixture,
        tokens_seen=self._tokens_seen,
        seconds=seconds,
        mfu=rate / (peak * self._mesh.size) if peak else None,
      )
    )
    self._last_metrics = {'loss': loss, 'tokens_seen': self._tokens_seen}
    done = f'{pending.update + 1}/{plan.stop - plan.start}'
    self._progress.advance(
      plan.phase.tokens_per_update,
      f'{plan.phase.name} {done} loss {loss:.3f}',
    )

  def _last_good(self) -> str:
    self._checkpoints.wait()
    good = self._checkpoints.latest()
    step = 'none' if good is None else f'step {good}'
    return f'{step} in {self._workdir}/checkpoints'


def _check_vocabulary(
  tokenizer: tokenizers.Tokenizer, config: RunConfig
) -> None:
  if tokenizer.vocab_size > config.model.vocab_size:
    raise schema.ConfigError(
      f'model.vocab_size: {config.model.vocab_size} is smaller than the '
      f'{tokenizer.vocab_size} ids of the tokenizer {config.tokenizer}'
    )


def train(config: RunConfig, workdir: pathlib.Path | str) -> Result:
  """Trains a run to its end, continuing from the workdir's last checkpoint.

  Args:
    config: The run.
    workdir: Where its checkpoints and metrics are, or will be; local or
      `gs://`.

  Returns:
    The number of updates and tokens, and the fingerprint of the parameters.
  """
  storage.make_dirs(workdir)
  return Trainer(config, str(workdir)).train()
