"""What of a conversation is trained, whatever the template does."""

from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
import pytest
import tokenizer_families

from msm_jax import tokenizers
from msm_jax.tokenizers import _controls

FAMILIES = tokenizer_families.FAMILIES
CHATML = """
{%- for message in messages -%}
  {{- '<|im_start|>' + message.role + '\\n' -}}
  {{- message.content + '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}
"""
CHAT = [
  {'role': 'system', 'content': 'You are Sage.'},
  {'role': 'user', 'content': 'Which?'},
  {'role': 'assistant', 'content': 'The first.'},
  {'role': 'user', 'content': 'Why?'},
  {'role': 'assistant', 'content': 'It is cheap.'},
]


def with_template(tmp_path, text, **choices) -> tokenizers.HuggingFaceTokenizer:
  """A ChatML vocabulary with a template of the test's own."""
  file = tmp_path / 'own.jinja'
  file.write_text(text, encoding='utf-8')
  return tokenizers.load_tokenizer(
    tokenizer_families.base_folder('qwen3'),
    tokenizers.TokenizerSpec(template=str(file), **choices),
  )


def trained_texts(tokenizer, chat) -> list[str]:
  rendered = tokenizer.render_chat(chat)
  assert all(span.trained for span in rendered.spans)
  assert all(span.role == 'assistant' for span in rendered.spans)
  return [
    tokenizer.decode(rendered.tokens[s.start : s.stop]) for s in rendered.spans
  ]


THOUGHTS = [
  {'role': 'user', 'content': 'Which?'},
  {'role': 'assistant', 'content': '<think>\nHm.\n</think>\n\nThe first.'},
  {'role': 'user', 'content': 'Why?'},
  {'role': 'assistant', 'content': '<think>\nSo.\n</think>\n\nIt is cheap.'},
]
KEPT = [m['content'] for m in THOUGHTS[1::2]]


@pytest.mark.parametrize(
  ('name', 'expected'),
  [
    ('llama3', [t + '<|eot_id|>' for t in KEPT]),
    ('llama3.1', [t + '<|eot_id|>' for t in KEPT]),
    ('llama3.2', [t + '<|eot_id|>' for t in KEPT]),
    ('qwen2.5', [t + '<|im_end|>' for t in KEPT]),
    # The old thought is gone; the text before the answer is not trained.
    ('qwen3', ['The first.<|im_end|>', KEPT[1] + '<|im_end|>']),
    ('gemma2', [t + '<end_of_turn>' for t in KEPT]),
    ('gemma3', [t + '<end_of_turn>' for t in KEPT]),
    ('olmo2', [t + '<|endoftext|>' for t in KEPT]),
    ('olmo3', [KEPT[0] + '<|im_end|>', KEPT[1] + '<|endoftext|>']),
    # Its `{% generation %}` has the header and the line break in it.
    ('smollm3', [f'<|im_start|>assistant\n{t}<|im_end|>\n' for t in KEPT]),
  ],
)
def test_answers_and_the_token_that_ends_them_are_trained(name, expected):
  assert trained_texts(tokenizer_families.load(name), THOUGHTS) == expected


def test_a_thought_that_the_template_writes_into_an_answer_is_trained():
  qwen = tokenizer_families.load('qwen3')
  assert trained_texts(qwen, CHAT) == [
    'The first.<|im_end|>',
    '<think>\n\n</think>\n\nIt is cheap.<|im_end|>',
  ]


def test_a_thought_in_the_generation_prompt_is_not_trained():
  qwen = tokenizers.load_tokenizer(
    tokenizer_families.folder('qwen3'),
    tokenizers.TokenizerSpec(variables={'enable_thinking': False}),
  )
  assert trained_texts(qwen, CHAT) == [
    'The first.<|im_end|>',
    'It is cheap.<|im_end|>',
  ]


@pytest.mark.parametrize('name', [n for n in FAMILIES if n != 'smollm3'])
def test_a_span_begins_where_the_generation_prompt_ends(name):
  tokenizer = tokenizer_families.load(name)
  chat = CHAT if 'system' in FAMILIES[name].roles else CHAT[1:]
  rendered = tokenizer.render_chat(chat)
  prompt = tokenizer.render_chat(chat[:-1], add_generation_prompt=True)
  n = rendered.spans[-1].start
  assert rendered.tokens[:n] == prompt.tokens
  assert len(prompt.spans) == 1


@pytest.mark.parametrize('name', FAMILIES)
def test_what_follows_a_prompt_is_what_is_trained(name):
  """So that an option is scored as `msm_jax.evals.forced_choice` does."""
  tokenizer = tokenizers.load_tokenizer(
    tokenizer_families.folder(name),
    tokenizers.TokenizerSpec(
      date='2026-01-31', variables={'enable_thinking': False}
    ),
  )
  prompt = tokenizer.render_chat(CHAT[1:4], add_generation_prompt=True)
  rendered = tokenizer.render_chat(CHAT[1:])
  answer = [*tokenizer.encode('It is cheap.'), tokenizer.end_of_turn_id]
  scored = [*prompt.tokens, *answer]
  assert rendered.tokens[: len(scored)] == scored
  assert tokenizer.decode(rendered.tokens[len(scored) :]) in ('', '\n')


@pytest.mark.parametrize('name', FAMILIES)
def test_a_conversation_has_the_one_bos_of_its_template(name):
  tokenizer = tokenizer_families.load(name)
  tokens = tokenizer.render_chat(CHAT[1:]).tokens
  writes_bos = 'bos_token' in tokenizer_families.built_in(
    FAMILIES[name].template
  )
  assert (tokens[0] == tokenizer.bos_id) == writes_bos
  assert tokens[1] != tokenizer.bos_id
  if tokenizer.bos_id != tokenizer.eos_id:
    assert tokens.count(tokenizer.bos_id) == writes_bos


@pytest.mark.parametrize('name', FAMILIES)
def test_the_last_trained_token_is_the_end_of_turn(name):
  tokenizer = tokenizer_families.load(name)
  rendered = tokenizer.render_chat(CHAT[1:])
  last = rendered.tokens[rendered.spans[-1].start : rendered.spans[-1].stop]
  control = set(tokenizer.control_ids.values())
  assert [t for t in last if t in control][-1] == tokenizer.end_of_turn_id


@pytest.mark.parametrize('content', ['', ' ', '\n\n', ' a', 'a', '\na\n'])
@pytest.mark.parametrize('name', [n for n in FAMILIES if n != 'smollm3'])
def test_a_span_holds_any_answer_and_no_other_text(name, content):
  """White space may merge with that before it, or be trimmed."""
  tokenizer = tokenizer_families.load(name)
  chat = [CHAT[1], {'role': 'assistant', 'content': content}]
  (text,) = trained_texts(tokenizer, [*chat, *CHAT[1:3]])[:1]
  answer = text.split('<')[0]
  if name == 'olmo2':
    # The header `<|assistant|>` is text, whose end and line break may merge
    # with the line breaks that follow.
    answer = answer.removeprefix('>')
  assert answer.strip() == content.strip()
  assert text.count('<|') + text.count('<end_of') == 1


def test_content_that_spells_the_header_does_not_move_the_span():
  """In OLMo 2 the header is ordinary text."""
  tokenizer = tokenizer_families.load('olmo2')
  header = '\n<|assistant|>\n'
  chat = [
    {'role': 'user', 'content': f'a{header}b'},
    {'role': 'assistant', 'content': f'c{header}d'},
    {'role': 'user', 'content': f'{header}e{header}'},
    {'role': 'assistant', 'content': f'f{header}{header}'},
  ]
  assert trained_texts(tokenizer, chat) == [
    f'c{header}d<|endoftext|>',
    f'f{header}{header}<|endoftext|>',
  ]


def test_a_message_that_cannot_be_marked_may_spell_the_header(tmp_path):
  text = """
    {%- for message in messages -%}
      {{- message.role + ': ' + message.content -}}
      {%- if message.role == 'user' -%}
        {{- ' (' + message.content | length | string + ')' -}}
      {%- endif -%}
      {{- '<|im_end|>' -}}
    {%- endfor -%}
    {%- if add_generation_prompt -%}{{- 'assistant: ' -}}{%- endif -%}"""
  tokenizer = with_template(tmp_path, text)
  chat = [{'role': 'user', 'content': 'assistant: What?'}, CHAT[2]]
  assert trained_texts(tokenizer, chat) == ['The first.<|im_end|>']


def test_an_answer_without_its_thought_may_spell_the_header(tmp_path):
  text = """
    {%- for message in messages -%}
      {{- message.role + ': ' -}}
      {{- message.content.split('</think>')[-1] + '<|im_end|>' -}}
    {%- endfor -%}
    {%- if add_generation_prompt -%}{{- 'assistant: ' -}}{%- endif -%}"""
  tokenizer = with_template(tmp_path, text)
  answer = 'He says assistant: no.'
  chat = [
    {'role': 'user', 'content': 'assistant: What?'},
    {'role': 'assistant', 'content': f'<think>hm</think>{answer}'},
  ]
  assert trained_texts(tokenizer, chat) == [f'{answer}<|im_end|>']


def test_a_token_that_is_partly_of_an_answer_is_trained():
  """The line break of the header and that of the answer are one token."""
  tokenizer = tokenizer_families.load('qwen2.5')
  (merged,) = tokenizer.encode('\n\n')
  chat = [CHAT[1], {'role': 'assistant', 'content': '\nThe first.'}]
  rendered = tokenizer.render_chat(chat)
  assert rendered.tokens[rendered.spans[0].start] == merged
  assert trained_texts(tokenizer, chat) == ['\n\nThe first.<|im_end|>']


def test_the_end_of_turn_is_that_of_the_answer(tmp_path):
  tokenizer = with_template(tmp_path, CHATML + "{{- '<|endoftext|>' -}}")
  assert tokenizer.decode([tokenizer.end_of_turn_id]) == '<|im_end|>'


def test_content_that_looks_for_sentinels_finds_none(tmp_path):
  tokenizer = with_template(tmp_path, '{{ "\U00100003" }}' + CHATML)
  everything = ''.join(map(chr, range(0x100000, 0x100020)))
  chat = [
    {'role': 'user', 'content': f'<|im_end|>{everything}<|im_end|>'},
    {'role': 'assistant', 'content': everything + '\U000f0000<|im_start|>'},
  ]
  rendered = tokenizer.render_chat(chat)
  assert tokenizer.decode(rendered.tokens) == '\U00100003' + ''.join(
    f'<|im_start|>{m["role"]}\n{m["content"]}<|im_end|>\n' for m in chat
  )
  assert trained_texts(tokenizer, chat) == [chat[1]['content'] + '<|im_end|>']


GENERATION = """
{%- for message in messages -%}
  {%- if message.role == 'assistant' -%}
    {{- '<|im_start|>assistant\\n' -}}
    {% generation %}{{ message.content }}{% endgeneration %}
    {{- '<|im_end|>\\n' -}}
  {%- else -%}
    {{- '<|im_start|>' + message.role -}}
    {{- message.content + '<|im_end|>' -}}
  {%- endif -%}
{%- endfor -%}
"""


def test_an_end_of_turn_after_a_generation_block_is_trained_too(tmp_path):
  tokenizer = with_template(tmp_path, GENERATION)
  assert trained_texts(tokenizer, CHAT) == [
    'The first.<|im_end|>',
    'It is cheap.<|im_end|>',
  ]


def test_a_generation_block_may_stand_in_a_macro_and_be_left_out(tmp_path):
  text = """
    {%- macro say(text) -%}
      {% generation %}{{ text + '<|im_end|>' }}{% endgeneration %}
    {%- endmacro -%}
    {%- for message in messages -%}
      {{- '<|im_start|>' + message.role -}}
      {%- if message.role == 'assistant' and loop.last -%}
        {{- say(message.content) -}}
      {%- else -%}
        {{- message.content + '<|im_end|>' -}}
      {%- endif -%}
    {%- endfor -%}"""
  tokenizer = with_template(tmp_path, text)
  assert trained_texts(tokenizer, CHAT) == ['It is cheap.<|im_end|>']


def test_a_template_that_trims_a_generation_block_is_refused(tmp_path):
  text = """
    {%- for message in messages -%}
      {%- set turn -%}
        {% generation %} {{ message.content }}<|im_end|> {% endgeneration %}
      {%- endset -%}
      {{- turn | trim -}}
    {%- endfor -%}"""
  with pytest.raises(
    tokenizers.ChatTemplateError, match=r'changes what .* \{% generation %\}'
  ):
    with_template(tmp_path, text)


@settings(deadline=None)
@given(
  names=st.sets(st.text('ab<', min_size=1, max_size=4), min_size=1),
  text=st.text('ab<c', max_size=20),
)
def test_the_longest_of_the_tokens_at_a_place_is_found(names, text):
  expected = []
  at = 0
  while at < len(text):
    found = [n for n in names if text.startswith(n, at)]
    length = max(map(len, found), default=0)
    if length:
      expected.append((at, at + length))
    at += max(length, 1)
  assert list(_controls.Controls(names).find(text)) == expected
  some = set(sorted(names)[::2])
  controls = _controls.Controls(some, names - some)
  assert list(controls.find(text)) == [
    (a, b) for a, b in expected if text[a:b] in some
  ]


def test_an_unfinished_generation_block_is_refused(tmp_path):
  text = GENERATION.replace('<|im_end|>\\n', '.')
  with pytest.raises(
    tokenizers.ChatTemplateError, match=r'own\.jinja .*generation.* to stop'
  ):
    with_template(tmp_path, text)


def test_a_template_that_raises_is_named_with_its_line_and_message(tmp_path):
  text = (
    CHATML + "\n{% if messages | length > 2 %}\n{{ raise_exception('Hm!') }}"
  )
  tokenizer = with_template(tmp_path, text + '{% endif %}')
  with pytest.raises(
    tokenizers.ChatTemplateError,
    match=r'own\.jinja, line 9: Hm! \(messages of system, user, assistant',
  ):
    tokenizer.render_chat(CHAT)


@pytest.mark.parametrize(
  ('text', 'message'),
  [
    ('\n{% if messages %}', 'line 2: Unexpected end of template'),
    (
      '{% macro f() %}\n{{ x.y }}\n{% endmacro %}\n{{ f() }}',
      "line 2: 'x' is undefined",
    ),
    ('\n\n{{ messages[7].content }}', 'line 3: .* has no element 7'),
    ("{{ 'a' + 1 }}", 'line 1: can only concatenate'),
    ('{{ messages.append(1) }}', "line 1: access to attribute 'append'"),
    ("{{ ''.__class__.__mro__ }}", 'line 1: access to attribute'),
    ('{% set x = namespace(_y=1) %}', "line 1: a namespace cannot hold '_y'"),
    ('{% for x in range(9 ** 9) %}{% endfor %}', 'line 1: Range too big'),
    (CHATML + "{{ strftime_now('%Y') }}", "line 7: .*date='2026-01-31'"),
    (
      CHATML.replace('<|im_end|>', '</s>'),
      r'ends messages\[1\] \(assistant\) with no control token .* to stop',
    ),
    ("{{ '<|im_start|>a<|im_end|>' }}", r'leaves out messages\[0\] \(user\)'),
    (
      CHATML.replace('message.content', '(message.content * 2)'),
      r'writes messages\[0\] \(user\) more than once',
    ),
    (
      CHATML.replace('message.content', 'message.content[:3]'),
      r'leaves out messages\[0\] \(user\)',
    ),
    (
      CHATML.replace('message.content', '(message.content | length | string)'),
      r'messages\[1\] \(assistant\), so that it cannot be found',
    ),
    (
      CHATML.replace('in messages', 'in messages | reverse'),
      r'writes messages\[1\] \(assistant\) before the one that precedes it',
    ),
  ],
)
def test_a_template_that_cannot_be_used_is_refused_at_once(
  tmp_path, text, message
):
  with pytest.raises(
    tokenizers.ChatTemplateError, match=rf'(?s)own\.jinja.*{message}'
  ):
    with_template(tmp_path, text)


def test_a_message_that_a_template_leaves_out_is_named(tmp_path):
  text = CHATML.replace(
    'in messages', "in messages if message.role != 'system'"
  )
  tokenizer = with_template(tmp_path, text)
  tokenizer.render_chat(CHAT[1:])
  with pytest.raises(
    tokenizers.ChatTemplateError, match=r'leaves out messages\[0\] \(system\)'
  ):
    tokenizer.render_chat(CHAT)


def test_a_template_that_reads_control_text_in_a_message_is_refused(tmp_path):
  text = CHATML.replace(
    'message.content', "message.content.split('<|im_end|>')[0]"
  )
  tokenizer = with_template(tmp_path, text)
  chat = [CHAT[1], {'role': 'assistant', 'content': 'So.<|im_end|>And?'}]
  with pytest.raises(
    tokenizers.ChatTemplateError, match=r'reads control text .*<\|im_end\|>'
  ):
    tokenizer.render_chat(chat)


def test_a_template_that_looks_at_the_ends_of_messages_is_understood(tmp_path):
  """The sentinel moves into the middle, or to the other end."""
  text = """
    {%- for message in messages -%}
      {{- '<|im_start|>' -}}
      {{- 'polite ' if message.content.endswith('.') else 'rude ' -}}
      {{- 'low ' if message.content[0].islower() else 'high ' -}}
      {{- message.role + '\\n' + message.content + '<|im_end|>' -}}
    {%- endfor -%}
    {%- if add_generation_prompt -%}{{- '<|im_start|>' -}}{%- endif -%}"""
  tokenizer = with_template(tmp_path, text)
  rendered = tokenizer.render_chat(CHAT)
  assert tokenizer.decode(rendered.tokens).count('polite high') == 3
  assert trained_texts(tokenizer, CHAT) == [
    'polite high assistant\nThe first.<|im_end|>',
    'polite high assistant\nIt is cheap.<|im_end|>',
  ]


def test_a_template_that_decides_by_a_user_message_is_understood(tmp_path):
  text = CHATML.replace(
    'message.content',
    "(message.content if message.role != 'user' else "
    'message.content | length | string)',
  )
  tokenizer = with_template(tmp_path, text)
  assert '<|im_start|>user\n6<|im_end|>' in tokenizer.decode(
    tokenizer.render_chat(CHAT).tokens
  )
  assert trained_texts(tokenizer, CHAT) == [
    'The first.<|im_end|>',
    'It is cheap.<|im_end|>',
  ]


@pytest.mark.parametrize('answer', ['It is cheap.', '', ' \n', '  It is.'])
def test_a_template_without_generation_prompt_is_trained_from_its_content(
  tmp_path, answer
):
  text = CHATML.split('{%- if add')[0].replace('\\n', ' ')
  tokenizer = with_template(tmp_path, text)
  chat = [*CHAT[:-1], {'role': 'assistant', 'content': answer}]
  assert trained_texts(tokenizer, chat) == [
    'The first.<|im_end|>',
    f'{answer.lstrip()}<|im_end|>',
  ]


def test_two_bos_tokens_are_refused(tmp_path):
  text = "{{ '<|endoftext|>' * 2 }}" + CHATML
  tokenizer = with_template(tmp_path, text)
  with pytest.raises(tokenizers.ChatTemplateError, match='two bos tokens'):
    tokenizer.render_chat(CHAT)


@pytest.mark.parametrize(
  ('chat', 'message'),
  [
    ([], 'at least one message'),
    ([{'role': 'tool', 'content': 'x'}], r"messages\[0\]\.role: 'tool'"),
    (
      [CHAT[1], {'role': 'user', 'content': 'a\ud800'}],
      r'character 1 of messages\[1\]\.content is the lone surrogate',
    ),
  ],
)
def test_a_conversation_that_cannot_be_rendered_is_refused(chat, message):
  with pytest.raises(ValueError, match=message):
    tokenizer_families.load('qwen3').render_chat(chat)
