"""Files of Hugging Face tokenizers: whole, damaged, incomplete, published."""

import json
import pathlib
import shutil
import subprocess
import sys

import pytest
import tokenizer_families
import tokenizers as hf

from msm_jax import storage
from msm_jax import tokenizers

FAMILIES = tokenizer_families.FAMILIES
CHAT = [
  {'role': 'user', 'content': 'Which?'},
  {'role': 'assistant', 'content': 'The first.'},
]
BASE = tokenizers.TokenizerSpec()


@pytest.fixture
def folder(tmp_path) -> pathlib.Path:
  """A copy of Qwen's files that a test may damage."""
  return shutil.copytree(tokenizer_families.folder('qwen2.5'), tmp_path / 'hf')


def edit(file: pathlib.Path, **changes) -> None:
  """Sets or, by None, removes keys of a JSON file."""
  raw = json.loads(file.read_text()) | changes
  file.write_text(json.dumps({k: v for k, v in raw.items() if v is not None}))


def refuses(folder, message, spec=BASE) -> None:
  with pytest.raises(tokenizers.TokenizerError, match=message):
    tokenizers.load_tokenizer(folder, spec)


@pytest.mark.parametrize('keep', [0, 1, 1000, -1000, -2])
def test_a_tokenizer_json_that_was_cut_short_is_named(folder, keep):
  file = folder / 'tokenizer.json'
  file.write_bytes(file.read_bytes()[:keep])
  refuses(folder, r'hf/tokenizer\.json: not a tokenizer .*cut short .*bytes')


@pytest.mark.parametrize('text', ['{}', '[]', '{"model": {"type": "Own"}}'])
def test_json_that_is_no_tokenizer_is_named(folder, text):
  (folder / 'tokenizer.json').write_text(text)
  refuses(folder, r'hf/tokenizer\.json: not a tokenizer')


@pytest.mark.parametrize(
  'name', ['tokenizer_config.json', 'generation_config.json']
)
def test_a_config_that_was_cut_short_is_named(folder, name):
  file = folder / name
  file.write_bytes(file.read_bytes()[:-1])
  refuses(folder, f'hf/{name}: not JSON: .*cut short')
  file.write_text('[1]')
  refuses(folder, f'hf/{name}: expected a JSON object, found list')


def test_a_tokenizer_without_bos_says_what_to_choose(folder):
  (folder / 'generation_config.json').unlink()
  refuses(
    folder, r'tokenizer\.bos: .*names no bos token.* choose one .*<\|endoftext'
  )
  spec = tokenizers.TokenizerSpec(bos='<|endoftext|>')
  tokenizer = tokenizers.load_tokenizer(folder, spec)
  assert tokenizer.decode([tokenizer.bos_id]) == '<|endoftext|>'


def test_a_bos_that_only_the_generation_config_names_is_found():
  tokenizer = tokenizer_families.load('qwen2.5')
  assert tokenizer.decode([tokenizer.bos_id]) == '<|endoftext|>'


def test_a_tokenizer_without_eos_says_what_to_choose(folder):
  edit(folder / 'tokenizer_config.json', eos_token=None)
  refuses(folder, r'tokenizer\.eos: .*names no eos token.*<\|im_end\|>')
  spec = tokenizers.TokenizerSpec(eos='<|endoftext|>')
  tokenizer = tokenizers.load_tokenizer(folder, spec)
  assert tokenizer.decode([tokenizer.eos_id]) == '<|endoftext|>'
  # What ends a turn is the template's.
  assert tokenizer.decode([tokenizer.end_of_turn_id]) == '<|im_end|>'


def test_without_a_padding_token_the_end_of_text_is_padding(folder):
  edit(folder / 'tokenizer_config.json', pad_token=None)
  tokenizer = tokenizers.load_tokenizer(folder)
  assert tokenizer.pad_id == tokenizer.eos_id


@pytest.mark.parametrize(
  ('change', 'name'),
  [
    ({'pad_token': '<|pad|>'}, r'<\|pad\|>'),
    ({'additional_special_tokens': ['<|im_end|>', '<|x|>']}, r'<\|x\|>'),
    ({'extra_special_tokens': {'image_token': '<|i|>'}}, r'<\|i\|>'),
    (
      {'added_tokens_decoder': {'9': {'content': '<|im_end|>'}}},
      r'<\|im_end\|>',
    ),
  ],
)
def test_special_tokens_that_the_vocabulary_lacks_are_named(
  folder, change, name
):
  edit(folder / 'tokenizer_config.json', **change)
  refuses(
    folder,
    r'tokenizer_config\.json names tokens that .*tokenizer\.json does not have,'
    rf" or under other ids: \['{name}'\]",
  )


@pytest.mark.parametrize(
  'change',
  [
    {'added_tokens_decoder': [1]},
    {'added_tokens_decoder': {'x': {'content': '<|im_end|>'}}},
    {'added_tokens_decoder': {'1': {'special': True}}},
    {'additional_special_tokens': [7]},
    {'eos_token': {'text': '<|im_end|>'}},
  ],
)
def test_special_tokens_that_are_none_are_named_with_their_file(folder, change):
  edit(folder / 'tokenizer_config.json', **change)
  refuses(folder, r'tokenizer_config\.json: its special tokens cannot be read')


@pytest.mark.parametrize('role', ['bos', 'eos', 'pad'])
def test_a_choice_that_is_no_control_token_is_named(folder, role):
  spec = tokenizers.TokenizerSpec(**{role: '<|imend|>'})
  refuses(
    folder,
    rf"tokenizer\.{role}: '<\|imend\|>' is no control token .*"
    r"did you mean '<\|im_end\|>'",
    spec,
  )


def test_tokens_are_special_if_any_file_says_so(folder):
  """In `transformers` the config's flags win over those of tokenizer.json."""
  raw = json.loads((folder / 'tokenizer.json').read_text())
  for token in raw['added_tokens']:
    token['special'] = False
  (folder / 'tokenizer.json').write_text(json.dumps(raw))
  config = json.loads((folder / 'tokenizer_config.json').read_text())
  for token in config['added_tokens_decoder'].values():
    token['special'] = token['content'] == '<|im_start|>'
  (folder / 'tokenizer_config.json').write_text(json.dumps(config))
  tokenizer = tokenizers.load_tokenizer(folder)
  assert tokenizer.control_ids == tokenizer_families.load('qwen2.5').control_ids
  text = '<|im_start|>a<|im_end|>b<|endoftext|>'
  assert tokenizer.encode(text) == tokenizer_families.load('qwen2.5').encode(
    text
  )


def test_an_older_folder_names_special_tokens_in_a_map(folder):
  edit(
    folder / 'tokenizer_config.json', added_tokens_decoder=None, eos_token=None
  )
  (folder / 'special_tokens_map.json').write_text(
    json.dumps({'eos_token': {'content': '<|endoftext|>', 'lstrip': False}})
  )
  tokenizer = tokenizers.load_tokenizer(folder)
  assert tokenizer.decode([tokenizer.eos_id]) == '<|endoftext|>'


def test_truncation_and_padding_of_a_tokenizer_json_are_off(folder):
  raw = hf.Tokenizer.from_file(str(folder / 'tokenizer.json'))
  raw.enable_truncation(3)
  raw.enable_padding(length=100)
  raw.save(str(folder / 'tokenizer.json'))
  tokenizer = tokenizers.load_tokenizer(folder)
  family = tokenizer_families.load('qwen2.5')
  text = 'Which of the two would you choose?'
  assert tokenizer.encode(text) == family.encode(text)
  assert tokenizer.encode_batch([text]) == [family.encode(text)]
  assert tokenizer.render_chat(CHAT) == family.render_chat(CHAT)


@pytest.mark.parametrize(
  ('part', 'lost'),
  [
    ({'normalizer': {'type': 'Lowercase'}}, r"upper case \('ABC'\)"),
    ({'normalizer': {'type': 'NFKC'}}, 'compatibility characters'),
    (
      {
        'normalizer': {'type': 'Strip', 'strip_left': True, 'strip_right': True}
      },
      'spaces at the beginning .*spaces at the end',
    ),
    (
      {'pre_tokenizer': {'type': 'WhitespaceSplit'}},
      'runs of spaces .*line breaks .*tabs',
    ),
  ],
)
def test_a_tokenizer_that_changes_text_is_refused_with_what_it_loses(
  folder, part, lost
):
  edit(folder / 'tokenizer.json', **part)
  refuses(folder, rf'tokenizer\.json changes text: it loses .*{lost}')


def test_special_tokens_that_are_whole_words_only_are_refused(folder):
  config = json.loads((folder / 'tokenizer_config.json').read_text())
  for token in config['added_tokens_decoder'].values():
    token['single_word'] = True
  (folder / 'tokenizer_config.json').write_text(json.dumps(config))
  refuses(folder, r'single_word')


def test_special_tokens_may_strip_the_space_around_them(folder):
  """Phi's do; the ids stay those of `transformers`."""
  import transformers

  config = json.loads((folder / 'tokenizer_config.json').read_text())
  for token in config['added_tokens_decoder'].values():
    token['rstrip'] = token['lstrip'] = token['special']
  # Qwen's own class resets what the file says.
  config['tokenizer_class'] = 'PreTrainedTokenizerFast'
  (folder / 'tokenizer_config.json').write_text(json.dumps(config))
  chat = [{**m, 'content': f'  {m["content"]}\n '} for m in CHAT]
  reference = transformers.AutoTokenizer.from_pretrained(str(folder))
  want = reference.apply_chat_template(chat, return_dict=False)
  got = tokenizers.load_tokenizer(folder).render_chat(chat)
  assert got.tokens == want
  assert want != tokenizer_families.load('qwen2.5').render_chat(chat).tokens


def test_of_several_templates_the_default_one_is_used(folder):
  text = tokenizer_families.built_in('chatml')
  named = [
    {'name': 'tool_use', 'template': '{{ raise_exception("no") }}'},
    {'name': 'default', 'template': text},
  ]
  edit(folder / 'tokenizer_config.json', chat_template=named)
  tokenizer = tokenizers.load_tokenizer(folder)
  assert tokenizer.decode(tokenizer.render_chat(CHAT).tokens).startswith(
    '<|im_start|>user\nWhich?<|im_end|>'
  )
  edit(folder / 'tokenizer_config.json', chat_template=named[:1])
  refuses(folder, r"chat_template has \['tool_use'\] but no 'default'")


def test_a_template_file_is_read_before_the_config(folder):
  edit(folder / 'tokenizer_config.json', chat_template='{{ nothing.at.all }}')
  text = tokenizer_families.built_in('chatml')
  (folder / 'chat_template.jinja').write_text(text)
  assert tokenizers.load_tokenizer(folder).render_chat(CHAT).spans


def test_a_base_model_gets_its_template_from_the_spec():
  """The missing template is supplied by name."""
  path = tokenizer_families.base_folder('qwen3')
  base = tokenizers.load_tokenizer(path)
  assert base.end_of_turn_id == base.eos_id
  with pytest.raises(
    tokenizers.ChatTemplateError,
    match=r'qwen3-base has no chat template: .*chatml, .*qwen3',
  ):
    base.render_chat(CHAT)
  chosen = tokenizers.load_tokenizer(
    path, tokenizers.TokenizerSpec(template='qwen3')
  )
  assert chosen.render_chat(CHAT) == tokenizer_families.load(
    'qwen3'
  ).render_chat(CHAT)


def test_an_unknown_template_is_named_with_the_nearest():
  refuses(
    tokenizer_families.base_folder('qwen3'),
    r"tokenizer\.template: 'qwen-3' is neither a file nor .*mean 'qwen3'",
    tokenizers.TokenizerSpec(template='qwen-3'),
  )


def test_a_template_for_another_vocabulary_is_refused():
  refuses(
    tokenizer_families.base_folder('llama3'),
    r"'chatml' of this package ends messages\[1\] .*'<\|im_end\|>",
    tokenizers.TokenizerSpec(template='chatml'),
  )


def test_a_date_that_is_none_is_named():
  with pytest.raises(ValueError, match=r"tokenizer\.date: '31\.1\.2026'"):
    tokenizers.TokenizerSpec(date='31.1.2026')


SPECS = {
  'as it is': {},
  'template': {'template': 'chatml'},
  'bos': {'bos': '<|im_start|>'},
  'eos': {'eos': '<|endoftext|>'},
  'pad': {'pad': '<|im_end|>'},
  'date': {'date': '2026-01-31'},
  'variables': {'variables': {'x': 1}},
}


def test_the_fingerprint_changes_with_whatever_changes_ids(folder):
  prints = {
    key: tokenizers.load_tokenizer(
      folder, tokenizers.TokenizerSpec(**choices)
    ).fingerprint
    for key, choices in SPECS.items()
  }
  assert len(set(prints.values())) == len(SPECS)
  data = (folder / 'tokenizer.json').read_text()
  (folder / 'tokenizer.json').write_text(data + '\n')
  assert tokenizers.load_tokenizer(folder).fingerprint not in prints.values()


@pytest.mark.parametrize('choices', SPECS.values(), ids=list(SPECS))
def test_what_is_published_is_what_was_imported(folder, tmp_path, choices):
  spec = tokenizers.TokenizerSpec(**choices)
  tokenizer = tokenizers.import_tokenizer(folder, tmp_path / 'out', spec)
  again = tokenizers.load_tokenizer(tmp_path / 'out')
  assert again.fingerprint == tokenizer.fingerprint
  assert again.template_fingerprint == tokenizer.template_fingerprint
  assert again.render_chat(CHAT) == tokenizer.render_chat(CHAT)
  for file in folder.iterdir():
    assert (tmp_path / 'out' / file.name).read_bytes() == file.read_bytes()
  manifest = storage.read_manifest(tmp_path / 'out', kind='tokenizer')
  assert manifest.info == {
    'vocab_size': tokenizer.vocab_size,
    'fingerprint': tokenizer.fingerprint,
    'losses': ['composition of characters'],
  }
  refuses(tmp_path / 'out', 'has choices of its own|choices of its own', spec)


def test_a_published_template_of_a_file_needs_the_file_no_more(tmp_path):
  file = tmp_path / 'own.jinja'
  file.write_text(tokenizer_families.built_in('qwen3'), encoding='utf-8')
  spec = tokenizers.TokenizerSpec(template=str(file))
  source = tokenizer_families.base_folder('qwen3')
  tokenizer = tokenizers.import_tokenizer(source, tmp_path / 'out', spec)
  file.unlink()
  again = tokenizers.load_tokenizer(tmp_path / 'out')
  assert again.render_chat(CHAT) == tokenizer.render_chat(CHAT)
  # What is exported renders conversations as they were trained.
  for files in (tokenizer.files, again.files):
    assert files['chat_template.jinja'].decode() == tokenizer_families.built_in(
      'qwen3'
    )
    assert files['tokenizer.json'] == (source / 'tokenizer.json').read_bytes()


def test_a_refused_tokenizer_is_not_published(folder, tmp_path):
  (folder / 'tokenizer.json').write_text('{')
  with pytest.raises(tokenizers.TokenizerError):
    tokenizers.import_tokenizer(folder, tmp_path / 'out')
  assert not (tmp_path / 'out').exists()


def test_a_published_tokenizer_that_was_damaged_is_not_loaded(folder, tmp_path):
  tokenizers.import_tokenizer(folder, tmp_path / 'out')
  file = tmp_path / 'out' / 'tokenizer.json'
  file.write_bytes(file.read_bytes()[:-1])
  with pytest.raises(storage.CorruptError, match=r'tokenizer\.json'):
    tokenizers.load_tokenizer(tmp_path / 'out')


def test_a_tokenizer_whose_import_never_finished_is_not_loaded(
  folder, tmp_path
):
  tokenizers.import_tokenizer(folder, tmp_path / 'out')
  (tmp_path / 'out' / 'manifest.json').unlink()
  with pytest.raises(storage.NotPublishedError):
    tokenizers.load_tokenizer(tmp_path / 'out')


def test_vocab_size_is_one_more_than_the_last_id(folder):
  for name in FAMILIES:
    tokenizer = tokenizer_families.load(name)
    reference = tokenizer_families.reference(name)
    assert tokenizer.vocab_size == len(reference)
    assert max(reference.get_vocab().values()) == tokenizer.vocab_size - 1


def test_control_ids_decode_to_their_names():
  for name in FAMILIES:
    tokenizer = tokenizer_families.load(name)
    ids = [tokenizer.bos_id, *tokenizer.encode('a b'), tokenizer.end_of_turn_id]
    names = {token: text for text, token in tokenizer.control_ids.items()}
    assert tokenizer.decode(ids) == (
      names[tokenizer.bos_id] + 'a b' + names[tokenizer.end_of_turn_id]
    )


def test_a_lone_surrogate_is_refused_with_its_place():
  tokenizer = tokenizer_families.load('llama3')
  with pytest.raises(ValueError, match=r'character 2 .*surrogate'):
    tokenizer.encode('ab\ud800')
  with pytest.raises(ValueError, match=r'character 2 .*surrogate'):
    tokenizer.encode_batch(['fine', 'ab\ud800'])


def test_neither_transformers_nor_torch_is_imported_at_run_time():
  path = str(tokenizer_families.folder('llama3'))
  code = (
    'import sys\nfrom msm_jax import tokenizers\n'
    f't = tokenizers.load_tokenizer({path!r})\n'
    f't.render_chat({CHAT!r})\n'
    "assert not {'transformers', 'torch', 'jax'} & set(sys.modules)\n"
  )
  subprocess.run([sys.executable, '-c', code], check=True)
