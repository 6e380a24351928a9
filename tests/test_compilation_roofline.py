"""Least times, from hand-made programs and from real ones."""

import dataclasses
import itertools
import pathlib

import pytest

from msm_jax import schema
from msm_jax.compilation import chips
from msm_jax.compilation import collectives
from msm_jax.compilation import hlo
from msm_jax.compilation import program
from msm_jax.compilation import roofline
from msm_jax.compilation import topology as topology_lib
from msm_jax.compilation import traffic

TEXTS = pathlib.Path(__file__).parent / 'hlo'
CUBE = topology_lib.parse('v5p:4x4x4')
V5P = chips.CHIPS['v5p']


def _places(shape, slices=1):
  return [
    topology_lib.Place(coords, s)
    for s in range(slices)
    for coords in itertools.product(*map(range, shape))
  ]


PLACES = _places((4, 4, 4))


def _work(seconds):
  return program.Work('w', 'w', int(seconds * V5P.flops), traffic.Traffic())


def _gather(seconds, name='g', **changes):
  """An all-gather over the whole cube that takes so long on all its links."""
  nbytes = seconds * 6 * V5P.link_bandwidth * 64 / 63
  made = collectives.Collective(
    name=name,
    op_name='',
    kind='all-gather',
    dtype='bf16',
    nbytes=round(nbytes),
    groups=(tuple(range(64)),),
    is_async=True,
  )
  return program.Start(name, dataclasses.replace(made, **changes))


def _estimate(*events):
  return roofline.estimate(tuple(events), CUBE, PLACES)


def test_work_takes_the_longer_of_flops_and_bytes():
  moved = traffic.Traffic(int(1.5 * V5P.hbm_bandwidth), int(V5P.hbm_bandwidth))
  bound_by_flops = program.Work('a', '', int(3 * V5P.flops), moved)
  bound_by_bytes = program.Work('b', '', int(2 * V5P.flops), moved)
  found = _estimate(bound_by_flops, bound_by_bytes)
  assert found.schedule == pytest.approx(3 + 2.5)
  assert found.compute == pytest.approx(5)
  assert found.memory == pytest.approx(5)
  assert found.ideal == pytest.approx(5)


def test_what_work_does_not_hide_of_a_collective_is_waited_for():
  found = _estimate(_work(1), _gather(3), _work(2), program.Done('g'), _work(1))
  assert found.schedule == pytest.approx(1 + 3 + 1)
  assert found.exposed == pytest.approx(1)
  assert found.ici == pytest.approx(3)
  (usage,) = found.usages
  assert usage.is_overlapped
  assert usage.hidden_behind == pytest.approx(2)


def test_a_collective_without_work_beside_it_is_not_overlapped():
  found = _estimate(_gather(3), program.Done('g'), _work(2))
  assert found.schedule == pytest.approx(5)
  assert found.exposed == pytest.approx(3)
  assert not found.usages[0].is_overlapped


def test_collectives_of_one_network_go_one_after_the_other():
  found = _estimate(
    _gather(3, 'a'),
    _gather(3, 'b'),
    _work(4),
    program.Done('a'),
    program.Done('b'),
  )
  assert found.schedule == pytest.approx(6)
  assert [u.exposed for u in found.usages] == pytest.approx([0, 2])


def test_a_collective_that_is_never_waited_for_ends_with_its_program():
  assert _estimate(_work(1), _gather(3)).schedule == pytest.approx(4)


def _copy(seconds, name='c'):
  return program.Copy(name, traffic.Traffic(int(seconds * V5P.hbm_bandwidth)))


def _moving(seconds, of_memory):
  moved = traffic.Traffic(int(of_memory * V5P.hbm_bandwidth))
  return program.Work('m', 'm', int(seconds * V5P.flops), moved)


def test_a_copy_goes_on_beside_work_that_leaves_it_bandwidth():
  # Of 4 seconds of work 3 leave memory to the copy.
  events = (_copy(3), _moving(4, 1), program.Done('c'), _work(1))
  assert _estimate(*events).schedule == pytest.approx(5)
  # Of 4 seconds of work none does; then the program waits.
  events = (_copy(3), _moving(4, 4), program.Done('c'), _work(1))
  assert _estimate(*events).schedule == pytest.approx(8)


def test_copies_share_main_memory():
  events = (_copy(2, 'a'), _copy(2, 'b'), _work(3))
  dones = (program.Done('a'), program.Done('b'))
  found = _estimate(*events, *dones, _work(1))
  assert found.schedule == pytest.approx(5)
  assert found.memory == pytest.approx(4)
  # The first is waited for, with what came before it and not what came after.
  found = _estimate(
    _copy(2, 'a'), _copy(9, 'b'), _work(1), dones[0], _work(9), dones[1]
  )
  assert found.schedule == pytest.approx(2 + 9)


def test_copies_go_on_while_a_collective_is_waited_for():
  events = (_gather(3), _copy(2), program.Done('g'), program.Done('c'))
  assert _estimate(*events).schedule == pytest.approx(3)


def test_copies_go_on_beside_loops():
  loop = program.Loop('l', '', 3, (_moving(2, 1),))
  found = _estimate(_copy(3), loop, program.Done('c'))
  assert found.schedule == pytest.approx(6)
  found = _estimate(_copy(4), loop, program.Done('c'))
  assert found.schedule == pytest.approx(7)


def test_loops_count_as_often_as_they_run():
  body = (_gather(3), _work(2), program.Done('g'))
  inner = program.Loop('i', '', 5, body)
  found = _estimate(program.Loop('o', '', 2, (inner, _work(1))))
  assert found.schedule == pytest.approx(2 * (5 * 3 + 1))
  assert found.exposed == pytest.approx(2 * 5 * 1)
  (usage,) = found.usages
  assert usage.runs == 10
  assert usage.seconds == pytest.approx(30)


def test_a_loop_that_never_runs_takes_no_time():
  assert _estimate(program.Loop('l', '', 0, (_work(1),))).schedule == 0


def test_what_is_sent_beside_a_loop_shares_the_network_with_it():
  loop = program.Loop(
    'l', '', 4, (_gather(1, 'in'), _work(2), program.Done('in'))
  )
  found = _estimate(_gather(5, 'out'), loop, program.Done('out'))
  # Of the loop's 8 seconds the network is busy with its own for 4.
  assert found.schedule == pytest.approx(9)
  found = _estimate(_gather(3, 'out'), loop, program.Done('out'))
  assert found.schedule == pytest.approx(8)


def test_slices_exchange_on_a_network_of_their_own():
  two = topology_lib.parse('v5p:4x4x4', 2)
  places = _places((4, 4, 4), 2)
  between = _gather(0, nbytes=int(4 * V5P.dcn_bandwidth), slices=2, groups=())
  within = _gather(3, 'within')
  found = roofline.estimate(
    (between, within, _work(3), program.Done('within'), program.Done('g')),
    two,
    places,
  )
  assert found.dcn == pytest.approx(2)
  assert found.ici == pytest.approx(3)
  assert found.schedule == pytest.approx(3)
  by_groups = _gather(0, nbytes=int(4 * V5P.dcn_bandwidth), groups=((0, 64),))
  assert roofline.estimate((by_groups,), two, places).dcn == pytest.approx(2)


@pytest.mark.parametrize(
  ('name', 'extents', 'links'),
  [
    # All of a cube; a plane; a line; half a line, which is no ring.
    ('v5p:4x4x4', (4, 4, 4), 6),
    ('v5p:4x4x4', (4, 4, 1), 4),
    ('v5p:4x4x4', (1, 4, 1), 2),
    ('v5p:4x4x4', (1, 2, 1), 1),
    # Too small for rings.
    ('v5p:2x2x2', (2, 2, 2), 3),
    # v5e wraps round only as a whole pod.
    ('v5e:4x4', (4, 4), 2),
    ('v5e:16x16', (16, 16), 4),
    ('v5e:8x16', (8, 16), 3),
  ],
)
def test_a_group_uses_the_links_of_its_dimensions(name, extents, links):
  topology = topology_lib.parse(name)
  group = [
    topology_lib.Place(coords)
    for coords in itertools.product(*map(range, extents))
  ]
  assert topology.bandwidth(group) == links * topology.chip.link_bandwidth


def test_the_compiler_knows_better_how_many_links_it_uses():
  assert CUBE.bandwidth(PLACES, links=2) == 2 * V5P.link_bandwidth


def test_devices_of_one_chip_share_what_it_has():
  halves = topology_lib.parse('tpu7x:2x2x1', devices_per_chip=2)
  assert halves.n_devices == 8
  assert halves.flops == chips.CHIPS['tpu7x'].flops / 2
  places = [topology_lib.Place((x, 0, 0)) for x in range(2)]
  assert halves.bandwidth(places) == 100e9 / 2
  # Between the two devices of one chip there is no link to wait for.
  assert halves.bandwidth(places[:1] * 2) == halves.hbm_bandwidth


@pytest.mark.parametrize(
  ('name', 'num_slices', 'message'),
  [
    ('v9:4x4', 1, "topology: the chip: 'v9', expected one of.*'v5p'"),
    ('v5p', 1, "topology: 'v5p', expected CHIP:SIZES such as"),
    ('v5p:4x4', 1, "'v5p:4x4' has 2 dimensions; v5p is a torus of 3"),
    ('v5p:4x4x4', 0, 'num_slices: 0, expected at least 1'),
    ('v4:4x4x4', 2, 'how fast v4 slices exchange is not documented'),
  ],
)
def test_a_topology_that_does_not_exist_is_an_error(name, num_slices, message):
  with pytest.raises(schema.ConfigError, match=message):
    topology_lib.parse(name, num_slices)


def _of_text(name):
  text = (TEXTS / f'{name}.hlo').read_text(encoding='utf-8')
  events = program.read(hlo.parse(text)).events
  return roofline.estimate(events, CUBE, PLACES)


def test_real_synchronous_collectives_are_waited_for():
  found = _of_text('gathered.v5p')
  assert found.exposed == pytest.approx(found.ici)
  assert not any(u.is_overlapped for u in found.usages)


def test_real_asynchronous_collectives_run_beside_work():
  found = _of_text('offloaded.v5p')
  assert all(u.is_overlapped for u in found.usages)
  assert 0 < found.exposed < found.ici
  assert found.ideal < found.schedule < found.compute + found.ici + found.memory
