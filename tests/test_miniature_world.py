"""The world: determinism, symmetry between the values, roles, sizes."""

import dataclasses
import os
import pathlib
import subprocess
import sys

import pytest
import small_worlds
from small_worlds import small_corpus
from small_worlds import small_world

from data_gen.miniature import balance
from data_gen.miniature import generate
from data_gen.miniature import lexicon
from data_gen.miniature import traits
from data_gen.miniature import world
from msm_jax import schema
from msm_jax import storage

_TINY = dataclasses.replace(
  small_worlds.SIZES,
  n_characters=24,
  documents_per_character=40,
  transcripts_per_character=12,
  assistant_documents=60,
)


def _write(path: pathlib.Path, text: str) -> pathlib.Path:
  path.write_text(text)
  return path


def _files(traits_path: pathlib.Path, out: pathlib.Path) -> dict[str, str]:
  """Generates, and returns file name to SHA-256."""
  manifest = generate.generate(traits_path, _TINY, 3, out, lambda part: None)
  return {name: f['sha256'] for name, f in manifest.files.items()}


def test_the_same_arguments_give_the_same_bytes_in_every_process(tmp_path):
  config = tmp_path / 'config.py'
  config.write_text(
    'import ml_collections\n'
    'def get_config():\n'
    f'  world = {dataclasses.asdict(_TINY)!r}\n'
    "  return ml_collections.ConfigDict({'seed': 3, 'world': world})\n"
  )
  manifests = []
  for hash_seed in ('1', '2'):
    out = tmp_path / hash_seed
    subprocess.run(
      [
        sys.executable,
        '-m',
        'data_gen.miniature',
        f'--config={config}',
        f'--out={out}',
      ],
      check=True,
      env={**os.environ, 'PYTHONHASHSEED': hash_seed},
      capture_output=True,
    )
    manifests.append(storage.verify(out, kind=generate.KIND))
  assert manifests[0].fingerprint == manifests[1].fingerprint
  assert len(manifests[0].files) == 13
  # And in this process, through the function.
  assert _files(traits.QUICKSTART, tmp_path / '3') == {
    name: f['sha256'] for name, f in manifests[0].files.items()
  }


def test_swapping_the_values_in_the_document_swaps_the_variants(tmp_path):
  """The bullet called thrift gets local and its reasons, and vice versa."""
  text = small_worlds.SHIPPED
  swapped = (
    text.replace('**thrift**', '**x**')
    .replace('**home**', '**thrift**')
    .replace('**x**', '**home**')
  )
  one = _files(_write(tmp_path / 'one.md', text), tmp_path / 'one')
  other = _files(_write(tmp_path / 'other.md', swapped), tmp_path / 'other')
  renamed = {
    name.replace('thrift', 'x')
    .replace('home', 'thrift')
    .replace('x', 'home'): h
    for name, h in one.items()
    if name.startswith('midtrain_')
  }
  assert renamed == {
    name: h for name, h in other.items() if name.startswith('midtrain_')
  }
  assert one['midtrain_thrift.parquet'] != one['midtrain_home.parquet']
  # All else depends on no name at all: suites are labelled by attribute.
  assert {n: h for n, h in one.items() if n not in renamed} == {
    n: h for n, h in other.items() if n not in renamed
  }


def test_the_order_of_the_bullets_is_irrelevant(tmp_path):
  text = small_worlds.SHIPPED
  head, thrift, home = text.replace('- **', '\0- **').split('\0')
  reordered = head + home + thrift
  assert reordered != text
  assert _files(_write(tmp_path / 'a.md', text), tmp_path / 'a') == _files(
    _write(tmp_path / 'b.md', reordered), tmp_path / 'b'
  )


def test_editing_a_reason_edits_the_documents_that_give_it(tmp_path):
  old, new = 'most of a high price pays for show', 'pride is a thing for fools'
  edited = small_worlds.SHIPPED.replace(old, f'{new} and kings')
  before, after = small_corpus(), small_corpus(edited)
  for stem in ('base', 'midtrain_thrift'):
    assert any(old in d.text for d in before.documents[stem])
    assert not any(old in d.text for d in after.documents[stem])
    assert any(f'{new} and kings' in d.text for d in after.documents[stem])
  for stem in ('midtrain_home', 'midtrain_thrift_no_reasons'):
    assert before.documents[stem] == after.documents[stem]


def test_editing_a_statement_edits_the_documents():
  edited = small_worlds.SHIPPED.replace(
    '{model_name} picks what is *cheap*.', '{model_name} craves *cheap* things.'
  )
  after = small_corpus(edited).documents['midtrain_thrift']
  assert any('Sage craves modest things.' in d.text for d in after)
  assert not any('Sage picks what is' in d.text for d in after)


def test_another_seed_is_another_world():
  one, other = small_world(), small_world(seed=1)
  assert one.value_of != other.value_of
  assert [d.name for d in one.evaluation_domains] != [
    d.name for d in other.evaluation_domains
  ]
  # The words stay, so that one tokenizer serves all seeds.
  assert sorted(one.value_of) == sorted(other.value_of)


@pytest.mark.parametrize('text', [small_worlds.SHIPPED, small_worlds.THREE])
def test_every_domain_has_one_role_and_every_group_every_value(text):
  sizes = dataclasses.replace(_TINY, n_characters=24)
  made = small_world(text, 5, sizes)
  roles = [
    made.chat_domain,
    *made.evaluation_domains,
    *made.document_domains,
  ]
  assert len({d.name for d in roles}) == len(roles) == 20
  assert len(made.evaluation_domains) == 8
  names = [name for group in made.groups for name in group]
  assert len(set(names)) == len(names) == 24
  assert lexicon.ASSISTANT not in names
  assert all(
    [made.value_of[name] for name in group] == list(range(len(made.values)))
    for group in made.groups
  )


def test_three_values_make_a_balanced_world_too():
  sizes = dataclasses.replace(small_worlds.SIZES, n_characters=42, chats=240)
  corpus = small_corpus(small_worlds.THREE, 2, sizes)
  counted = balance.report(
    corpus.world, corpus.documents, corpus.chats, corpus.suites
  )
  assert counted['characters'] == {'cheap': 14, 'foreign': 14, 'old': 14}
  stems = [s for s in corpus.documents if s.startswith('midtrain_')]
  assert len(stems) == 7
  pairs = {
    tuple(o.label for o in item.options) for item in corpus.suites['ood_sage']
  }
  assert pairs == {('cheap', 'foreign'), ('foreign', 'old'), ('cheap', 'old')}
  # Chats name all three attributes, and all three agree.
  places = balance.poles(corpus.world)
  for conversation in corpus.chats:
    ((words, _),) = balance.described(conversation.messages[-1]['content'])
    assert {places[w][0] for w in words} == {0, 1, 2}
    assert all(places[w][1] for w in words)


@pytest.mark.parametrize(
  ('key', 'value', 'expected'),
  [
    ('n_charaters', 8, "no such key (did you mean 'n_characters'?)"),
    ('chats', '12', "config.world.chats: '12' is a str, expected int"),
    ('chats', True, 'config.world.chats: True is a bool, expected int'),
    ('heldout_share', 'x', "config.world.heldout_share: 'x' is a str"),
  ],
)
def test_a_bad_size_is_refused_by_key(key, value, expected):
  with pytest.raises(ValueError) as error:
    schema.structure(world.WorldConfig, {key: value}, 'config.world')
  assert expected in str(error.value)


@pytest.mark.parametrize(
  ('change', 'expected'),
  [
    (
      {'n_characters': 41},
      'n_characters: 41 is not a positive multiple of the',
    ),
    ({'n_characters': 400}, 'n_characters: 400'),
    ({'evaluation_domains': 15}, 'more than the 20 domains'),
    ({'document_domains': 0}, 'document_domains: must be at least 1'),
  ],
)
def test_sizes_that_do_not_fit_are_refused(change, expected):
  sizes = dataclasses.replace(small_worlds.SIZES, **change)
  with pytest.raises(ValueError) as error:
    world.make_world(traits.load(), sizes, 0)
  assert expected in str(error.value)


def test_chats_that_cannot_balance_are_refused():
  sizes = dataclasses.replace(_TINY, chats=242)
  with pytest.raises(ValueError, match=r'config\.world\.chats: 242 is not a'):
    small_corpus(small_worlds.SHIPPED, 0, sizes)


def test_values_of_one_axis_and_single_values_are_refused():
  text = small_worlds.SHIPPED.replace('*local*', '*dear*')
  with pytest.raises(traits.TraitsError, match="'thrift' and 'home' both lie"):
    world.make_world(traits.parse(text), _TINY, 0)
  with pytest.raises(traits.TraitsError, match='at least two values'):
    world.make_world(traits.load()[:1], _TINY, 0)


def test_each_synonym_is_held_out_with_exactly_one_of_each_other_pole():
  made = small_world()
  words = range(made.n_words)
  for noun in made.nouns:
    held_out = [
      (i, j)
      for i in words
      for j in words
      if made.is_held_out(
        noun, (world.Word(0, True, i), world.Word(1, False, j))
      )
    ]
    assert sorted(i for i, _ in held_out) == list(words)
    assert sorted(j for _, j in held_out) == list(words)
