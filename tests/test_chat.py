"""Conversations with a checkpoint, by parts and in real terminals."""

import io
import os
import pty
import re
import select
import signal
import subprocess
import sys

import byte_tokenizer
import processes
import pytest
import test_evaluate
import tiny_run

from msm_jax import chat
from msm_jax import log
from msm_jax import models
from msm_jax import storage
from msm_jax import tokenizers
from msm_jax import training

TOKENIZER = byte_tokenizer.ByteTokenizer()


def scripted(*answers):
  """A model that gives these answers, a byte at a time; and its prompts."""
  prompts = []
  left = list(answers)

  def stream(prompt):
    prompts.append(TOKENIZER.decode(prompt))
    for token in TOKENIZER.encode(left.pop(0)):
      yield [token]

  return stream, prompts


def talk(text, *answers, system=None):
  """Output, prompts, and the conversation in the end."""
  stream, prompts = scripted(*answers)
  conversation = chat.Chat(stream, TOKENIZER, system)
  sink = io.StringIO()
  chat.converse(conversation, io.StringIO(text), sink)
  return sink.getvalue(), prompts, conversation.messages


@pytest.fixture
def said(monkeypatch):
  """What was logged as errors."""
  lines = []
  monkeypatch.setattr(
    log.logger, 'error', lambda text, *args: lines.append(text % args)
  )
  return lines


def test_prompts_hold_the_whole_conversation_in_the_models_own_template():
  out, prompts, messages = talk('Hi\nWhy?\n', 'Hello', 'So', system='Be kind.')
  assert out == 'Hello\nSo\n'
  first = '<bos><|system|>Be kind.<|end|><|user|>Hi<|end|><|assistant|>'
  assert prompts == [
    first,
    f'{first}Hello<|end|><|user|>Why?<|end|><|assistant|>',
  ]
  assert [m['role'] for m in messages] == ['system', *('user', 'assistant') * 2]


def test_a_message_may_have_several_lines():
  _, prompts, _ = talk('one\\\n\\\nthree\nlast', 'a', 'b')
  assert '<|user|>one\n\nthree<|end|>' in prompts[0]
  assert '<|user|>last<|end|>' in prompts[1]


def test_a_message_that_the_input_breaks_off_is_still_one():
  _, prompts, _ = talk('one\\', 'a')
  assert '<|user|>one<|end|>' in prompts[0]


def test_reset_forgets_all_but_the_system_prompt():
  _, prompts, messages = talk('Hi\n/reset\nYes\n', 'a', 'b', system='S')
  assert prompts[1] == (
    '<bos><|system|>S<|end|><|user|>Yes<|end|><|assistant|>'
  )
  assert len(messages) == 3


def test_quit_ends_the_program():
  out, prompts, _ = talk('Hi\n/quit\nMore\n', 'a')
  assert (out, len(prompts)) == ('a\n', 1)


def test_empty_lines_and_unknown_commands_are_no_messages(said):
  out, prompts, _ = talk('\n  \n/restart now\n /no command\n', 'a')
  assert (out, len(prompts)) == ('a\n', 1)
  assert '<|user|> /no command<|end|>' in prompts[0]
  (error,) = said
  assert error.startswith('/restart: no such command; there are /reset, /quit')


def test_characters_are_shown_whole():
  stream, _ = scripted('aé€😀z')
  conversation = chat.Chat(stream, TOKENIZER, None)
  pieces = list(conversation.answer('Hi', lambda: False))
  assert [p for p in pieces if p] == list('aé€😀z')


def test_an_answer_that_ends_within_a_character_says_so():
  def stream(prompt):
    yield TOKENIZER.encode('a€')[:2]

  conversation = chat.Chat(stream, TOKENIZER, None)
  assert ''.join(conversation.answer('Hi', lambda: False)) == 'a\ufffd'


def test_what_was_said_before_an_interruption_stays():
  stream, _ = scripted('Hello there')
  conversation = chat.Chat(stream, TOKENIZER, None)
  shown = []
  shown.extend(conversation.answer('Hi', lambda: len(''.join(shown)) >= 4))
  assert ''.join(shown) == 'Hell'
  assert conversation.messages[-1] == {'role': 'assistant', 'content': 'Hell'}


@pytest.fixture
def interruptions():
  """Ctrl-C as in a terminal: a job in the background is started deaf to it."""
  before = signal.signal(signal.SIGINT, signal.default_int_handler)
  yield
  signal.signal(signal.SIGINT, before)


def interrupt():
  os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.usefixtures('interruptions')
def test_an_interruption_ends_the_answer_and_not_the_program():
  def stream(prompt):
    for n, token in enumerate(TOKENIZER.encode('Hello')):
      if n == 3 and 'one' in TOKENIZER.decode(prompt):
        interrupt()
      yield [token]

  conversation = chat.Chat(stream, TOKENIZER, None)
  sink = io.StringIO()
  chat.converse(conversation, io.StringIO('one\n/reset\ntwo\n'), sink)
  assert sink.getvalue() == 'Hell\nHello\n'
  with pytest.raises(KeyboardInterrupt):
    interrupt()


@pytest.mark.usefixtures('interruptions')
def test_an_interruption_between_an_answer_and_the_prompt_is_none():
  class Interrupting(io.StringIO):
    def write(self, text):
      if text == '\n':
        interrupt()
      return super().write(text)

  stream, prompts = scripted('Hello', 'there')
  sink = Interrupting()
  chat.converse(
    chat.Chat(stream, TOKENIZER, None), io.StringIO('one\ntwo\n'), sink
  )
  assert sink.getvalue() == 'Hello\nthere\n'
  assert len(prompts) == 2


@pytest.mark.usefixtures('interruptions')
def test_an_interruption_ends_a_program_that_waits_for_a_pipe():
  class Waiting(io.StringIO):
    def readline(self):
      interrupt()
      raise AssertionError('it was not interrupted')

  conversation = chat.Chat(scripted()[0], TOKENIZER, None)
  with pytest.raises(KeyboardInterrupt):
    chat.converse(conversation, Waiting(), io.StringIO())


@pytest.mark.usefixtures('interruptions')
def test_a_second_interruption_does_not_meet_the_handling_of_the_first():
  def read():
    with pytest.raises(KeyboardInterrupt):
      interrupt()
    interrupt()
    return 'read'

  with chat.Interruptions() as interruptions:
    assert interruptions.ask(read) == 'read'
    assert interruptions.pressed()


def test_a_conversation_that_the_template_refuses_is_not_remembered(said):
  class Refusing(byte_tokenizer.ByteTokenizer):
    def render_chat(self, messages, **how):
      if 'bad' in messages[-1]['content']:
        raise ValueError('the template refuses this')
      return super().render_chat(messages, **how)

  stream, prompts = scripted('a')
  conversation = chat.Chat(stream, Refusing(), None)
  sink = io.StringIO()
  chat.converse(conversation, io.StringIO('bad\ngood\n'), sink)
  assert said == ['the template refuses this']
  assert sink.getvalue() == 'a\n'
  assert len(prompts) == 1 and 'bad' not in prompts[0]


@pytest.fixture(scope='module')
def root(tmp_path_factory):
  root = tmp_path_factory.mktemp('chat')
  tiny_run.make_sources(root)
  test_evaluate.make_run(root, root / 'run', seed=0)
  return root


def command(root, *more, checkpoint='run@sft'):
  return [
    *(sys.executable, '-m', 'msm_jax.chat'),
    *(f'--checkpoint={root}/{checkpoint}', f'--tokenizer={root}/tokenizer'),
    *('--temperature=0', *more),
  ]


def expected(root, *turns, n=20, phase='sft'):
  """Greedy answers by the parts that the command is made of."""
  tokenizer = tokenizers.load_tokenizer(root / 'tokenizer')
  found = test_evaluate.evaluate.find_checkpoint(
    test_evaluate.evaluate.Arm('', str(root / 'run'), phase), tokenizer
  )
  messages, answers = [], []
  for turn in turns:
    messages.append({'role': 'user', 'content': turn})
    prompt = tokenizer.render_chat(messages, add_generation_prompt=True).tokens
    (sample,) = models.sample(
      found.model,
      found.params(),
      [prompt],
      models.SamplingConfig(
        max_new_tokens=n,
        temperature=0,
        stop_ids=(tokenizer.end_of_turn_id, tokenizer.eos_id),
      ),
    )
    answers.append(tokenizer.decode(sample.tokens))
    messages.append({'role': 'assistant', 'content': answers[-1]})
  return answers


def test_a_pipe_gets_the_answers_and_nothing_else(root):
  done = subprocess.run(
    command(root, '--max_new_tokens=20', checkpoint='run'),
    cwd=processes.ROOT,
    env=processes.environment(),
    input='the lamp\nred chair',
    capture_output=True,
    check=False,
    text=True,
  )
  assert done.returncode == 0, done.stderr
  answers = expected(root, 'the lamp', 'red chair')
  assert done.stdout == ''.join(f'{a}\n' for a in answers)
  assert 'run@sft, step 44' in done.stderr


# Ctrl-C reaches only a process whose terminal it is.
_IN_ITS_OWN_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


class Terminal:
  """A process in a terminal of its own."""

  def __init__(self, arguments):
    self._screen, inside = pty.openpty()
    self.process = subprocess.Popen(
      [sys.executable, '-c', _IN_ITS_OWN_TERMINAL, *arguments],
      cwd=processes.ROOT,
      env={**processes.environment(), 'TERM': 'dumb'},
      stdin=inside,
      stdout=inside,
      stderr=inside,
      start_new_session=True,
    )
    os.close(inside)
    self.text = ''

  def until(self, pattern, again=None):
    """Reads on until the pattern has appeared; returns what came before.

    Args:
      pattern: What has to appear.
      again: A key to press each second in which nothing comes. `input` waits
        for the next key if Ctrl-C comes while it still handles the last one.
    """
    pressed = 0
    while not (found := re.search(pattern, self.text)):
      ready, _, _ = select.select([self._screen], [], [], 1 if again else 300)
      if not ready and again and pressed < 300:
        self.type(again)
        pressed += 1
        continue
      assert ready, f'nothing more came: {self.text!r}'
      try:
        more = os.read(self._screen, 4096)
      except OSError as e:
        raise AssertionError(f'ended: {self.text!r}') from e
      self.text += more.decode('utf-8', 'replace')
    before, self.text = self.text[: found.end()], self.text[found.end() :]
    return before

  def type(self, text):
    os.write(self._screen, text.encode())

  def close(self):
    self.process.kill()
    self.process.wait()
    os.close(self._screen)


@pytest.mark.usefixtures('interruptions')
def test_in_a_terminal_ctrl_c_ends_the_answer_only(root):
  terminal = Terminal(command(root, '--max_new_tokens=20000'))
  try:
    terminal.until('> $')
    terminal.type('the lamp\\\n')
    terminal.until(r'\.\.\. $')
    terminal.type('red chair\n')
    # A random model goes on for ever; some of the answer, then enough.
    start = expected(root, 'the lamp\nred chair')[0][:10]
    terminal.until(re.escape(start))
    terminal.type('\x03')
    terminal.until(r'\r\n> $')
    assert terminal.process.poll() is None
    # At the prompt it takes back what was typed.
    terminal.type('never sent')
    terminal.until('never sent$')
    terminal.type('\x03')
    terminal.until(r'\r\n> $', again='\x03')
    terminal.type('/reset\n')
    terminal.until('> $')
    terminal.type('/quit\n')
    assert terminal.process.wait(timeout=300) == 0
  finally:
    terminal.close()


@pytest.mark.parametrize(
  'checkpoint, tokenizer, error, message',
  [
    (
      'run@pretrain',
      'tokenizer',
      training.CheckpointError,
      r"no checkpoint at the end of phase 'pretrain'; phases that have ended: "
      r"\['midtrain', 'sft'\]",
    ),
    ('nowhere', 'tokenizer', training.CheckpointError, 'no checkpoints here'),
    ('run', 'nothing', storage.NotPublishedError, 'nothing'),
    ('run', None, ValueError, 'has no tokenizer beside it; give --tokenizer'),
    ('run', 'other', ValueError, 'its fingerprint is .* give the tokenizer of'),
  ],
)
def test_what_cannot_be_loaded_is_refused(
  root, checkpoint, tokenizer, error, message
):
  if tokenizer == 'other':
    template = tokenizers.ChatTemplate(trained_roles=('assistant', 'user'))
    model = storage.read_bytes(root / 'tokenizer' / 'tokenizer.model')
    tokenizers.publish_tokenizer(root / 'other', model, template=template)
  folder = None if tokenizer is None else str(root / tokenizer)
  with pytest.raises(error, match=message):
    chat.load(f'{root}/{checkpoint}', folder, None)


def test_a_run_without_a_finished_phase_is_refused(root, tmp_path, monkeypatch):
  monkeypatch.setattr(test_evaluate, 'CHECKPOINTS', [('midtrain', 12, False)])
  test_evaluate.make_run(root, tmp_path / 'run', seed=0)
  with pytest.raises(training.CheckpointError, match='no phase has ended'):
    chat.load(f'{tmp_path}/run', str(root / 'tokenizer'), None)


def test_mistakes_are_said_in_a_line_before_anything_is_loaded(root):
  done = subprocess.run(
    command(root, '--top_p=2'),
    cwd=processes.ROOT,
    env=processes.environment(),
    stdin=subprocess.DEVNULL,
    capture_output=True,
    check=False,
    text=True,
  )
  assert done.returncode == 1
  assert (
    done.stderr.strip() == 'sampling.top_p: 2.0, expected in (0, 1] or None'
  )
