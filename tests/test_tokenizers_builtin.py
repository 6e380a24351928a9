"""The built-in chat templates write what their families document.

The texts are written out from the documentation that each template names.
"""

import datetime

import pytest
import tokenizer_families

from msm_jax import tokenizers
from msm_jax.tokenizers import _jinja

SYSTEM = {'role': 'system', 'content': 'Be brief.'}
CHAT = [
  {'role': 'user', 'content': ' Hi! '},
  {'role': 'assistant', 'content': 'Hello.'},
  {'role': 'user', 'content': 'Bye.'},
]
THOUGHT = {'role': 'assistant', 'content': '<think>\nHm.\n</think>\n\nHello.'}


def render(name, chat, prompt=True, **variables) -> str:
  template = _jinja.JinjaTemplate(
    tokenizer_families.built_in(name),
    name=name,
    variables={'bos_token': '<bos>', 'eos_token': '<eos>', **variables},
    date=datetime.date(2026, 1, 31),
  )
  return template.render(chat, add_generation_prompt=prompt)


def chatml(*turns) -> str:
  return ''.join(
    f'<|im_start|>{role}\n{text}<|im_end|>\n' for role, text in turns
  )


def llama(*turns) -> str:
  return ''.join(
    f'<|start_header_id|>{role}<|end_header_id|>\n\n{text}<|eot_id|>'
    for role, text in turns
  )


def gemma(*turns) -> str:
  return ''.join(
    f'<start_of_turn>{role}\n{text}<end_of_turn>\n' for role, text in turns
  )


QWEN = 'You are Qwen, created by Alibaba Cloud. You are a helpful assistant.'
LLAMA_HEADER = '<|start_header_id|>assistant<|end_header_id|>\n\n'
DATES = 'Cutting Knowledge Date: December 2023\nToday Date: {}\n\n'
OLMO = (
  'You are OLMo, a helpful function-calling AI assistant built by Ai2. Your '
  'date cutoff is November 2024, and your model weights are available at '
  'https://huggingface.co/allenai.'
)
NO_FUNCTIONS = (
  ' You do not currently have access to any functions. <functions></functions>'
)
TURNS = [('user', ' Hi! '), ('assistant', 'Hello.'), ('user', 'Bye.')]
STRIPPED = [('user', 'Hi!'), ('assistant', 'Hello.'), ('user', 'Bye.')]
MODEL = [('user', 'Hi!'), ('model', 'Hello.'), ('user', 'Bye.')]


@pytest.mark.parametrize(
  ('name', 'without', 'within'),
  [
    (
      'chatml',
      chatml(*TURNS) + '<|im_start|>assistant\n',
      chatml(('system', 'Be brief.'), *TURNS) + '<|im_start|>assistant\n',
    ),
    (
      'llama2',
      '<bos>[INST] Hi! [/INST] Hello. <eos><bos>[INST] Bye. [/INST]',
      '<bos>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\n Hi! [/INST] Hello. <eos>'
      '<bos>[INST] Bye. [/INST]',
    ),
    (
      'llama3',
      '<bos>' + llama(*STRIPPED) + LLAMA_HEADER,
      '<bos>' + llama(('system', 'Be brief.'), *STRIPPED) + LLAMA_HEADER,
    ),
    *(
      (
        name,
        '<bos>'
        + llama(('system', DATES.format(day)), *STRIPPED)
        + LLAMA_HEADER,
        '<bos>'
        + llama(('system', DATES.format(day) + 'Be brief.'), *STRIPPED)
        + LLAMA_HEADER,
      )
      for name, day in (
        ('llama3.1', '26 Jul 2024'),
        ('llama3.2', '31 Jan 2026'),
      )
    ),
    (
      'qwen2.5',
      chatml(
        ('system', QWEN),
        *TURNS,
      )
      + '<|im_start|>assistant\n',
      chatml(('system', 'Be brief.'), *TURNS) + '<|im_start|>assistant\n',
    ),
    (
      'qwen3',
      chatml(*TURNS) + '<|im_start|>assistant\n',
      chatml(('system', 'Be brief.'), *TURNS) + '<|im_start|>assistant\n',
    ),
    (
      'gemma3',
      '<bos>' + gemma(*MODEL) + '<start_of_turn>model\n',
      '<bos>'
      + gemma(('user', 'Be brief.\n\nHi!'), *MODEL[1:])
      + '<start_of_turn>model\n',
    ),
    (
      'olmo2',
      '<bos><|user|>\n Hi! \n<|assistant|>\nHello.<eos>\n<|user|>\nBye.\n'
      '<|assistant|>\n',
      '<bos><|system|>\nBe brief.\n<|user|>\n Hi! \n<|assistant|>\nHello.'
      '<eos>\n<|user|>\nBye.\n<|assistant|>\n',
    ),
    (
      'olmo3',
      chatml(('system', OLMO + NO_FUNCTIONS), *TURNS)
      + '<|im_start|>assistant\n',
      chatml(('system', 'Be brief.' + NO_FUNCTIONS), *TURNS)
      + '<|im_start|>assistant\n',
    ),
  ],
)
def test_a_conversation_is_written_as_documented(name, without, within):
  assert render(name, CHAT) == without
  assert render(name, [SYSTEM, *CHAT]) == within


def test_gemma_2_has_no_system_message_and_roles_take_turns():
  assert render('gemma', CHAT) == (
    '<bos>' + gemma(*MODEL) + '<start_of_turn>model\n'
  )
  for chat, message in (
    ([SYSTEM, *CHAT], 'System role not supported'),
    (CHAT[1:], 'take turns'),
    ([CHAT[0], CHAT[0]], 'take turns'),
  ):
    with pytest.raises(tokenizers.ChatTemplateError, match=message):
      render('gemma', chat)


@pytest.mark.parametrize('name', ['gemma3', 'llama2'])
def test_roles_take_turns(name):
  with pytest.raises(tokenizers.ChatTemplateError, match='take turns'):
    render(name, CHAT[1:])


def test_olmo_3_ends_the_last_answer_with_the_end_of_text():
  assert render('olmo3', CHAT[:2], prompt=False).endswith(
    '<|im_start|>assistant\nHello.<eos>'
  )


@pytest.mark.parametrize('answer', [CHAT[1], THOUGHT])
def test_qwen_3_thinks_in_its_last_answer_only(answer):
  """Qwen 3's model card: no thinking content in the history."""
  chat = [CHAT[0], answer]
  thought = 'Hm.' if answer is THOUGHT else ''
  last = f'<think>\n{thought}\n</think>\n\nHello.'
  assert render('qwen3', chat, prompt=False) == chatml(
    TURNS[0], ('assistant', last)
  )
  assert render('qwen3', [*chat, CHAT[2], answer], prompt=False) == chatml(
    *TURNS, ('assistant', last)
  )


def test_qwen_3_keeps_thoughts_while_a_tool_answers():
  tool = {'role': 'user', 'content': '<tool_response>3</tool_response>'}
  assert render('qwen3', [CHAT[0], THOUGHT, tool, CHAT[1]], prompt=False) == (
    chatml(
      TURNS[0],
      ('assistant', THOUGHT['content']),
      ('user', tool['content']),
      ('assistant', '<think>\n\n</think>\n\nHello.'),
    )
  )


def test_qwen_3_without_thinking_is_prompted_with_an_empty_thought():
  assert render('qwen3', CHAT, enable_thinking=False).endswith(
    '<|im_start|>assistant\n<think>\n\n</think>\n\n'
  )
  assert render('qwen3', CHAT, enable_thinking=True) == render('qwen3', CHAT)


SMOL = (
  '<|im_start|>system\n## Metadata\n\nKnowledge Cutoff Date: June 2025\n'
  'Today Date: 31 January 2026\nReasoning Mode: {}\n\n'
  '## Custom Instructions\n\n{}\n\n'
)
SMOL_NAME = (
  'You are a helpful AI assistant named SmolLM, trained by Hugging Face.'
)
EMPTY = '<think>\n\n</think>\n'


def test_smollm_3_has_metadata_and_no_end_of_the_system_turn():
  turns = chatml(*TURNS) + '<|im_start|>assistant\n'
  assert render('smollm3', [SYSTEM, *CHAT]) == (
    SMOL.format('/think', 'Be brief.') + turns
  )
  thinking = render('smollm3', CHAT)
  assert thinking.startswith(
    SMOL.format('/think', SMOL_NAME + ' Your role as an assistant').rstrip()
  )
  assert thinking.endswith('needed to reach the conclusion.\n\n' + turns)


@pytest.mark.parametrize(
  ('chat', 'variables', 'text'),
  [
    (CHAT, {'enable_thinking': False}, SMOL_NAME),
    ([{**SYSTEM, 'content': '/no_think'}, *CHAT], {}, SMOL_NAME),
    (
      [{**SYSTEM, 'content': 'Be brief. /no_think'}, *CHAT],
      {'enable_thinking': True},
      'Be brief.',
    ),
  ],
)
def test_smollm_3_without_thinking_has_empty_thoughts(chat, variables, text):
  assert render('smollm3', chat, **variables) == (
    SMOL.format('/no_think', text)
    + chatml(('user', ' Hi! '), ('assistant', EMPTY + 'Hello.'), TURNS[2])
    + '<|im_start|>assistant\n'
    + EMPTY
  )


def test_smollm_3_can_have_a_system_message_of_its_own():
  system = {**SYSTEM, 'content': 'Be brief. /think /system_override'}
  assert render(
    'smollm3', [system, *CHAT], enable_thinking=False
  ) == '<|im_start|>system\nBe brief.<|im_end|>\n' + chatml(*TURNS) + (
    '<|im_start|>assistant\n'
  )


def test_every_built_in_template_names_its_source():
  assert len(tokenizers.BUILT_IN_TEMPLATES) == 12
  for name in tokenizers.BUILT_IN_TEMPLATES:
    head = tokenizer_families.built_in(name).split('-#}')[0]
    assert head.startswith('{#-'), name
    assert 'written out from' in head or name == 'chatml', name
