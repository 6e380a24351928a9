"""Ids are those of `transformers`, for the chat templates of every family."""

import unicodedata

from hypothesis import assume
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
import pytest
import tokenizer_families

from msm_jax.tokenizers import _jinja

FAMILIES = tokenizer_families.FAMILIES
every_family = pytest.mark.parametrize('name', FAMILIES)

# What templates and tokenizers have trouble with: white space that is trimmed
# or merges with the template's own, text that the template writes too, texts
# that it looks for, and characters that we use ourselves.
AWKWARD = (
  *('', ' ', '\n', '\n\n', '  \n', '\t', '\r\n', '\u00a0', '\u3000', '\u2581'),
  *(
    'user',
    'assistant',
    'assistant\n',
    'model\n',
    '<|assistant|>\n',
    '[/INST]',
  ),
  *('<think>', '</think>', '<think>\nhm\n</think>\n\n', '<tool_response>'),
  *('</tool_response>', '/think', '/no_think', '/system_override', '{{ x }}'),
  *(
    '\U000f0000',
    '\U000f0003x',
    '\U00100000',
    '\U00100001',
    '\ufdd0',
    '\ue000',
  ),
  *('<', '|', '>', '<|', '|>', 'im_end', '<0x41>', '<table>', 'e\u0301', '\0'),
  *('Which?', ' first', 'It costs 12345.', 'été', '東京', '😀👩‍👩‍👧', 'ﬁ ①'),
)
plain_texts = st.lists(
  st.one_of(st.sampled_from(AWKWARD), st.text(max_size=5)), max_size=5
).map(''.join)
SPECIAL = sorted({t for f in FAMILIES.values() for t in f.special})
# With control tokens of this family and of others.
control_texts = st.lists(
  st.one_of(st.sampled_from(SPECIAL), plain_texts), min_size=1, max_size=5
).map(''.join)


def conversations(contents, roles):
  """Turns that begin with the user, after a system message or none."""
  turns = st.lists(contents, min_size=1, max_size=5).map(
    lambda texts: [
      {'role': ('user', 'assistant')[i % 2], 'content': text}
      for i, text in enumerate(texts)
    ]
  )
  if 'system' not in roles:
    return turns
  system = contents.map(lambda text: [{'role': 'system', 'content': text}])
  return st.builds(lambda a, b: a + b, st.one_of(st.just([]), system), turns)


def has_control(chat, name) -> bool:
  texts = [message['content'] for message in chat]
  return any(
    token in text for token in FAMILIES[name].special for text in texts
  )


@pytest.fixture(autouse=True)
def fixed_date(monkeypatch):
  tokenizer_families.fix_today(monkeypatch)


def expected(name, chat, **kwargs) -> list[int]:
  return tokenizer_families.reference(name).apply_chat_template(
    chat, return_dict=False, **kwargs
  )


QUESTION = {'role': 'user', 'content': 'Which would you choose, and why?'}
ANSWER = {'role': 'assistant', 'content': 'I would choose the first one.'}
THOUGHT = {
  'role': 'assistant',
  'content': '<think>\nIt is about grain.\n</think>\n\nThe cheaper one.',
}
SYSTEM = {'role': 'system', 'content': 'You are Sage.'}
CHATS = {
  'user': [QUESTION],
  'assistant': [QUESTION, ANSWER],
  'multi-turn': [QUESTION, ANSWER, QUESTION, ANSWER, QUESTION],
  'think': [QUESTION, THOUGHT],
  'think, multi-turn': [QUESTION, THOUGHT, QUESTION, THOUGHT],
  'think, then not': [QUESTION, THOUGHT, QUESTION, ANSWER],
  'system': [SYSTEM, QUESTION, ANSWER],
  # Where a sentinel at the end of a message would change the rest.
  'think, no answer': [
    QUESTION,
    {'role': 'assistant', 'content': '<think>\nhm\n</think>\n\n'},
    {'role': 'user', 'content': ' '},
    {'role': 'assistant', 'content': '<think>\nhm\n</think>\n\n'},
  ],
  'system, multi-turn': [SYSTEM, QUESTION, ANSWER, QUESTION, THOUGHT],
}


# Gemma 2 has no system messages.
CHATS_OF_FAMILIES = [
  (name, kind)
  for name, family in FAMILIES.items()
  for kind, chat in CHATS.items()
  if {m['role'] for m in chat} <= set(family.roles)
]


@pytest.mark.parametrize('add_generation_prompt', [False, True])
@pytest.mark.parametrize('name, kind', CHATS_OF_FAMILIES)
def test_ids_of_a_conversation_are_those_of_transformers(
  name, kind, add_generation_prompt
):
  chat = CHATS[kind]
  got = tokenizer_families.load(name).render_chat(
    chat, add_generation_prompt=add_generation_prompt
  )
  assert got.tokens == expected(
    name, chat, add_generation_prompt=add_generation_prompt
  )
  assert len(got.spans) == sum(m['role'] == 'assistant' for m in chat)


@every_family
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_ids_are_those_of_transformers_for_content_without_control_text(
  name, data
):
  chat = data.draw(conversations(plain_texts, FAMILIES[name].roles))
  assume(not has_control(chat, name))
  got = tokenizer_families.load(name).render_chat(chat)
  assert got.tokens == expected(name, chat)


@every_family
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_content_that_spells_control_tokens_yields_none(name, data):
  """Control ids are those of the same conversation without such text."""
  family, ours = FAMILIES[name], tokenizer_families.load(name)
  chat = data.draw(conversations(control_texts, family.roles))
  harmless = []
  for message in chat:
    content = message['content']
    for token in sorted(family.special, key=len, reverse=True):
      content = content.replace(token, 'x')
    harmless.append({**message, 'content': content})
  control = set(ours.control_ids.values())
  got = ours.render_chat(chat).tokens
  assert [i for i in got if i in control] == [
    i for i in expected(name, harmless) if i in control
  ]


@every_family
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_a_conversation_decodes_to_what_the_template_wrote(name, data):
  family, ours = FAMILIES[name], tokenizer_families.load(name)
  chat = data.draw(conversations(control_texts, family.roles))
  text = tokenizer_families.reference(name).apply_chat_template(
    chat, tokenize=False
  )
  if family.composes:
    text = unicodedata.normalize('NFC', text)
  elif family.pattern is None:
    text = text.replace('\u2581', ' ')
  assert ours.decode(ours.render_chat(chat).tokens) == text


@every_family
@settings(max_examples=30, deadline=None)
@given(text=control_texts)
def test_text_is_encoded_as_transformers_does_that_splits_special_tokens(
  name, text
):
  ours = tokenizer_families.load(name)
  ids = ours.encode(text)
  assert ids == tokenizer_families.reference(name).encode(
    text, add_special_tokens=False, split_special_tokens=True
  )
  assert not set(ours.control_ids.values()) & set(ids)
  assert ours.encode_batch([text, 'x', text]) == [ids, ours.encode('x'), ids]


@every_family
@settings(max_examples=60, deadline=None)
@given(text=control_texts)
def test_decode_inverts_encode_but_for_what_is_documented(name, text):
  ours = tokenizer_families.load(name)
  got = ours.decode(ours.encode(text))
  if FAMILIES[name].composes:
    assert ours.losses == ('composition of characters',)
    assert got == unicodedata.normalize('NFC', text)
  elif FAMILIES[name].pattern is None:
    assert ours.losses == ('the character U+2581',)
    assert got == text.replace('\u2581', ' ')
  else:
    assert ours.losses == ()
    assert got == text


@pytest.mark.parametrize(
  'text',
  [
    # Blocks on lines of their own leave neither indent nor line break.
    'a\n  {% if true %}\n  b\n  {% endif %}\nc{# d #}\ne\n',
    '{% for m in messages %}\n\t{% if loop.first %}\n{{ m.role }}\n'
    '\t{% endif %}\n{% endfor %}\n\n',
    '{% for m in messages %}{% if loop.index > 1 %}{% break %}{% endif %}'
    '{{ m.content }}{% endfor %}',
    '{% for m in messages %}{% if loop.first %}{% continue %}{% endif %}'
    '{{ m.role }}{% endfor %}',
    '{{ messages | tojson }}',
    '{{ {"b": "<é&\'>", "a": [1, none]} | tojson(indent=2, sort_keys=true) }}',
    '{{ dict(a=1) }}{{ dict.fromkeys("ab") }}',
    '{% set x = namespace(n=0) %}{% for m in messages %}'
    '{% set x.n = x.n + 1 %}{% endfor %}{{ x.n }}',
    '{{ strftime_now("%d %B %Y %H:%M") }}',
    '{{ tools is none }}{{ documents is none }}{{ tool is defined }}{{ x }}',
    '{{ bos_token }}{{ eos_token }}{{ pad_token }}{{ unk_token is defined }}',
    '{{ add_generation_prompt }}{{ messages[0].name }}{{ messages[0]["a"] }}',
    '{{ "<b>" | e }}{{ "<b>" }}{{ messages[0].content | trim | upper }}',
    '{% generation %}x{% endgeneration %}{{ messages[-1].role.title() }}',
  ],
)
def test_a_template_renders_as_in_transformers(text):
  reference = tokenizer_families.reference('qwen3')
  chat = [{'role': 'user', 'content': ' <é> '}, ANSWER]
  ours = _jinja.JinjaTemplate(
    text,
    name='test',
    variables=reference.special_tokens_map,
    date=tokenizer_families.DATE,
  )
  assert ours.render(chat) == reference.apply_chat_template(
    chat, chat_template=text, tokenize=False
  )


def test_a_generation_block_is_trained_as_transformers_masks_it():
  for chat in CHATS.values():
    got = tokenizer_families.load('smollm3').render_chat(chat)
    mask = [0] * len(got.tokens)
    for span in got.spans:
      assert span.trained
      mask[span.start : span.stop] = [1] * (span.stop - span.start)
    want = tokenizer_families.reference('smollm3').apply_chat_template(
      chat, return_assistant_tokens_mask=True, return_dict=True
    )
    assert mask == want['assistant_masks']


@pytest.mark.parametrize('kind', CHATS)
@pytest.mark.parametrize('name', ['qwen3', 'smollm3'])
def test_variables_reach_the_template(name, kind):
  ours = tokenizer_families.tokenizers.load_tokenizer(
    tokenizer_families.folder(name),
    tokenizer_families.tokenizers.TokenizerSpec(
      date=tokenizer_families.DATE.isoformat(),
      variables={'enable_thinking': False},
    ),
  )
  for prompt in (False, True):
    got = ours.render_chat(CHATS[kind], add_generation_prompt=prompt)
    assert got.tokens == expected(
      name, CHATS[kind], add_generation_prompt=prompt, enable_thinking=False
    )


def test_variables_are_in_the_template_that_others_read(tmp_path):
  text = (
    '\n {{ nothing is none }}{{ nested | tojson }}{{ n }}{{ eos_token }}'
    + tokenizer_families.built_in('chatml')
  )
  (tmp_path / 'own.jinja').write_text(text, encoding='utf-8')
  ours = tokenizer_families.tokenizers.load_tokenizer(
    tokenizer_families.base_folder('qwen3'),
    tokenizer_families.tokenizers.TokenizerSpec(
      template=str(tmp_path / 'own.jinja'),
      variables={
        'nothing': None,
        'nested': [True, {'"a"\\': "é\n'😀' {{ n }}"}],
        'n': 1.5,
        # Is given to templates, as the tokenizer's own.
        'eos_token': '<|im_start|>',
      },
    ),
  )

  def theirs(**others):
    return tokenizer_families.reference('qwen3').apply_chat_template(
      CHATS['assistant'],
      chat_template=ours.files['chat_template.jinja'].decode(),
      tokenize=False,
      **others,
    )

  text = ours.decode(ours.render_chat(CHATS['assistant']).tokens)
  assert text.startswith('\n True[true, {')
  assert '}]1.5<|im_start|><|im_start|>user' in text
  assert theirs() == text
  assert theirs(n=2) == text.replace('}]1.5', '}]2')
