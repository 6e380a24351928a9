"""Runs whose phases train adapters: checkpoints, boundaries, resumes."""

import contextlib
import dataclasses
import itertools
import json
import os
import shutil
import subprocess
import sys

import jax
import lora_run
import ml_collections
import numpy as np
import one_device
import processes
import pytest
import tiny_run

from msm_jax import evaluate
from msm_jax import models
from msm_jax import tokenizers
from msm_jax import training
from msm_jax.evals import scoring
from msm_jax.models import crossing
from msm_jax.models import lora

_TIMING = {'tokens_per_second', 'mfu'}
ENDS = lora_run.ENDS


@pytest.fixture(scope='module')
def root(tmp_path_factory):
  path = tmp_path_factory.mktemp('lora')
  tiny_run.make_sources(path)
  return path


def _train(root, workdir, change=lambda config: None):
  config = lora_run.get_config(str(root))
  change(config)
  return training.train(training.load(config), workdir)


@pytest.fixture(scope='module')
def whole(root):
  """A run that keeps all its checkpoints, and its result."""

  def keep_all(config):
    config.checkpoint.keep = 1000

  return root / 'whole', _train(root, root / 'whole', keep_all)


def _records(workdir):
  return [
    {k: v for k, v in record.items() if k not in _TIMING}
    for record in processes.records(workdir)
  ]


@contextlib.contextmanager
def _opened(workdir):
  with contextlib.closing(
    training.Checkpoints(workdir / 'checkpoints', read_only=True)
  ) as checkpoints:
    yield checkpoints


def _params(workdir, step):
  """The model and the parameters of a checkpoint."""
  with _opened(workdir) as checkpoints:
    meta = checkpoints.meta(step)
    config = training.load(lora_run.get_config('/nowhere')).model
    model = models.Model(config, meta.lora())
    return model, checkpoints.params(step, model, _here())


def _here():
  return jax.sharding.SingleDeviceSharding(jax.devices()[0])


def _same(a, b):
  jax.tree.map(np.testing.assert_array_equal, a, b)


def _crossed(params, before, after, how, index):
  key = jax.random.fold_in(jax.random.key(0), index + 1)
  cross = crossing.Crossing(before, after, how).compile(one_device.layout())
  return cross(params, key)


# In an adapters' phase; where they are carried on, merged, dropped, merged for
# good; and where a base was written by an earlier checkpoint.
@pytest.mark.parametrize('step', [8, 12, 25])
def test_a_run_goes_on_bitwise_from_any_checkpoint(root, whole, step, tmp_path):
  workdir, result = whole
  killed = tmp_path / 'killed'
  shutil.copytree(workdir, killed)
  for name in os.listdir(killed / 'checkpoints'):
    if int(name) > step:
      shutil.rmtree(killed / 'checkpoints' / name)
  assert _train(root, killed) == result
  assert _records(killed) == _records(workdir)


def _killed(root, workdir, kills):
  """Runs to the end, through kills; returns the steps there after each."""
  done = subprocess.run(
    [
      *(sys.executable, 'tests/lora_process.py', str(root), str(workdir)),
      *(f'{point}:{phase}' for point, phase in kills),
    ],
    cwd=processes.ROOT,
    capture_output=True,
    check=False,
    text=True,
  )
  assert done.returncode == 0, done.stderr[-3000:]
  return json.loads(done.stdout.splitlines()[-1])


def _assert_ends_as(killed, undisturbed):
  workdir, result = undisturbed
  found = json.loads((killed / 'result.json').read_text())
  assert found == dataclasses.asdict(result)
  assert _records(killed) == _records(workdir)


def test_sigkill_where_adapters_cross_changes_no_bit_of_the_end(
  root, whole, tmp_path
):
  kills = [('entering', 'more'), ('saving', 'sft'), ('entered', 'again')]
  there = _killed(root, tmp_path / 'run', kills)
  # That of the phase's end may be whole or not; that of the new base is not.
  assert max(there[0]) in (8, ENDS['midtrain'])
  assert max(there[1]) == ENDS['more']
  assert max(there[2]) in (18, ENDS['sft'])
  _assert_ends_as(tmp_path / 'run', whole)


@pytest.mark.slow
def test_sigkill_at_every_boundary_changes_no_bit_of_the_end(
  root, whole, tmp_path
):
  kills = [
    (point, phase)
    for phase in list(ENDS)[1:]
    for point in ('entering', 'entered', 'saving')
  ]
  _killed(root, tmp_path / 'run', kills)
  _assert_ends_as(tmp_path / 'run', whole)


def _files(folder):
  """Every file's path and time of change."""
  return {p: p.stat().st_mtime_ns for p in folder.rglob('*') if p.is_file()}


@pytest.mark.parametrize(
  'changes, message',
  [
    ({'lora': {'rank': 3}}, r'phases\[1\].lora.rank: there 2, here 3'),
    ({'lora': {'alpha': 8.0}}, r'phases\[1\].lora.alpha: there 4.0, here 8.0'),
    (
      {'lora': {'base': 'int8'}},
      r"phases\[1\].lora.base: there 'nf4', here 'int8'",
    ),
    (
      {'lora': {'dora': True}},
      r'phases\[2\].lora.dora: there False, here True',
    ),
    (
      {'lora': {'targets': ('*/attention/q',)}},
      r"phases\[1\].lora.targets.*here .*'\*/attention/q'",
    ),
    (
      {'adapters': 'fresh', 'optimizer_state': 'fresh'},
      r"phases\[2\].adapters: there 'carry', here 'fresh'",
    ),
  ],
)
def test_other_adapters_are_refused_on_resume_and_nothing_is_touched(
  root, whole, changes, message
):
  workdir, _ = whole

  def change(config):
    of_lora = changes.get('lora', {})
    for phase in config.phases[1:3]:
      with phase.unlocked(), phase.ignore_type():
        phase.lora.update(of_lora)
    config.phases[2].update({k: v for k, v in changes.items() if k != 'lora'})

  before = _files(workdir)
  with pytest.raises(training.MismatchError, match=message):
    _train(root, workdir, change)
  assert _files(workdir) == before


def test_the_frozen_base_is_written_once_and_kept(root, tmp_path, whole):
  result = _train(root, tmp_path / 'run')
  assert result == whole[1], 'what is kept changes the result'
  with _opened(tmp_path / 'run') as checkpoints:
    metas = {step: checkpoints.meta(step) for step in checkpoints.steps()}
  # Ends of phases, the last two, and the first that has each phase's base:
  # `more` carries on that of `midtrain`.
  holders = {'midtrain': 6, 'sft': 16, 'again': 22}
  assert set(metas) == {*ENDS.values(), 28, *holders.values()}
  for meta in metas.values():
    base = {'more': 'midtrain'}.get(meta.phase, meta.phase)
    assert meta.base == (base if base in holders else None)
    assert meta.base_step == holders.get(base)
  folder = tmp_path / 'run' / 'checkpoints'
  there = {s for s in metas if (folder / str(s) / 'frozen').exists()}
  assert there == set(holders.values())


def _disk_bytes(folder):
  return sum(
    os.path.getsize(os.path.join(where, name))
    for where, _, names in os.walk(folder)
    for name in names
  )


def test_a_checkpoint_of_adapters_has_their_parameters_and_moments_only(whole):
  workdir, _ = whole
  model, _ = _params(workdir, 12)
  item = workdir / 'checkpoints' / '12'
  names = json.loads((item / 'params' / '_METADATA').read_text())
  keys = [e['key_metadata'][-2]['key'] for e in names['tree_metadata'].values()]
  assert set(keys) == {'lora'}
  assert len(keys) == 2 * 5
  sizes = {i: _disk_bytes(item / i) for i in ('params', 'optimizer')}
  full = workdir / 'checkpoints' / '2'
  for name, size in sizes.items():
    assert size < _disk_bytes(full / name), name
  with _opened(workdir) as checkpoints:
    state = checkpoints.state(12, model, _here())
  trained, _ = lora.split(state.params)
  assert jax.tree.structure(state.optimizer['mu']) == jax.tree.structure(
    trained
  )


def test_the_base_of_adapters_is_never_changed(whole):
  workdir, _ = whole
  _, base = _params(workdir, ENDS['base'])
  model, first = _params(workdir, 6)
  # Quantised at the boundary, with new adapters of that phase.
  entered = _crossed(base, models.Model(model.config), model, None, 1)
  for step in (6, ENDS['midtrain'], ENDS['more']):
    _, params = _params(workdir, step)
    _same(lora.split(params)[1], lora.split(entered)[1])
  ends = [
    lora.split(_params(workdir, s)[1])[0]
    for s in (6, ENDS['midtrain'], ENDS['more'])
  ]
  for before, after in itertools.pairwise(ends):
    for a, b in zip(
      jax.tree.leaves(before), jax.tree.leaves(after), strict=True
    ):
      assert not np.array_equal(a, b)
  del first


@pytest.mark.parametrize(
  'base', ['bfloat16', pytest.param('int8', marks=pytest.mark.slow)]
)
def test_a_base_stays_the_same_bits_over_phases_that_keep_it(
  root, base, tmp_path
):
  """In nf4 and as it is: the two tests beside this one."""

  def change(config):
    phase = {**config.phases[1].to_dict(), 'lora': lora_run.adapters(base)}
    phase.update(updates=2)
    config.phases = tuple(
      ml_collections.ConfigDict({**phase, 'name': name, 'adapters': how})
      for name, how in (('a', None), ('b', 'carry'), ('c', 'fresh'))
    )

  _train(root, tmp_path / 'run', change)
  config = training.load(lora_run.get_config('/nowhere')).model
  plain, key = models.Model(config), jax.random.key(0)
  entered = None
  for step in (2, 4, 6):
    with _opened(tmp_path / 'run') as checkpoints:
      model = models.Model(config, checkpoints.meta(step).lora())
      params = checkpoints.params(step, model, _here())
    if entered is None:
      random = jax.jit(plain.init)(key)
      entered = _crossed(random, plain, model, None, 0)
    _same(lora.split(params)[1], lora.split(entered)[1])


def test_merged_and_fresh_adapters_begin_on_what_they_should(whole):
  workdir, _ = whole
  carried, params = _params(workdir, ENDS['more'])
  merged_model, of_sft = _params(workdir, 16)
  plain = models.Model(carried.config)
  merged = _crossed(params, carried, plain, 'merge', 3)
  # The base in phase `sft` is what `more` had learnt, merged into its kernels.
  _same(lora.drop(of_sft), merged)
  # In `again` it is still that: what `sft` had learnt was dropped.
  _, of_again = _params(workdir, ENDS['again'])
  _same(lora.drop(of_again), merged)
  # Its adapters are others: a few updates at 1e-2 do not come from one to them.
  draws = [
    [
      x
      for path, x in jax.tree_util.tree_leaves_with_path(p)
      if path[-1].key == 'a'
    ]
    for p in (of_sft, of_again)
  ]
  for a, b in zip(*draws, strict=True):
    assert np.abs(a - b).max() > 0.1
  # `full` begins with what `again` had learnt, and changes all of it.
  _, end = _params(workdir, ENDS['full'])
  assert lora.split(end)[1] == {}
  _, again = _params(workdir, ENDS['again'])
  start = _crossed(again, merged_model, plain, 'merge', 5)
  for a, b in zip(jax.tree.leaves(start), jax.tree.leaves(end), strict=True):
    assert not np.array_equal(a, b)


def _single(config, **changes):
  """Leaves one phase, which trains all parameters unless told otherwise."""
  phase = {
    **config.phases[0].to_dict(),
    'name': 'next',
    'mixture': {'chats': 1.0},
    **changes,
  }
  config.phases = (ml_collections.ConfigDict(phase),)


def test_a_run_can_begin_with_the_adapters_of_another(root, whole, tmp_path):
  workdir, _ = whole

  def merged(config):
    init = {'workdir': str(workdir), 'phase': 'more'}
    config.init_from = ml_collections.ConfigDict(init)
    _single(config, adapters='merge')
    # Zero in float32: nothing is learnt after the boundary.
    config.phases[0].schedule.peak = 1e-60

  _train(root, tmp_path / 'run', merged)
  carried, params = _params(workdir, ENDS['more'])
  plain = models.Model(carried.config)
  _same(
    _params(tmp_path / 'run', lora_run.UPDATES)[1],
    _crossed(params, carried, plain, 'merge', 0),
  )


def test_a_run_can_carry_on_the_adapters_of_another(root, whole, tmp_path):
  workdir, _ = whole
  of_parent = dataclasses.asdict(_params(workdir, ENDS['more'])[0].lora)

  def carried(config):
    init = {'workdir': str(workdir), 'phase': 'more'}
    config.init_from = ml_collections.ConfigDict(init)
    _single(config, adapters='carry', lora=of_parent, optimizer_state='carry')

  _train(root, tmp_path / 'run', carried)
  model, params = _params(tmp_path / 'run', lora_run.UPDATES)
  assert dataclasses.asdict(model.lora) == of_parent
  _, before = _params(workdir, ENDS['more'])
  _same(lora.split(params)[1], lora.split(before)[1])
  with _opened(tmp_path / 'run') as checkpoints:
    state = checkpoints.state(lora_run.UPDATES, model, _here())
  # 5 updates of midtrain, 5 of more, 5 here.
  assert int(state.optimizer['count']) == 3 * lora_run.UPDATES


def test_checkpoints_of_adapters_are_scored_with_them(root, whole):
  workdir, _ = whole
  tokenizer = tokenizers.load_tokenizer(root / 'tokenizer')
  logprobs = {}
  requests = [scoring.Request((1, 5, 9, 7, 8, 11, 30), 4)]
  for phase in ('base', 'more', 'sft'):
    found = evaluate.find_checkpoint(
      evaluate.parse_arm(f'x:{workdir}@{phase}'), tokenizer
    )
    (score,) = scoring.score(found.model, found.params(), requests)
    logprobs[phase] = score
    adapters, params = found.model.lora, found.params()
    if adapters is None:
      continue
    # As those of the decoder without adapters into which they are merged.
    plain = models.Model(found.model.config)
    merged = _crossed(params, found.model, plain, 'merge', 0)
    (same,) = scoring.score(plain, merged, requests)
    np.testing.assert_allclose(score, same, rtol=0, atol=1e-4)
  assert len({round(float(np.sum(s)), 4) for s in logprobs.values()}) == 3
