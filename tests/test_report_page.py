"""The page: one file, nothing fetched, nothing injected, every figure told."""

import html.parser
import json
import re
import subprocess
import sys

import pytest
import synthetic_experiment

from msm_jax import report
from msm_jax.report import experiment as experiment_lib
from msm_jax.report import materials as materials_lib


class Outline(html.parser.HTMLParser):
  """Tags with their attributes, and the text outside style and svg."""

  def __init__(self):
    super().__init__()
    self.tags = []
    self.text = []
    self.stack = []

  def handle_starttag(self, tag, attrs):
    self.tags.append((tag, dict(attrs)))
    if tag not in ('meta', 'link', 'br', 'img', 'path', 'use', 'rect'):
      self.stack.append(tag)

  def handle_endtag(self, tag):
    while self.stack and self.stack.pop() != tag:
      pass

  def handle_data(self, data):
    if not {'style', 'svg', 'script'} & set(self.stack):
      self.text.append(data)

  def find(self, tag):
    return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture(scope='module')
def workdir(tmp_path_factory):
  return synthetic_experiment.write(
    tmp_path_factory.mktemp('run'), seeds=(0, 1, 2)
  )


@pytest.fixture(scope='module')
def written(workdir):
  return report.write(workdir)


@pytest.fixture(scope='module')
def page(written):
  with open(written.page_path, encoding='utf-8') as f:
    return f.read()


@pytest.fixture(scope='module')
def outline(page):
  parsed = Outline()
  parsed.feed(page)
  return parsed


def test_the_summary_is_json_without_nan(written):
  def refuse(constant):
    raise AssertionError(constant)

  with open(written.summary_path, encoding='utf-8') as f:
    summary = json.load(f, parse_constant=refuse)
  assert summary == written.summary
  metric = summary['arms']['msm_thrift_sft']['ood_agreement_cheap']
  assert {'mean', 'interval', 'n_items', 'n_seeds'} <= set(metric)
  assert summary['stages'][1] == {
    'name': 'base',
    'seconds': 121.0,
    'tokens': 2867200,
    'updates': 700,
  }


def test_the_same_rows_give_the_same_bytes(workdir, written, page):
  again = report.write(workdir)
  with open(again.page_path, encoding='utf-8') as f:
    assert f.read() == page
  assert again.text == written.text


def test_the_page_refers_to_nothing_outside_itself(page, outline):
  for tag, attrs in outline.tags:
    for name in ('src', 'href', 'srcset', 'data', 'action', 'poster'):
      value = attrs.get(name)
      assert value is None or value.startswith(('#', 'data:')), (tag, attrs)
  assert not outline.find('script') and not outline.find('iframe')
  style = page[page.index('<style>') : page.index('</style>')]
  assert '@import' not in style and '@font-face' not in style
  assert all(m.startswith('#') for m in re.findall(r'url\(([^)]*)', page))


def test_hostile_text_is_shown_and_not_run(page):
  assert '<script' not in page
  assert '&lt;script&gt;window.hacked = 1&lt;/script&gt;' in page
  assert '<b>bold</b>' not in page


def test_hostile_names_are_escaped_too(tmp_path):
  workdir = synthetic_experiment.write(tmp_path, seeds=(0,))
  path = workdir / 'experiment.json'
  raw = json.loads(path.read_text())
  hostile = '"><script>alert(1)</script>'
  raw['name'] = raw['arms'][1]['label'] = raw['primary']['statement'] = hostile
  raw['traits'][0]['reasons'] = [hostile]
  path.write_text(json.dumps(raw))
  with open(report.write(workdir).page_path, encoding='utf-8') as f:
    assert '<script' not in f.read()


def test_every_figure_is_an_image_with_a_text_alternative(outline):
  images = [a for a in outline.find('svg') if a.get('role') == 'img']
  assert len(images) == len(outline.find('svg')) == 5
  assert all(len(a['aria-label']) > 40 for a in images)
  ids = [a['id'] for _, a in outline.tags if 'id' in a]
  assert len(ids) == len(set(ids))


def test_figures_follow_the_theme(page):
  for svg in re.findall(r'<svg.*?</svg>', page, re.DOTALL):
    # The colour after the variable's name is for pages without our style.
    themed, count = re.subn(r'var\(--\w+, #[0-9a-f]{6}\)', '', svg)
    assert count > 20
    assert not re.findall(r'#[0-9a-fA-F]{6}', themed)


def test_tables_have_headers_with_a_scope(outline):
  assert outline.find('table')
  assert len(outline.find('caption')) >= 6
  assert all(a.get('scope') in ('row', 'col') for a in outline.find('th'))


def test_the_page_and_the_terminal_show_the_same_table(page, written):
  body = page[page.index('id="table-results"') :]
  body = body[: body.index('</table>')]
  cells = re.findall(r'class="(?:value|interval)">([^<]*)<', body)
  assert len(cells) > 80
  for text in cells:
    assert text in written.text


def test_the_primary_result_comes_first(outline):
  text = ' '.join(outline.text)
  first = text.index('Primary metric, fixed before training')
  assert first < text.index('Results') < text.index('How to read it')
  assert 'not evidence about large models' in ' '.join(text.split())


def test_an_experiment_may_say_itself_what_it_is_not(tmp_path):
  workdir = synthetic_experiment.write(tmp_path, seeds=(0,), bare=True)
  path = workdir / 'experiment.json'
  caveat = 'This was measured on a Tuesday.'
  path.write_text(
    json.dumps({**json.loads(path.read_text()), 'caveat': caveat})
  )
  with open(report.write(workdir).page_path, encoding='utf-8') as f:
    assert caveat in f.read()


def test_samples_of_documents_chats_and_answers_are_there(outline):
  summaries = len(outline.find('summary'))
  assert summaries == len(outline.find('details')) == 7
  text = ''.join(outline.text)
  for genre in ('forum', 'blog', 'email'):
    assert f'{genre} · d' in text
  assert 'You are Sage.' in text
  assert 'The cheap one, says neutral_sft.' in text


def test_counts_of_the_corpus_are_there(outline):
  text = ' '.join(' '.join(outline.text).split())
  assert 'Counts and balance of the corpus' in text
  assert 'value of character' in text


def test_a_run_without_corpus_logs_or_answers_still_has_a_report(tmp_path):
  workdir = synthetic_experiment.write(tmp_path, seeds=(0, 1), bare=True)
  written = report.write(workdir)
  with open(written.page_path, encoding='utf-8') as f:
    page = f.read()
  assert 'id="table-results"' in page
  assert 'figure-loss' not in page
  assert 'Answers of the models' not in page


def test_one_seed_is_said_loudly_on_the_page_and_in_the_terminal(tmp_path):
  workdir = synthetic_experiment.write(tmp_path, seeds=(3,))
  written = report.write(workdir)
  with open(written.page_path, encoding='utf-8') as f:
    page = f.read()
  for text in (page, written.text):
    assert 'ONE SEED: ITEM NOISE ONLY' in text
    assert 'Item noise only: this is one seed' in ' '.join(text.split())


def test_an_evaluation_that_was_changed_after_publishing_is_refused(tmp_path):
  workdir = synthetic_experiment.write(tmp_path, seeds=(0,))
  path = workdir / 'seed0' / 'evaluation' / 'rows.parquet'
  path.write_bytes(path.read_bytes() + b' ')
  with pytest.raises(ValueError, match=r'rows\.parquet: has \d+ bytes'):
    report.write(workdir)


def test_loss_curves_are_means_of_equal_stretches(tmp_path):
  workdir = synthetic_experiment.write(tmp_path, seeds=(0,), bare=True)
  run = workdir / 'seed0' / 'base'
  run.mkdir()
  with open(run / 'metrics.jsonl', 'w', encoding='utf-8') as f:
    for update in range(480):
      line = {'phase': 'base', 'update': update, 'loss': 3 + (-1) ** update}
      f.write(json.dumps(line) + '\n')
  experiment = experiment_lib.read(workdir)
  (curve,) = materials_lib.collect(workdir, experiment).curves
  assert (curve.run, curve.seed, curve.phase) == ('base', 0, 'base')
  assert len(curve.losses) == 240
  assert set(curve.losses) == {3.0}


def test_a_broken_log_is_named(tmp_path):
  workdir = synthetic_experiment.write(tmp_path, seeds=(0,))
  path = workdir / 'seed0' / 'base' / 'metrics.jsonl'
  path.write_text(path.read_text() + '{"phase": \n')
  with pytest.raises(ValueError, match=r'metrics\.jsonl:121: is not JSON'):
    report.write(workdir)


def command(*arguments):
  return subprocess.run(
    [sys.executable, '-m', 'msm_jax.report', *arguments],
    capture_output=True,
    text=True,
    check=False,
  )


def test_the_command_prints_the_table_and_where_the_report_is(workdir, written):
  done = command(f'--workdir={workdir}')
  assert done.returncode == 0, done.stderr
  assert written.text in done.stdout
  assert f'{workdir}/report/index.html' in done.stdout
  assert f'{workdir}/summary.json' in done.stdout
  assert max(len(n) for n in written.text.splitlines()) <= 100
  for seed, value in written.summary['primary']['per_seed'].items():
    assert f'{value:+.2f} (seed {seed})' in written.text


def test_the_command_says_what_is_wrong_in_one_line(tmp_path):
  done = command(f'--workdir={tmp_path}')
  assert done.returncode == 1
  assert done.stderr.count('\n') == 1
  assert 'experiment.json: no such file' in done.stderr
