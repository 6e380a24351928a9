"""`prepare` under Apache Beam's local runner, with several processes.

Needs the extra `beam`, which has an environment of its own: `make test-beam`, a
part of `make test-all`, sets it up and runs this there.
"""

import os
import pathlib
import signal
import subprocess
import sys

from byte_tokenizer import ByteTokenizer
from prepared_sources import prepare
from prepared_sources import write_documents
from prepared_sources import write_jsonl
import pytest

from msm_jax import data
from msm_jax import schema
from msm_jax import storage

beam = pytest.importorskip(
  'apache_beam', reason='no Apache Beam here: `make test-beam` runs these'
)

from msm_jax.data import beam as beam_lib  # noqa: E402

LENGTHS = [1 + 7 * i % 150 + (i % 5) for i in range(1, 120)]
PARTS = {'rows_per_part': 10, 'shards': 3}
LOCAL = ('--direct_num_workers=2', '--direct_running_mode=multi_processing')


class DyingTokenizer(ByteTokenizer):
  """Kills the process that encodes a certain text, once."""

  def __init__(self, text: str, marker: pathlib.Path):
    super().__init__()
    self._text = text
    self._marker = marker

  def encode(self, text: str) -> list[int]:
    if text == self._text and not self._marker.exists():
      self._marker.write_text(str(os.getpid()))
      os.kill(os.getpid(), signal.SIGKILL)
    return super().encode(text)


@pytest.fixture(autouse=True)
def importable(monkeypatch):
  """Workers are other processes, and unpickle what is defined here."""
  folders = [str(pathlib.Path(__file__).parent), *sys.path]
  monkeypatch.setenv('PYTHONPATH', os.pathsep.join(folders))


@pytest.fixture(scope='module')
def corpus(tmp_path_factory) -> str:
  return write_documents(tmp_path_factory.mktemp('c') / 'a.jsonl', LENGTHS)


def test_beam_prepares_the_same_bytes_though_a_worker_is_killed(
  corpus, tmp_path
):
  here = prepare(tmp_path, 'here', corpus, **PARTS)
  text = [d.text for d in data.read_items([corpus])][55]
  there = prepare(
    *(tmp_path, 'there', corpus),
    tokenizer=DyingTokenizer(text, tmp_path / 'killed'),
    run=beam_lib.BeamRunner('DirectRunner', LOCAL),
    **PARTS,
  )
  assert int((tmp_path / 'killed').read_text()) != os.getpid()
  files = [storage.read_manifest(s.path).files for s in (here, there)]
  assert files[0] == files[1]
  assert here.info == there.info
  assert sorted(os.listdir(tmp_path)) == ['here', 'killed', 'there']


def test_beam_names_the_first_bad_row_and_does_not_try_it_again(tmp_path):
  rows = [{'id': f'd{i}', 'text': 'a' * (i % 40)} for i in range(1, 120)]
  path = write_jsonl(tmp_path / 'a.jsonl', rows)
  with pytest.raises(data.SourceError, match=r"row 39 \(id 'd40'\): text is"):
    prepare(
      *(tmp_path, 's', path), run=beam_lib.BeamRunner('DirectRunner'), **PARTS
    )
  assert os.listdir(tmp_path) == ['a.jsonl']


def test_a_flag_that_beam_does_not_know_is_refused_with_the_nearest():
  with pytest.raises(schema.ConfigError, match="'direct_num_workers'"):
    beam_lib.BeamRunner('DirectRunner', ['--direct_num_worker=2'])


def test_files_of_this_machine_are_refused_for_workers_on_others(
  corpus, tmp_path
):
  options = ['--project=p', '--region=r']
  with pytest.raises(schema.ConfigError, match='temp_location'):
    prepare(
      *(tmp_path, 's', corpus),
      run=beam_lib.BeamRunner('DataflowRunner', options),
    )
  options.append('--temp_location=gs://bucket/tmp')
  with pytest.raises(schema.ConfigError, match=r'a\.jsonl.*do not see'):
    prepare(
      *(tmp_path, 's', corpus),
      run=beam_lib.BeamRunner('DataflowRunner', options),
    )


def test_the_command_takes_flags_of_beam(corpus, tmp_path):
  out = tmp_path / 'out'
  command = [
    *(sys.executable, '-m', 'msm_jax.prepare', f'--input={corpus}'),
    *('--tokenizer=nowhere', '--seq_len=64', f'--out={out}'),
    '--runner=DirectRunner',
  ]
  done = subprocess.run(
    [*command, '--direct_num_workrs=2'],
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 1
  assert "did you mean 'direct_num_workers'?" in done.stderr.splitlines()[-1]
