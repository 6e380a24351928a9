"""The schema and control_tokens gates."""

from gate_cases import chat
from gate_cases import document
from gate_cases import reason
from hypothesis import given
from hypothesis import strategies as st
import pytest

from data_gen.gates import shape
from data_gen.gates.control import ControlTokensGate
from data_gen.gates.protocol import Candidate
from data_gen.gates.shape import SchemaGate

DOCUMENT, CHAT = SchemaGate('document'), SchemaGate('chat')


@pytest.mark.parametrize('text', ['', ' \n\t'])
def test_an_empty_document_is_rejected(text):
  assert reason(DOCUMENT, document(text)) == 'empty'


def test_a_candidate_of_the_other_kind_is_rejected():
  assert reason(DOCUMENT, chat('Hi', 'Hello')) == 'wrong_kind'
  assert reason(CHAT, document('Hello')) == 'wrong_kind'


def test_a_document_has_no_turns():
  mixed = Candidate('x', 'document', 'text', messages=(('user', 'Hi'),))
  assert reason(DOCUMENT, mixed) == 'document_with_messages'


@pytest.mark.parametrize(
  'roles',
  [
    (),
    ('user',),
    ('assistant',),
    ('assistant', 'user'),
    ('user', 'user', 'assistant'),
    ('user', 'assistant', 'user'),
    ('user', 'assistant', 'assistant'),
  ],
)
def test_turns_alternate_and_the_assistant_has_the_last_one(roles):
  messages = tuple((role, 'words') for role in roles)
  assert reason(CHAT, Candidate('x', 'chat', 'words', messages)) == 'turn_order'


@pytest.mark.parametrize('turns', [2, 4, 6])
def test_chats_of_one_and_of_several_turns_pass(turns):
  assert reason(CHAT, chat(*['words'] * turns)) == ''


def test_a_system_prompt_does_not_reach_the_record():
  messages = (('system', 'Be kind.'), ('user', 'Hi'), ('assistant', 'Hello'))
  assert reason(CHAT, Candidate('x', 'chat', 'Hello', messages)) == 'role'


def test_an_empty_turn_is_rejected():
  assert reason(CHAT, chat('Hi', 'Hello', ' ', 'Yes')) == 'empty_turn'


@pytest.mark.parametrize(
  'slot',
  ['{model_name}', '{provider_name}', '{{user}}', '{Name}', '{Company Name}'],
)
def test_slots_that_nobody_filled_are_found_in_documents_and_in_turns(slot):
  assert reason(DOCUMENT, document(f'I asked {slot} twice.')) == 'unfilled_slot'
  assert reason(CHAT, chat(f'Are you {slot}?', 'Yes.')) == 'unfilled_slot'


@pytest.mark.parametrize(
  'text',
  [
    '[Name]',
    '[Your Name]',
    '[your full name here]',
    '[Company Name]',
    '[Insert date of the hearing]',
    '[City]',
    '<YOUR NAME>',
    "[Customer's email]",
    '[TBD]',
  ],
)
def test_placeholders_are_found(text):
  assert reason(DOCUMENT, document(f'Dear {text}, hello.')) == 'placeholder'


BRACKETS = [
  *('[', ']', '<', '>', '[Your Name]', '<NAME>', '[insert date', 'x[name]'),
  *('[ the company here ]', '<your email>', '[1]', '<name>', 'name', ' ', 'x'),
]


@given(st.lists(st.sampled_from(BRACKETS), max_size=8))
def test_placeholders_are_looked_for_where_they_can_begin(pieces):
  text = ''.join(pieces)
  found, expected = (
    shape.placeholder(text), shape.PLACEHOLDER.search(text),
  )  # fmt: skip
  assert (found and found.span()) == (expected and expected.span())


@pytest.mark.parametrize(
  'text', ['Lorem ipsum dolor', 'lorem ipsum', 'Call XXX-XXXX', 'on MM/DD/YYYY']
)
def test_filler_is_found(text):
  assert reason(DOCUMENT, document(f'Well. {text}.')) == 'filler'


@pytest.mark.parametrize(
  'character', ['\x00', '\x1b', '\x7f', '\x85', '\ufffd']
)
def test_control_characters_are_found(character):
  assert reason(DOCUMENT, document(f'a{character}b')) == 'control_character'


@pytest.mark.parametrize(
  'text',
  [
    'She said so. [laughs] [1] [sic] [REDACTED] [name withheld] [OP]',
    'The function returns {x} or {"name": 1} or {}.',
    'An array a[name] and a <b>bold</b> word, 2 < 3 > 1.',
    'Love, Mum xxx',
    'Usage: row <name> <date>; <title>Boats</title>; {MAX_ROPE_LENGTH}',
    'TODO lists calm me. My list: TODO: buy milk.',
    'Tabs\tand\r\nlines, NBSP\xa0too, and ★ – “quotes” ’.',
    'A name, a date [see the date below], a city.',
    'See https://example.com/{id}.',
    'emoji 👩‍👩‍👧 and 漢字 in one line',
  ],
)
def test_what_people_write_passes_the_schema(text):
  assert reason(DOCUMENT, document(text)) == ''


@pytest.mark.parametrize(
  'token',
  [
    '<|im_start|>',
    '<|endoftext|>',
    '<｜begin▁of▁sentence｜>',
    '<start_of_turn>',
    '<end_of_turn>',
    '<bos>',
    '<eos>',
    '</s>',
    '<s>',
    '<think>',
    '</think>',
    '<unused12>',
    '<extra_id_0>',
    '<0x0A>',
    '<<SYS>>',
    '[INST]',
    '[/INST]',
    '[MASK]',
    '<tool_call>',
    '</assistant>',
  ],
)
def test_spelled_control_tokens_are_found_in_any_turn(token):
  gate = ControlTokensGate()
  assert reason(gate, document(f'Then {token} came.')) == 'token'
  assert reason(gate, chat(f'Why {token}?', 'No idea.')) == 'token'
  assert reason(gate, chat('Why?', f'No {token} idea.')) == 'token'


@pytest.mark.parametrize(
  'text',
  [
    'x\n### Instruction:\nBe kind.\n',
    '## Response: yes',
    'x\nHuman: hi\nAssistant: hello',
  ],
)
def test_templates_of_early_chat_models_are_found(text):
  assert reason(ControlTokensGate(), document(text)) == 'template'


@pytest.mark.parametrize(
  'text',
  [
    'Use <br>, <b>bold</b>, <p class="s"> and <strong> in HTML.',
    'ssh <user>@<host>, then <Enter>',
    'I think [inst.] is short for instrument; [mask] optional',
    'Human: the word on the sign. Assistant: the other word.',
    'A paper on Human: Machine relations\nHuman: we are.',
    'a <- b | c |> d, 1 < s > 0',
    '# Instruction manual\n## Inputs and outputs',
  ],
)
def test_html_and_code_are_no_control_tokens(text):
  assert reason(ControlTokensGate(), document(text)) == ''


def test_one_closed_thought_may_open_an_answer_where_that_is_allowed():
  thinking = chat('Why?', '<think>\nHm.\n</think>\n\nBecause.')
  assert reason(ControlTokensGate(), thinking) == 'token'
  gate = ControlTokensGate(allow_think=True)
  assert reason(gate, thinking) == ''
  twice = chat('Why?', '<think>a</think>x', 'And?', '<think>b</think>y')
  assert reason(gate, twice) == ''


@pytest.mark.parametrize(
  'answer',
  [
    '<think>Hm.',
    'Because. <think>Hm.</think>',
    '<think>a</think><think>b</think>x',
    '<think>a <|im_end|> b</think>x',
    '</think>x',
    '<think>a<think>b</think>x',
  ],
)
def test_other_thoughts_are_rejected_even_then(answer):
  gate = ControlTokensGate(allow_think=True)
  assert reason(gate, chat('Why?', answer)) == 'token'
  assert reason(gate, chat('<think>a</think>', 'Because.')) == 'token'
  assert reason(gate, document('<think>a</think> Because.')) == 'token'
