"""The offline teacher: a grammar in the place of a language model."""

from collections.abc import Callable

from data_gen.teachers.config import TeacherConfig
from data_gen.teachers.offline import chats
from data_gen.teachers.offline import documents
from data_gen.teachers.offline import judging
from data_gen.teachers.offline import mirroring
from data_gen.teachers.offline import plan
from data_gen.teachers.protocol import Answer
from data_gen.teachers.protocol import Finish
from data_gen.teachers.protocol import Request
from data_gen.teachers.protocol import TeacherError
from msm_jax import schema

_CHARACTERS_PER_TOKEN = 4

_ANSWERS: dict[str, Callable[[documents.Slots, int], str]] = {
  'plan.domains': plan.domains_of,
  'plan.subdomains': plan.subdomains_of,
  'plan.assertions': plan.assertions_of,
  'plan.ideas': plan.ideas_of,
  'document.draft': lambda slots, sample: documents.write(
    slots, stage='draft', sample=sample
  ),
  'document.critique': judging.critique,
  'document.rewrite': lambda slots, sample: documents.write(
    slots, stage='rewrite', sample=sample
  ),
  'document.judge': lambda slots, sample: judging.document(slots),
  'document.mirror': lambda slots, sample: mirroring.mirror(slots),
  'mirror.judge': lambda slots, sample: judging.mirrored(slots),
  'neutral.draft': lambda slots, sample: documents.write(
    slots, stage='rewrite', sample=sample, neutral=True
  ),
  'neutral.rewrite': documents.neutral_rewrite,
  'neutral.judge': lambda slots, sample: judging.neutral(slots),
  'chat.questions': chats.questions,
  'chat.user_turn': chats.user_turn,
  'chat.answer': chats.answer,
  'chat.strip_reasons': lambda slots, sample: chats.strip_reasons(slots),
  'chat.retell': chats.retell,
  'retell.judge': lambda slots, sample: judging.retold(slots),
  'chat.judge': lambda slots, sample: judging.chat(slots),
}
TASKS = tuple(_ANSWERS)


class OfflineTeacher:
  """Answers from the task and its slots; needs no network, costs nothing.

  An answer is a pure function of `Request.task`, `Request.slots` and
  `Request.sample`. It is no language model: what it writes is readable, varied
  and about the trait, and it understands nothing.
  """

  def __init__(self, config: TeacherConfig | None = None):
    """Takes a config like every teacher.

    Raises:
      ConfigError: For a setting in `extra`; it has none.
    """
    if config is not None and config.extra:
      raise schema.ConfigError(
        f'teacher.extra: {sorted(config.extra)}, but the offline teacher has '
        'no settings; leave it empty'
      )

  async def answer(self, request: Request) -> Answer:
    """Answers at once.

    Raises:
      TeacherError: For a task that it does not know, or slots that lack what
        the task needs.
    """
    try:
      ask = _ANSWERS[request.task]
    except KeyError:
      raise TeacherError(
        f'the offline teacher knows no task {request.task!r}'
        f'{schema.suggest(request.task, TASKS)}; it knows {", ".join(TASKS)}',
        retryable=False,
      ) from None
    try:
      text = ask(request.slots, request.sample)
    except (KeyError, TypeError, ValueError) as e:
      raise TeacherError(
        f'the offline teacher cannot answer {request.task!r} with the slots '
        f'{sorted(request.slots)}: {type(e).__name__}: {e}',
        retryable=False,
      ) from e
    characters = sum(len(m.content) for m in request.messages)
    prompt_tokens = 1 + characters // _CHARACTERS_PER_TOKEN
    limit = request.sampling.max_tokens
    tokens = 1 + len(text) // _CHARACTERS_PER_TOKEN
    if tokens > limit:
      text = text[: _CHARACTERS_PER_TOKEN * limit]
      return Answer(text, Finish.LENGTH, prompt_tokens, limit)
    return Answer(text, Finish.STOP, prompt_tokens, tokens)

  def check(self, request: Request) -> None:
    """Looks at nothing: what it is asked is in the slots."""

  async def close(self) -> None:
    """There is nothing to give back."""
