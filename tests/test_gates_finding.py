"""Suites are found by file, folder, experiment and wildcard."""

import fsspec
import pytest

from data_gen.gates.finding import find_suites


@pytest.fixture(params=['local', 'gs'])
def root(request, tmp_path):
  if request.param == 'local':
    return str(tmp_path)
  request.getfixturevalue('cloud')
  return 'gs://test-bucket/here'


def _made(root, *names):
  for name in names:
    with fsspec.open(f'{root}/{name}', 'w', auto_mkdir=True) as f:
      f.write('{}\n')


def _found(root, *paths):
  found = find_suites([f'{root}/{p}' for p in paths])
  return [f.removeprefix(f'{root}/') for f in found]


def test_a_file_is_itself_and_a_folder_is_what_lies_in_it(root):
  _made(root, 'b.jsonl', 'a.jsonl', 'notes.txt', 'more/c.jsonl')
  assert _found(root, 'b.jsonl') == ['b.jsonl']
  assert find_suites([root]) == [f'{root}/a.jsonl', f'{root}/b.jsonl']
  assert _found(root, 'more/', 'more') == ['more/c.jsonl']


def test_the_workdir_of_an_experiment_has_the_suites_of_all_of_its_seeds(root):
  corpora = [f'run/seed{seed}/corpus' for seed in (20, 21)]
  suites = [f'{c}/suites/{s}.jsonl' for c in corpora for s in ('ood', 'tax')]
  _made(
    root,
    *suites,
    'run/experiment.json',
    'run/seed20/results/samples.jsonl',
    'run/seed20/corpus/base.parquet',
  )
  assert _found(root, 'run') == suites
  assert _found(root, 'run/seed21') == suites[2:]
  assert _found(root, 'run/seed20/corpus') == suites[:2]
  assert _found(root, 'run/seed20/corpus/suites') == suites[:2]


def test_wildcards_name_files_and_folders_and_nothing_comes_twice(root):
  _made(
    root, *(f'{r}/seed{s}/corpus/suites/ood.jsonl' for r in 'ab' for s in '12')
  )
  every = [f'{r}/seed{s}/corpus/suites/ood.jsonl' for r in 'ab' for s in '12']
  assert _found(root, '*') == every
  assert _found(root, '?/seed1/corpus/suites/*.jsonl') == every[::2]
  assert _found(root, '[b-z]/seed*/corpus') == every[2:]
  assert _found(root, 'b', '*', every[3]) == [*every[2:], *every[:2]]


def test_a_name_that_looks_like_a_wildcard_is_a_name(root):
  _made(root, 'suites [new]/ood.jsonl', 'suites n/other.jsonl')
  assert _found(root, 'suites [new]') == ['suites [new]/ood.jsonl']


@pytest.mark.parametrize(
  ('path', 'said'),
  [
    ('none.jsonl', 'none.jsonl: there is nothing of this name'),
    ('no*', 'no*: there is nothing of this name'),
    ('run', r'run: no *.jsonl in this folder, and none in suites/*.jsonl'),
  ],
)
def test_what_holds_no_suite_is_named(root, path, said):
  _made(root, 'run/results/samples.jsonl')
  with pytest.raises(FileNotFoundError) as e:
    find_suites([f'{root}/{path}'])
  assert said in str(e.value)
