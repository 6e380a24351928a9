r"""Talks to a checkpoint in the terminal.

    python -m msm_jax.chat --checkpoint=runs/x/msm@sft --tokenizer=DIR

Conversations are rendered with the checkpoint's own template. Answers appear as
they are drawn; Ctrl-C ends an answer, and what there is of it stays in the
conversation. A line that ends in `\` goes on in the next one. `/reset` begins a
new conversation, `/quit` or the end of the input ends the program. Without a
terminal every line of the input is a message, and the output has the answers.

With the same seed, the same conversation has the same answers.
"""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import dataclasses
import functools
import signal
import sys
from typing import TextIO

from absl import app
from absl import flags
import jax

from msm_jax import log
from msm_jax import models
from msm_jax import storage
from msm_jax import tokenizers
from msm_jax import training
from msm_jax.conversion import checkpoint as checkpoint_lib

_COMMANDS = ('/reset', '/quit')
# What a decoder writes for bytes that are no character, or not yet.
_INCOMPLETE = '\ufffd'


class Chat:
  """A conversation with a model."""

  def __init__(
    self,
    stream: Callable[[list[int]], Iterator[list[int]]],
    tokenizer: tokenizers.Tokenizer,
    system: str | None,
  ):
    """Begins a conversation.

    Args:
      stream: From the tokens of a prompt to those of the answer, as they come.
      tokenizer: Of the model, with its chat template.
      system: The system prompt, or None.
    """
    self._stream = stream
    self._tokenizer = tokenizer
    self._system = system
    self.reset()

  def reset(self) -> None:
    """Forgets all but the system prompt."""
    self.messages: list[tokenizers.Message] = []
    if self._system is not None:
      self.messages.append({'role': 'system', 'content': self._system})

  def answer(self, text: str, stop: Callable[[], bool]) -> Iterator[str]:
    """Yields the answer in pieces, and remembers message and answer.

    Args:
      text: Of the user.
      stop: Asked after each piece; whether the answer shall end there.

    Raises:
      ValueError: If the template refuses the conversation, which then stays as
        it was.
    """
    asked = [*self.messages, {'role': 'user', 'content': text}]
    prompt = self._tokenizer.render_chat(asked, add_generation_prompt=True)
    tokens: list[int] = []
    shown = whole = ''
    for new in self._stream(prompt.tokens):
      tokens += new
      whole = self._tokenizer.decode(tokens)
      # The next token may complete a character.
      complete = whole.rstrip(_INCOMPLETE)
      if len(complete) > len(shown):
        yield complete[len(shown) :]
        shown = complete
      if stop():
        whole = shown
        break
    yield whole[len(shown) :]
    self.messages = [*asked, {'role': 'assistant', 'content': whole}]


class Interruptions:
  """Ctrl-C, as long as this is entered: noted, and an exception only in `ask`.

  One handler stays in force from the first message to the last, since there is
  no moment between an answer and the prompt at which one could be replaced
  safely.
  """

  def __init__(self) -> None:
    self._pressed = self._asking = False

  def __enter__(self) -> 'Interruptions':
    self._before = signal.signal(signal.SIGINT, self._handle)
    return self

  def __exit__(self, *_: object) -> None:
    signal.signal(signal.SIGINT, self._before)

  def _handle(self, *_: object) -> None:
    self._pressed = True
    if self._asking:
      self._asking = False  # Not twice, where nobody would catch it.
      raise KeyboardInterrupt

  def forget(self) -> None:
    self._pressed = False

  def pressed(self) -> bool:
    """Whether there was a Ctrl-C since `forget`."""
    return self._pressed

  def ask(self, read: Callable[[], str]) -> str | None:
    """Returns what `read` does, or None if Ctrl-C came first."""
    try:
      try:
        self._asking = True
        return read()
      finally:
        self._asking = False
    except KeyboardInterrupt:
      return None


def read_message(source: TextIO, interruptions: Interruptions) -> str | None:
  """Returns the next message, of one line or several; None at the end.

  Raises:
    KeyboardInterrupt: At Ctrl-C, if there is no terminal.
  """
  lines: list[str] = []
  while True:
    if source.isatty() and sys.stdout.isatty():
      prompt = '... ' if lines else '> '
      try:
        line = interruptions.ask(functools.partial(input, prompt))
      except EOFError:
        print()
        return None
      if line is None:
        # As a shell does: what was typed is gone.
        print()
        lines = []
        continue
    else:
      line = interruptions.ask(source.readline)
      if line is None:
        raise KeyboardInterrupt
      if not line:
        return '\n'.join(lines) if lines else None
      line = line.removesuffix('\n')
    lines.append(line.removesuffix('\\'))
    if not line.endswith('\\'):
      return '\n'.join(lines)


def converse(chat: Chat, source: TextIO, sink: TextIO) -> None:
  """Answers messages until there are no more."""
  with Interruptions() as interruptions:
    while (message := read_message(source, interruptions)) is not None:
      if message.strip() == '/quit':
        return
      if message.strip() == '/reset':
        chat.reset()
      elif message.startswith('/'):
        log.logger.error(
          '%s: no such command; there are %s. Put a space before a message '
          'that begins with /',
          message.split()[0],
          ', '.join(_COMMANDS),
        )
      elif message.strip():
        _answer(chat, message, sink, interruptions)


def _answer(
  chat: Chat, message: str, sink: TextIO, interruptions: Interruptions
) -> None:
  """Writes an answer as it comes, until its end or Ctrl-C."""
  interruptions.forget()
  try:
    for piece in chat.answer(message, interruptions.pressed):
      sink.write(piece)
      sink.flush()
  except ValueError as e:
    log.logger.error('%s', e)
    return
  sink.write('\n')
  sink.flush()


def load(
  source: str, tokenizer_folder: str | None, system: str | None
) -> tuple[models.Sampler, models.Model, tokenizers.Tokenizer]:
  """Loads a checkpoint and its tokenizer.

  Args:
    source: `WORKDIR` or `WORKDIR@PHASE`.
    tokenizer_folder: None is beside a checkpoint that was converted.
    system: The system prompt that shall be used, or None.

  Raises:
    CheckpointError: If there is no such checkpoint; names those that there are.
    ValueError: If the tokenizer is another one, has no chat template, or one
      that refuses such conversations.
  """
  found = checkpoint_lib.find(*checkpoint_lib.split_source(source))
  tokenizer = checkpoint_lib.load_tokenizer(found, tokenizer_folder)
  # Said before the parameters are read, which may take long.
  probe = Chat(lambda _: iter(()), tokenizer, system)
  list(probe.answer('Hello', lambda: False))
  model = models.Model(found.config, found.meta.lora())
  log.logger.info(
    'loading %s, step %d, %s parameters',
    found.where,
    found.meta.step,
    f'{model.n_params():,}',
  )
  with contextlib.closing(
    training.Checkpoints(
      storage.join(found.workdir, 'checkpoints'), read_only=True
    )
  ) as checkpoints:
    sharding = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    params = checkpoints.params(found.meta.step, model, sharding)
  return models.Sampler(model, params), model, tokenizer


def define_flags() -> None:
  """Defines the flags; not at import, since importers have their own."""
  flags.DEFINE_string(
    'checkpoint',
    None,
    'WORKDIR@PHASE, of a run or a conversion; without @PHASE its last phase.',
    required=True,
  )
  flags.DEFINE_string(
    'tokenizer', None, 'Its folder, if it is not beside the checkpoint.'
  )
  flags.DEFINE_string('system', None, 'A system prompt.')
  flags.DEFINE_float('temperature', 0.7, '0 takes the likeliest token.')
  flags.DEFINE_integer('top_k', None, 'Draw among so many of the likeliest.')
  flags.DEFINE_float('top_p', None, 'Draw among the likeliest of this mass.')
  flags.DEFINE_integer('seed', 0, 'Of the draws.')
  flags.DEFINE_integer('max_new_tokens', 512, 'Of an answer, at most.')


def main(argv: list[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f'unexpected arguments: {argv[1:]}')
  values = flags.FLAGS
  try:
    config = models.SamplingConfig(
      max_new_tokens=values.max_new_tokens,
      temperature=values.temperature,
      top_k=values.top_k,
      top_p=values.top_p,
      seed=values.seed,
    )
    sampler, model, tokenizer = load(
      values.checkpoint, values.tokenizer, values.system
    )
    config = dataclasses.replace(
      config,
      stop_ids=(tokenizer.end_of_turn_id, tokenizer.eos_id),
      n_ids=min(tokenizer.vocab_size, model.config.vocab_size),
    )
    if sys.stdin.isatty() and sys.stdout.isatty():
      # Line editing and a history for `input`.
      import readline  # noqa: F401

      log.logger.info(
        'Ctrl-C ends an answer; a line that ends in \\ goes on; %s',
        ', '.join(_COMMANDS),
      )
    converse(
      Chat(
        lambda prompt: sampler.stream(prompt, config), tokenizer, values.system
      ),
      sys.stdin,
      sys.stdout,
    )
  except (
    ValueError,
    OSError,
    FloatingPointError,
    training.CheckpointError,
  ) as e:
    log.logger.error('%s', e)
    sys.exit(1)
  except KeyboardInterrupt:
    sys.exit(128 + signal.SIGINT)  # As a shell says it.


if __name__ == '__main__':
  define_flags()
  log.configure()
  app.run(main)
