"""What smaller optimizer states do to a loss, and how small they are.

  python benchmarks/optimizer_state.py

Trains the model of the quickstart on its base corpus, with every format that
`phases[…].optimizer` offers and with some that it does not, at two values of
`b2`. Seeds are of the initialisation and of the order of the data; at one seed
all formats begin with the same parameters and see the same batches. The loss is
that of batches which nobody has trained on. Printed for each format are bytes
of moments per parameter, its mean loss, and the difference from float32 at the
same `b2`, paired by seed, with its 95 % interval of Student's t. `error of √ν`
is by how much the root of the second moment, as it is kept at the end, is off
that of the exact average of the same gradients, relative to it: of half the
elements less than the first figure, of 99 % less than the second.

Formats in brackets are not offered. They are computed by rounding a float32
state after every update:
  [nu bfloat16]  the second moment to the nearest of bfloat16
  [nu uint8]     the second moment to the nearest of 0 … 255, times a scale for
                 each block of 32, the largest of which is 255
"""

from collections.abc import Callable
import dataclasses
import functools
import pathlib
import statistics
import subprocess
import sys
import tempfile
from typing import Any

from absl import app
from absl import flags

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from scipy import stats

from configs import quickstart
from msm_jax import data
from msm_jax import models
from msm_jax import training
from msm_jax.training import moments
from msm_jax.training import optimizer
from msm_jax.training import step as step_lib
from msm_jax.training.config import OptimizerConfig

SEEDS = flags.DEFINE_integer('seeds', 4, 'paired seeds')
UPDATES = flags.DEFINE_integer('updates', 150, 'of training')
ONLY = flags.DEFINE_list('only', None, 'names of formats, of which float32')
ROOT = flags.DEFINE_string(
  'root', None, "a quickstart's workdir, whose corpus of seed 20 is taken"
)
_HELD_OUT = 8
_ROWS = 4
_SEED = 20

Rounding = Callable[[jax.Array], jax.Array]


def to_bfloat16(nu: jax.Array) -> jax.Array:
  # A mere pair of casts is one that XLA may leave out.
  return jax.lax.reduce_precision(nu, exponent_bits=8, mantissa_bits=7)


def to_uint8(nu: jax.Array) -> jax.Array:
  if nu.shape[-1] % 8:
    return nu
  size = max(n for n in range(1, 33) if nu.shape[-1] % n == 0)
  blocks = nu.reshape(*nu.shape[:-1], -1, size)
  scale = jnp.max(blocks, axis=-1, keepdims=True) / 255
  scale = jnp.where(scale > 0, scale, 1.0)
  return (jnp.round(blocks / scale) * scale).reshape(nu.shape)


@dataclasses.dataclass(frozen=True)
class Format:
  """One row of the table."""

  name: str
  config: OptimizerConfig
  rounding: Rounding | None = None


def formats() -> list[Format]:
  rows = []
  for b2 in (0.95, 0.999):
    config = functools.partial(OptimizerConfig, b2=b2, weight_decay=0.05)
    small = {'mu_dtype': 'bfloat16', 'nu_format': 'log_uint8'}
    rows += [
      Format('float32', config()),
      Format('mu bfloat16', config(mu_dtype='bfloat16')),
      Format('nu log_uint8', config(nu_format='log_uint8')),
      Format('both', config(**small)),
      Format('[nu bfloat16]', config(), to_bfloat16),
      Format('[nu uint8]', config(), to_uint8),
    ]
  return rows


def make_data(root: pathlib.Path) -> None:
  """Makes the base corpus as the quickstart does."""
  corpus, seed = root / f'seed{_SEED}/corpus', f'--seed={_SEED}'
  source = f'{corpus}/base.parquet'
  for command in (
    ['data_gen.miniature', seed, f'--out={corpus}'],
    [
      'msm_jax.train_tokenizer',
      f'--input={source}',
      f'--vocab_size={quickstart.VOCAB_SIZE}',
      f'--out={root}/tokenizer',
    ],
    [
      'msm_jax.prepare',
      f'--input={source}',
      f'--tokenizer={root}/tokenizer',
      f'--seq_len={quickstart.SEQ_LEN}',
      f'--out={root}/seed{_SEED}/prepared/base',
    ],
  ):
    subprocess.run([sys.executable, '-m', *command], check=True)


def run_config(root: pathlib.Path, seed: int) -> training.RunConfig:
  raw = quickstart.run('base', _SEED, str(root))
  raw.seed = seed
  phase = raw.phases[0]
  phase.updates = UPDATES.value + _HELD_OUT
  phase.batch_size = _ROWS
  raw.phases = (ml_collections.ConfigDict(phase),)
  return training.load(raw)


class Trainer:
  """Programs that all formats and seeds share, and those of each format."""

  def __init__(self, config: training.RunConfig):
    self._phase = config.phases[0]
    self.model = models.Model(config.model)
    key = step_lib.StepKey.of(self._phase, config, models.ALONE)
    self._gradients = jax.jit(
      functools.partial(step_lib.summed_gradients, self.model, key)
    )
    self._init = jax.jit(self.model.init)
    self._updates: dict[Format, Any] = {}

  def _update(self, fmt: Format) -> Any:
    def update(
      grads: Any, sums: Any, state: Any, exact: Any, params: Any, rate: Any
    ) -> Any:
      grads = jax.tree.map(lambda g: g / jnp.sum(sums.weight), grads)
      before = params
      params, state, _ = optimizer.update(
        fmt.config, grads, state, before, rate
      )
      if fmt.rounding is not None:
        state = {**state, 'nu': jax.tree.map(fmt.rounding, state['nu'])}
      whole = OptimizerConfig(b2=fmt.config.b2)
      _, exact, _ = optimizer.update(whole, grads, exact, before, rate)
      return params, state, exact

    return self._updates.setdefault(
      fmt, jax.jit(update, donate_argnums=(2, 3, 4))
    )

  def train(
    self, fmt: Format, seed: int, batches: list[Any]
  ) -> tuple[float, np.ndarray]:
    """Trains on all batches but the last few.

    Returns:
      The mean loss of those, and the relative errors of √ν.
    """
    params = self._init(jax.random.key(seed))
    state = moments.init(fmt.config, params)
    exact = moments.init(OptimizerConfig(), params)
    update = self._update(fmt)
    n = len(batches) - _HELD_OUT
    for i, batch in enumerate(batches[:n]):
      rate = optimizer.learning_rate(self._phase.schedule, i, n)
      grads, sums = self._gradients(params, batch)
      params, state, exact = update(grads, sums, state, exact, params, rate)
    last = [self._gradients(params, b)[1] for b in batches[n:]]
    weight = sum(float(jnp.sum(s.weight)) for s in last)
    kept = moments.unpack(fmt.config, state, params).nu
    errors = [
      np.abs(np.sqrt(np.asarray(a)[b > 0] / b[b > 0]) - 1)
      for a, b in zip(
        jax.tree.leaves(kept),
        map(np.asarray, jax.tree.leaves(exact['nu'])),
        strict=True,
      )
    ]
    loss = sum(float(jnp.sum(s.loss)) for s in last) / weight
    return loss, np.concatenate(errors)

  def bytes_per_parameter(self, fmt: Format) -> float:
    params = self.model.abstract_params()
    state = jax.eval_shape(functools.partial(moments.init, fmt.config), params)
    nbytes = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(state))
    return nbytes / self.model.n_params()


def batches_of(config: training.RunConfig) -> list[Any]:
  mixture = data.mixture_for_phase(config, 0)
  n = UPDATES.value + _HELD_OUT
  return [
    {k: v for k, v in mixture.batch(i).items() if k in step_lib.BATCH_DTYPES}
    for i in range(n)
  ]


@dataclasses.dataclass
class Result:
  """Of one format: one loss for each seed, all errors."""

  losses: list[float] = dataclasses.field(default_factory=list)
  errors: list[np.ndarray] = dataclasses.field(default_factory=list)


def show(results: dict[Format, Result], trainer: Trainer) -> None:
  print(
    f'{"b2":>6} {"format":<14} {"bytes":>6} {"error of √ν":>15} {"loss":>8}  '
    'minus float32'
  )
  for fmt, result in results.items():
    (exact,) = [
      r
      for f, r in results.items()
      if f.name == 'float32' and f.config.b2 == fmt.config.b2
    ]
    pairs = zip(result.losses, exact.losses, strict=True)
    difference = [a - b for a, b in pairs]
    n = len(difference)
    half = stats.t.ppf(0.975, n - 1) * statistics.stdev(difference) / n**0.5
    nbytes = '' if fmt.rounding else f'{trainer.bytes_per_parameter(fmt):.2f}'
    errors = np.quantile(np.concatenate(result.errors), [0.5, 0.99])
    row = (
      f'{fmt.config.b2:>6} {fmt.name:<14} {nbytes:>6} {errors[0]:>7.1%} '
      f'{errors[1]:>7.1%} {np.mean(result.losses):>8.4f}'
    )
    if result is not exact:
      row += f'  {np.mean(difference):+.4f} ± {half:.4f}'
    print(row)


def main(argv: list[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f'unexpected arguments: {argv[1:]}')
  results = {
    fmt: Result()
    for fmt in formats()
    if ONLY.value is None or fmt.name in ONLY.value
  }
  with tempfile.TemporaryDirectory() as made:
    root = pathlib.Path(ROOT.value or made)
    if ROOT.value is None:
      make_data(root)
    trainer = Trainer(run_config(root, 0))
    for seed in range(SEEDS.value):
      batches = batches_of(run_config(root, seed))
      for fmt, result in results.items():
        loss, errors = trainer.train(fmt, seed, batches)
        result.losses.append(loss)
        result.errors.append(errors)
      losses = {
        f'{fmt.name}, b2 {fmt.config.b2}': round(result.losses[-1], 5)
        for fmt, result in results.items()
      }
      print(f'seed {seed}: {losses}', flush=True)
  show(results, trainer)


if __name__ == '__main__':
  app.run(main)
