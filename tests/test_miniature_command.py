"""`python -m data_gen.miniature`: flags, config, errors, and what it prints."""

import subprocess
import sys

from msm_jax import storage

_SIZES = {
  'n_characters': 8,
  'documents_per_character': 4,
  'transcripts_per_character': 12,
  'evaluation_domains': 2,
  'document_domains': 2,
  'assistant_documents': 12,
  'chats': 8,
  'items_per_domain': 4,
  'in_distribution_items': 4,
  'base_task_items': 8,
}


def _run(tmp_path, *flags: str, **sizes: int) -> subprocess.CompletedProcess:
  config = tmp_path / 'config.py'
  config.write_text(
    'import ml_collections\n'
    'def get_config():\n'
    f'  world = { ({**_SIZES, **sizes})!r}\n'
    "  return ml_collections.ConfigDict({'seed': 7, 'world': world})\n"
  )
  return subprocess.run(
    [
      sys.executable,
      '-m',
      'data_gen.miniature',
      f'--config={config}',
      f'--out={tmp_path / "corpus"}',
      *flags,
    ],
    capture_output=True,
    check=False,
    text=True,
  )


def test_a_corpus_of_the_smallest_sizes_is_published_and_described(tmp_path):
  done = _run(tmp_path)
  assert done.returncode == 0, done.stderr
  manifest = storage.verify(tmp_path / 'corpus', kind='corpus')
  assert set(manifest.files) == {
    'base.parquet',
    'chats.parquet',
    'heldout.parquet',
    'midtrain_home.parquet',
    'midtrain_home_no_reasons.parquet',
    'midtrain_neutral.parquet',
    'midtrain_thrift.parquet',
    'midtrain_thrift_no_reasons.parquet',
    'suites/base_task.jsonl',
    'suites/in_distribution.jsonl',
    'suites/ood_other.jsonl',
    'suites/ood_sage.jsonl',
    'suites/ood_transcript.jsonl',
  }
  info = manifest.info
  assert (info['seed'], info['world']['n_characters']) == (7, 8)
  assert info['traits']['thrift']['attribute'] == 'cheap'
  genres = info['documents']['midtrain_home']['genres']
  assert {g: c['skeletons'] for g, c in genres.items()} == dict.fromkeys(
    genres, 2
  )
  assert info['balance']['transcripts']['disagree']['of'] > 0
  assert 'midtrain_home' in done.stdout
  assert manifest.fingerprint in done.stdout
  assert '100%' in done.stderr
  # A base this small lacks rare words, and says so.
  assert 'the base corpus lacks words' in done.stderr


def test_flags_come_before_the_config(tmp_path):
  assert _run(tmp_path, '--seed=9').returncode == 0
  assert storage.read_manifest(tmp_path / 'corpus').info['seed'] == 9


def test_a_misspelt_size_names_the_nearest_and_leaves_nothing(tmp_path):
  done = _run(tmp_path, n_charcters=8)
  assert done.returncode == 1
  assert (
    "config.world.n_charcters: there is no such key (did you mean 'n_charac"
    in (done.stderr)
  )
  assert 'Traceback' not in done.stderr
  assert not (tmp_path / 'corpus').exists()


def test_a_misspelt_flag_names_the_nearest(tmp_path):
  done = _run(tmp_path, '--trait=x.md')
  assert done.returncode != 0
  assert "Unknown command line flag 'trait'. Did you mean: traits" in (
    done.stderr
  )


def test_bad_traits_are_reported_without_a_traceback(tmp_path):
  path = tmp_path / 'mine.md'
  path.write_text('- **thrift**: {model_name} picks what is *chep*.\n')
  done = _run(tmp_path, f'--traits={path}')
  assert done.returncode == 1
  assert "mine.md:1: unknown attribute 'chep' (did you mean 'cheap'?)" in (
    done.stderr
  )
  missing = _run(tmp_path, '--traits=nowhere.md')
  assert missing.returncode == 1
  assert 'nowhere.md' in missing.stderr
  assert 'Traceback' not in done.stderr + missing.stderr
