"""Plays one conversation, and its variants."""

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from data_gen.corpus.rows import Row
from data_gen.corpus.rows import Step
from data_gen.pipeline import made as made_lib
from data_gen.pipeline import parsing
from data_gen.pipeline.asking import Asker
from data_gen.pipeline.asking import Outcome
from data_gen.pipeline.config import PipelineConfig
from data_gen.pipeline.made import Group
from data_gen.pipeline.made import Made
from data_gen.pipeline.questions import Question
from data_gen.pipeline.slots import described
from data_gen.traits import Trait

Messages = tuple[tuple[str, str], ...]


def source_of(variant: str) -> str:
  """Names the source of a variant; `answer` is the usual one."""
  return 'chats' if variant == 'answer' else f'chats_{variant}'


class _StoppedError(Exception):
  """A call was given up, and the conversation with it."""

  def __init__(self, task: str, outcome: Outcome[Any]):
    super().__init__(task)
    self.task = task
    self.outcome = outcome


class Conversation:
  """Plays a question to its end."""

  def __init__(
    self,
    config: PipelineConfig,
    traits: Mapping[str, Trait],
    asker: Asker,
    question: Question,
  ):
    """Takes the traits, filled, by name."""
    self._config = config
    self._chats = config.chats
    self._asker = asker
    self._question = question
    self._trait = traits[question.cell.trait]
    # What it is about, its own trait first.
    self._of = [self._trait, *(traits[name] for name in question.also)]
    told = (
      list(traits.values()) if config.chats.system_traits == 'all' else self._of
    )
    self._about = {
      'model_name': config.model_name,
      'provider_name': config.provider_name,
      'trait': described(self._trait),
      'domain': question.situation.domain,
      'subdomain': question.situation.subdomain,
    }
    self._traits = [described(t) for t in told]
    self._steps: list[Step] = []
    self._plain: list[tuple[str, str]] = []

  async def play(self) -> Group:
    """Returns a row for each variant, or one that says what was given up."""
    variants = self._chats.variants
    try:
      plain, thinking = await self._answered()
      dialogue = tuple(self._steps)
      made = []
      if 'answer' in variants:
        # The judge sees the thoughts too, where there are any.
        judged = 'think' not in variants
        made.append(self._made('answer', plain, dialogue, judged))
      if 'think' in variants:
        made.append(self._made('think', thinking, dialogue, True))
      if 'reasons_stripped' in variants:
        stripped = await self._stripped(plain)
        made.append(
          self._made('reasons_stripped', stripped, tuple(self._steps), True)
        )
    except _StoppedError as e:
      row = self._row(variants[0], tuple(self._plain), tuple(self._steps))
      return Group(
        self._question.id, (made_lib.given_up(row, e.task, e.outcome),)
      )
    return Group(self._question.id, tuple(made))

  async def _ask(
    self, task: str, slots: Mapping[str, Any], step: Any, parse: Any
  ) -> Any:
    outcome = await self._asker.ask(task, {**self._about, **slots}, step, parse)
    self._steps += made_lib.steps(outcome)
    if outcome.value is None:
      raise _StoppedError(task, outcome)
    return outcome.value

  async def _answered(self) -> tuple[Messages, Messages]:
    """Returns the conversation without and with thoughts.

    Earlier thoughts are not shown to the assistant again, as chat templates do.
    """
    think = 'think' in self._chats.variants
    plain = self._plain
    thinking: list[tuple[str, str]] = []
    for turn, intent in enumerate(self._question.turns):
      said = intent if turn == 0 else await self._user_turn(plain, intent)
      plain.append(('user', said))
      thinking.append(('user', said))
      answer = await self._ask(
        'chat.answer',
        {
          'traits': self._traits,
          'messages': _slot(plain),
          'pressure': self._question.cell.pressure,
          'think': think,
        },
        self._chats.answer,
        parsing.thoughts_and_answer if think else parsing.message,
      )
      thoughts, answer = answer if think else ('', answer)
      plain.append(('assistant', answer))
      thinking.append(
        ('assistant', f'<think>\n{thoughts}\n</think>\n\n{answer}')
      )
    return tuple(plain), tuple(thinking)

  async def _user_turn(
    self, so_far: Sequence[tuple[str, str]], intent: str
  ) -> str:
    return await self._ask(
      'chat.user_turn',
      {
        'messages': _slot(so_far),
        'intent': intent,
        'pressure': self._question.cell.pressure,
      },
      self._chats.user_turn,
      parsing.message,
    )

  async def _stripped(self, plain: Messages) -> Messages:
    """Returns the conversation with answers that do not explain themselves."""
    made: list[tuple[str, str]] = []
    for role, content in plain:
      if role == 'assistant':
        content = await self._ask(
          'chat.strip_reasons',
          {'messages': _slot(made), 'answer': content},
          self._chats.strip,
          parsing.message,
        )
      made.append((role, content))
    return tuple(made)

  def _row(
    self, variant: str, messages: Messages, lineage: tuple[Step, ...]
  ) -> Row:
    source, question = source_of(variant), self._question
    return Row(
      f'{source}/{question.id}',
      source,
      messages=messages,
      trait_ids=tuple(t.id for t in self._of),
      trait_types=tuple(t.type for t in self._of),
      plan_node=question.situation.id,
      domain=question.situation.domain,
      framing='pressure' if question.cell.pressure else 'no_pressure',
      variant=variant,
      lineage=lineage,
      pair_id=question.id,
    )

  def _made(
    self,
    variant: str,
    messages: Messages,
    lineage: tuple[Step, ...],
    judged: bool,
  ) -> Made:
    row = self._row(variant, messages, lineage)
    if not (judged and self._chats.judged):
      return Made(row)
    slots = {
      **self._about,
      'traits': self._traits,
      'messages': _slot(messages),
      'variant': variant,
    }
    return Made(row, judge_task='chat.judge', judge_slots=slots)


def _slot(messages: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
  return [{'role': role, 'content': content} for role, content in messages]
