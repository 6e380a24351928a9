import ast
import json
import pathlib
import subprocess
import sys

import ml_collections
import pytest

from configs import quickstart
from launch import description
from launch import experiment
from launch import graph
from msm_jax import schema
from msm_jax.report import experiment as report_experiment

ROOT = pathlib.Path(__file__).parent.parent

# Code that no output depends on.
GROUND = {'storage', 'log', 'progress', 'schema'}


def plan(argument='', change=lambda config: None, change_run=lambda c: None):
  argument = ','.join(filter(None, ['first=0', argument]))
  raw = quickstart.get_config(argument)
  change(raw)

  def run_config(run, seed):
    config = quickstart.get_config(experiment.run_argument(run, seed))
    change_run(config)
    return config

  return experiment.Plan(
    config=experiment.load(raw),
    config_flag=f'configs/quickstart.py:{argument}',
    run_config=run_config,
    n_cores=2,
  )


def stages_by_name(made):
  return {s.name: s for s in experiment.stages(made)}


def test_the_graph_can_be_run_in_its_order():
  graph.check(experiment.stages(plan('seeds=3')))


def test_one_tokenizer_serves_all_seeds():
  names = list(stages_by_name(plan('seeds=3')))
  assert names.count('tokenizer') == 1
  assert len(names) == 1 + 3 * (len(stages_by_name(plan())) - 1)


def test_the_base_is_trained_once_for_each_seed_and_shared():
  stages = stages_by_name(plan('seeds=2'))
  trained = [s for s in stages.values() if s.module == 'msm_jax.train']
  for seed in (0, 1):
    mine = [s for s in trained if s.name.startswith(f'seed{seed}/')]
    bases = [s for s in mine if s.name.endswith('/base')]
    assert len(bases) == 1
    for stage in mine:
      assert stage is bases[0] or bases[0].name in stage.needs


def test_every_file_that_a_stage_reads_is_made_by_a_stage_that_it_needs():
  stages = stages_by_name(plan('seeds=2'))
  for stage in stages.values():
    made = [o for n in stage.needs for o in stages[n].outputs]
    own = [*stage.outputs, stage.owns or '']
    read = [
      place
      for flag in stage.flags
      for place in flag.replace(',', ' ').replace('@', ' ').split()
      if graph.WORKDIR in place and 'root=' not in place
    ]
    for place in read:
      path = place.partition(f'{graph.WORKDIR}/')[2]
      # A run's folder stands for the checkpoints in it.
      assert any(
        path.startswith(m) or m == f'{path}/checkpoints' for m in [*made, *own]
      ), f'{stage.name} reads {path}'


def test_every_source_that_a_run_trains_on_is_prepared_before():
  made = plan()
  stages = stages_by_name(made)
  for run in made.runs():
    for source in made.first(run).sources:
      assert f'seed0/prepare/{source}' in stages[f'seed0/{run}'].needs


def test_no_stage_depends_on_where_the_experiment_lies():
  for stage in experiment.stages(plan()):
    fixed = [f for f in stage.flags if not f.startswith('--traits=')]
    assert not [f for f in fixed if '=/' in f or 'runs/' in f]
    assert 'runs/' not in json.dumps(dict(stage.inputs))


def test_more_seeds_leave_the_training_of_the_first_as_it_was():
  one, four = stages_by_name(plan()), stages_by_name(plan('seeds=4'))
  for name, stage in one.items():
    if stage.module != 'data_gen.miniature':
      assert four[name] == stage


def imported_rooms(module):
  """Rooms of this repository that the file of a module imports."""
  path = ROOT / (module.replace('.', '/') + '.py')
  if not path.exists():
    path = ROOT / module.replace('.', '/') / '__main__.py'
  rooms = set()
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.ImportFrom):
      for name in [f'{node.module}.{alias.name}' for alias in node.names]:
        if name.startswith('msm_jax.') and name.split('.')[1] not in GROUND:
          rooms.add('/'.join(name.split('.')[:2]))
        elif name.startswith('data_gen.'):
          rooms.add('data_gen/miniature')
  return path, rooms


def test_a_stage_counts_the_code_of_every_room_that_it_imports():
  for stage in experiment.stages(plan()):
    sources = [
      pathlib.Path(s).relative_to(ROOT).as_posix() for s in stage.sources
    ]
    path, rooms = imported_rooms(stage.module)
    entry = path.relative_to(ROOT).as_posix()
    assert any(entry.startswith(s) for s in sources), stage.name
    for room in rooms:
      assert any(s.startswith(room) for s in sources), f'{stage.name}: {room}'
    for source in stage.sources:
      assert pathlib.Path(source).exists()


def test_ancestors_of_runs_are_trained_though_no_arm_is_evaluated_there():
  def change(config):
    config.arms = tuple(a for a in config.arms if a['run'] != 'base')

  assert plan(change=change).runs()[0] == 'base'


def test_the_report_accepts_what_the_launcher_writes():
  made = plan('seeds=2')
  records = {
    s.name: graph.Record('k', {}, 2.5, {'updates': 7, 'tokens': 70})
    for s in experiment.stages(made)
  }
  described = description.describe(
    made, 'the command', experiment.stages(made), records
  )
  read = report_experiment.from_json(json.loads(json.dumps(described)))
  assert read.seeds == (0, 1)
  assert read.command == 'the command'
  assert len(read.stages) == len(records)
  arm = read.arm('msm_thrift_sft')
  assert arm.phases == ('base', 'midtrain', 'sft')
  assert arm.chat_trained
  assert not read.arm('msm_thrift').chat_trained
  assert read.arm('msm_thrift').phases == ('base', 'midtrain')
  config = made.first('base').phases[0]
  tokens = config.updates * config.batch_size * config.seq_len
  assert arm.tokens['base'] == tokens


def test_a_budget_in_tokens_is_described_in_updates_too():
  def change(config):
    phase = config.phases[0]
    del phase['updates']
    phase.tokens = 10 * phase.batch_size * phase.seq_len + 1

  arm = description.describe(plan(change_run=change), '', [], {})['arms'][0]
  assert arm['updates'] == {'base': 11}


def set_arm_phase(config):
  config.arms[1]['phase'] = 'sftt'


def repeat_arm(config):
  config.arms[1]['name'] = 'base'


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    (
      set_arm_phase,
      r"config\.arms\[1\]\.phase: 'sftt' is no phase of run 'sft_only' \(did "
      r"you mean 'sft'\?\); phases: \['sft'\]",
    ),
    (repeat_arm, r'config\.arms: names must be unique'),
    (
      lambda c: c.update(traits='no/traits.md'),
      r'config\.traits: no/traits\.md: no such file',
    ),
    (
      lambda c: c.update(seeds=(1, 1)),
      r'config\.seeds: \(1, 1\), expected one or more different seeds',
    ),
    (lambda c: c.update(seeds=()), r'config\.seeds: \(\), expected one or'),
    (
      lambda c: c.update(sedes=1),
      r"config\.sedes: there is no such key \(did you mean 'seeds'\?\)",
    ),
  ],
)
def test_experiments_that_cannot_be_run_are_refused(change, message):
  with pytest.raises(schema.ConfigError, match=message):
    experiment.stages(plan(change=change))


def test_the_sources_of_conversations_say_which_arms_saw_the_template():
  made = description.describe(
    plan(change=lambda c: c.update(chat_sources=())), '', [], {}
  )
  assert not any(arm['chat_trained'] for arm in made['arms'])
  with pytest.raises(
    schema.ConfigError, match=r"config\.chat_sources: 'chat', .*'chats'\?"
  ):
    experiment.stages(plan(change=lambda c: c.update(chat_sources=('chat',))))


def test_a_run_that_starts_from_no_phase_is_refused():
  def change(config):
    if config.get('init_from'):
      config.init_from.phase = 'bass'

  with pytest.raises(
    schema.ConfigError,
    match=r"init_from\.phase of run 'sft_only': 'bass' is no .*'base'\?",
  ):
    experiment.stages(plan(change_run=change))


def local(*flags):
  return subprocess.run(
    [sys.executable, '-m', 'launch.local', *flags],
    cwd=ROOT,
    capture_output=True,
    check=False,
    text=True,
    timeout=60,  # Should it start to work, which it must not.
  )


def test_a_dry_run_prints_the_commands_and_makes_nothing(tmp_path):
  workdir = tmp_path / 'run'
  done = local(
    '--config=configs/quickstart.py:first=0,seeds=2',
    f'--workdir={workdir}',
    '--dry_run',
  )
  assert done.returncode == 0, done.stderr
  stages = experiment.stages(plan('seeds=2'))
  assert done.stdout.splitlines() == [
    f'[{i:>2}/{len(stages)}] {stage.command(workdir)}'
    for i, stage in enumerate(stages, 1)
  ]
  assert not workdir.exists()


def test_a_contrast_with_an_arm_that_does_not_exist_is_refused_at_once(
  tmp_path,
):
  config = tmp_path / 'mine.py'
  config.write_text(
    'from configs import quickstart\n'
    'def get_config(arg=""):\n'
    '  config = quickstart.get_config(arg)\n'
    '  if "arms" in config:\n'
    '    config.primary.positive_arm = "msm_thrifty"\n'
    '  return config\n'
  )
  done = local(f'--config={config}', f'--workdir={tmp_path / "run"}')
  assert done.returncode == 1
  assert "primary.positive_arm: 'msm_thrifty'" in done.stderr
  assert 'Traceback' not in done.stderr
  assert not (tmp_path / 'run').exists()


def test_config_dicts_survive_the_way_into_an_experiment():
  made = plan(change=lambda c: c.update(world={'sizes': {'domains': 3}}))
  assert made.config.world == {'sizes': {'domains': 3}}
  assert not isinstance(made.config.world['sizes'], ml_collections.ConfigDict)
  json.dumps(dict(experiment.stages(made)[0].inputs))
