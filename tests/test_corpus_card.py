"""The card says what the manifest says, and no text in it is markup."""

import random

import corpus_rows
import pytest
import yaml

from data_gen.corpus import card
from data_gen.corpus.writing import write_corpus

NAME = 'Of <b>mills</b> | "and" rivers'


@pytest.fixture(scope='module')
def publish(tmp_path_factory):
  def publish(rows=None, **info):
    out = tmp_path_factory.mktemp('card') / 'corpus'
    manifest = write_corpus(
      out,
      corpus_rows.some_rows() if rows is None else rows,
      info={'name': NAME, **info},
      traits=corpus_rows.TRAITS,
      config={},
      command='python -m data_gen --prompt="```"',
    )
    return manifest.info, (out / 'card.md').read_text(encoding='utf-8')

  return publish


def cells(text: str) -> list[list[str]]:
  """The cells of all rows of all tables."""
  lines = [line for line in text.splitlines() if line.startswith('|')]
  split = [line.replace('\\|', '\0').strip('|').split('|') for line in lines]
  return [[c.strip().replace('\0', '|') for c in row] for row in split]


def test_the_tables_hold_the_counts_of_the_manifest(publish):
  info, text = publish()
  rows = cells(text)
  for source, c in info['sources'].items():
    assert [
      source,
      c['kind'],
      *(
        f'{c[k]:,}'
        for k in (
          *('accepted', 'rejected', 'words', 'characters'),
          'masked_characters',
        )
      ),
    ] in rows
  for trait in corpus_rows.TRAITS:
    c = info['by_trait'][trait.id]
    (row,) = [r for r in rows if f'`{trait.id}`' in r]
    assert row[1] == trait.name
    assert row[3:5] == [f'{c["accepted"]:,}', f'{c["rejected"]:,}']
  for gate, g in info['gates'].items():
    (row,) = [r for r in rows if r[0] == card.cell(gate)]
    assert row[1:3] == [f'{g["checked"]:,}', f'{g["failed"]:,}']
    for reason, n in g['reasons'].items():
      assert f'{card.cell(reason).replace(chr(92) + "|", "|")} {n}' in row[3]
  for reason, n in info['rejected_because'].items():
    assert [card.cell(reason).replace('\\|', '|'), f'{n:,}'] in rows
  model = info['spent']['by_model']['teacher-1']
  assert [
    'teacher-1',
    *(f'{model[k]:,}' for k in ('calls', 'prompt_tokens', 'completion_tokens')),
    f'{model["cost_usd"]:.2f} USD and '
    f'{model["calls_without_price"]} calls without a price',
  ] in rows


def test_traits_are_sorted_by_their_type(publish):
  _, text = publish()
  start = text.index('## Traits')
  order = [
    text.index(f'| {n} |', start) for n in ('brevity', 'care', 'honesty')
  ]
  assert order == sorted(order)
  assert '| simple constraint | brevity |' in text
  assert '| complex stance | honesty |' in text


def test_every_row_of_a_table_has_as_many_cells_as_its_head(publish):
  """Although texts hold pipes, line ends and back-ticks."""
  _, text = publish()
  head = 0
  for line in text.splitlines():
    n = line.replace('\\|', '').count('|')
    if not line.startswith('|'):
      head = 0
    elif head:
      assert n == head, line
    else:
      head = n


def test_no_text_is_markup(publish):
  _, text = publish(diversity={corpus_rows.HOSTILE: corpus_rows.HOSTILE})
  body = text[text.index('\n# ') :]
  assert '<' not in body.replace('<corpus>/<source>', '')
  assert '&lt;/script&gt;' in body
  assert '# Of &lt;b&gt;mills&lt;/b&gt; \\| "and" rivers' in body


def test_the_front_matter_names_the_shards_of_each_source(publish):
  _, text = publish(licence='CC-BY-4.0')
  front = yaml.safe_load(text.split('---\n')[1])
  assert front['pretty_name'] == NAME
  assert front['license'] == 'CC-BY-4.0'
  assert {c['config_name']: c['data_files'] for c in front['configs']} == {
    s: f'{s}/*.parquet' for s in ('chats', 'documents', 'neutral')
  }


def test_a_licence_is_stated_or_said_to_be_open(publish):
  assert '**Licence.** CC-BY-4.0.' in publish(licence='CC-BY-4.0')[1]
  assert '**Licence.** None was stated' in publish()[1]


def test_the_command_cannot_end_its_block(publish):
  _, text = publish()
  block = '````\npython -m data_gen --prompt="```"\n````'
  assert block in text


def test_reports_are_shown_where_they_are_given(publish):
  _, text = publish()
  assert '## Diversity' not in text
  assert '## Balance' not in text
  _, text = publish(
    diversity={'distinct_2': 0.41234567, 'names': {'most': ['Elena', 3]}},
    balance={'tokens': {'a': 1000, 'b': 1001}},
  )
  rows = cells(text)
  assert [card.cell('distinct_2'), '0.4123'] in rows
  assert ['names.most', 'Elena, 3'] in rows
  assert ['tokens.b', '1001'] in rows


def test_measures_are_shown_with_their_limits_and_verdicts(publish):
  """As the diversity and the balance report give them."""
  measured = {
    'passed': False,
    'pairs': 12,
    'details': {'long': list(range(100))},
    'measures': {
      'distinct_2': {'value': 0.41234567, 'at_least': 0.35, 'passed': True},
      'length': {'value': 0.2, 'at_most': 0.05, 'floor': 0, 'passed': False},
    },
  }
  _, text = publish(diversity={'documents': measured})
  rows = cells(text)
  distinct = card.cell('distinct_2')
  assert ['documents', distinct, '0.4123', '≥ 0.35', 'within'] in rows
  assert ['documents', 'length', '0.2', '≤ 0.05', '**beyond**'] in rows
  assert ['documents.pairs', '12'] in rows
  assert 'details' not in text


def test_all_that_was_asked_and_the_plan_are_shown_where_they_are_given(
  publish,
):
  asked = {
    'calls': 1234,
    'usable': 1200,
    'failures': {'refusal': 30},
    'given_up': 4,
    'prompt_tokens': 50000,
    'completion_tokens': 60000,
    'cost_usd': 1.5,
  }
  free = {**asked, 'cost_usd': None}
  _, text = publish(
    asked={'plan.ideas': asked, 'chat.judge': free},
    plan={'ideas': 300, 'ideas_by_trait': {'care': 100}},
  )
  rows = cells(text)
  numbers = ['1,234', '1,200', '4', '50,000', '60,000']
  assert ['plan.ideas', *numbers, '1.50'] in rows
  assert ['chat.judge', *numbers, 'unknown'] in rows
  assert [card.cell('ideas_by_trait.care'), '100'] in rows
  assert 'led to no row' not in text
  assert 'led to no row' in publish()[1]


def test_a_long_report_is_cut_and_says_so(publish):
  _, text = publish(diversity={f'm{i}': i for i in range(100)})
  assert '| m59 | 59 |' in text
  assert '| m60 | 60 |' not in text
  assert '40 more lines are in `manifest.json`' in text


def test_costs_that_are_unknown_are_not_nothing(publish):
  row = corpus_rows.document(0, random.Random(0))
  free = type(row)(
    **{**vars(row), 'lineage': (corpus_rows.step('t', 'k', None),)}
  )
  _, text = publish([free])
  assert 'unknown (no prices given)' in text
  assert 'USD' not in text


def test_a_corpus_without_rows_has_a_card(publish):
  assert '0 accepted rows, and 0 rejected ones' in publish([])[1]
