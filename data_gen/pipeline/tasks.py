"""Everything that the pipeline asks of a teacher.

A language model reads the messages, rendered from `prompts/<task>.md`. The
offline teacher reads the task's name and its slots, which hold everything that
the prompt was filled with, as JSON.
"""

import dataclasses

_WORLD = ('model_name', 'provider_name')
_ABOUT = (*_WORLD, 'trait', 'domain', 'subdomain')
_DOCUMENT = (
  *_ABOUT,
  'assertion',
  'reason',
  'genre',
  'idea',
  'framing',
  'variant',
  'words',
  'hints',
)


@dataclasses.dataclass(frozen=True)
class Finding:
  """What a judge says yes or no to.

  Attributes:
    name: Key of its answer.
    good: What it has to say for a text to stay.
    reason: Why the text does not stay otherwise; short and countable.
  """

  name: str
  good: bool
  reason: str


_IDENTITY = Finding('identity', True, 'wrong_identity')
_CITES = Finding('cites', False, 'cites')
_EXAGGERATED = Finding('exaggerated', False, 'exaggerated')
_FAITHFUL = Finding('faithful', True, 'unfaithful')
_OF_TEXTS = (_IDENTITY, _CITES, _EXAGGERATED, _FAITHFUL)
_OF_RETOLD = (
  _IDENTITY,
  _CITES,
  Finding('right_framing', True, 'other_framing'),
  Finding('same_content', True, 'other_content'),
  _FAITHFUL,
)
_OF_MIRRORED = (
  *(_IDENTITY, _CITES, _EXAGGERATED, _FAITHFUL),
  Finding('same_otherwise', True, 'other_changes'),
)


@dataclasses.dataclass(frozen=True)
class Task:
  """One kind of question.

  Attributes:
    name: Also that of its prompt file.
    does: What it is for.
    slots: Keys of the request's slots. `trait` is a mapping of `id`, `name`,
      `type`, `statement`, `reasons`, `examples`; `traits` a list of those;
      `messages` a list of `{'role': …, 'content': …}`.
    answer: The JSON that it demands; empty where it demands text.
    findings: Of a judge, the gravest first. The judging teacher answers, where
      there is one.
  """

  name: str
  does: str
  slots: tuple[str, ...]
  answer: str = ''
  findings: tuple[Finding, ...] = ()

  @property
  def judges(self) -> bool:
    return bool(self.findings)


def _judge(
  name: str, does: str, slots: tuple[str, ...], findings: tuple[Finding, ...]
) -> Task:
  found = ', '.join(f'"{f.name}": bool' for f in findings)
  answer = f'{{"verdict": "pass" or "fail", {found}, "reason": "…"}}'
  return Task(name, does, slots, answer, findings)


TASKS = {
  task.name: task
  for task in (
    Task(
      'plan.domains',
      'where a trait shows',
      (*_WORLD, 'trait', 'count', 'avoid'),
      '{"domains": ["…"]}',
    ),
    Task(
      'plan.subdomains',
      'situations within a domain',
      (*_WORLD, 'trait', 'domain', 'count', 'avoid'),
      '{"subdomains": ["…"]}',
    ),
    Task(
      'plan.assertions',
      'what the trait comes to in a situation, and why',
      (*_ABOUT, 'count', 'avoid'),
      '{"assertions": [{"assertion": "…", "reason": "…"}]}',
    ),
    Task(
      'plan.ideas',
      'what documents of each genre could be about; `genres` maps each genre '
      'to what it is, `count` ideas of each',
      (*_ABOUT, 'assertion', 'reason', 'genres', 'count', 'avoid'),
      '{"ideas": [{"genre": "…", "idea": "…", "unsuitable": bool}]}',
    ),
    Task('document.draft', 'the document, of about `words` words', _DOCUMENT),
    Task('document.critique', 'what is wrong with it', (*_DOCUMENT, 'draft')),
    Task(
      'document.rewrite',
      'the better document',
      (*_DOCUMENT, 'draft', 'critique'),
    ),
    _judge(
      'document.judge',
      'whether the document may stay',
      (*_DOCUMENT, 'text'),
      _OF_TEXTS,
    ),
    Task(
      'document.mirror',
      'the same document `text`, which is about `from_trait`, about `trait`',
      (*_DOCUMENT, 'from_trait', 'text'),
    ),
    _judge(
      'mirror.judge',
      'whether `text`, about `trait`, and `other_text`, about `other_trait`, '
      'differ in nothing else; which of them was written first is not told',
      (
        *(*_WORLD, 'genre', 'framing', 'variant'),
        *('trait', 'text', 'other_trait', 'other_text'),
      ),
      _OF_MIRRORED,
    ),
    Task(
      'neutral.draft',
      'a document of the same genre and setting from which nothing about the '
      'trait can be learned',
      _DOCUMENT,
    ),
    Task(
      'neutral.rewrite',
      'the same neutral document at `words` words; it has `words_now`',
      (*_DOCUMENT, 'draft', 'words_now'),
    ),
    _judge(
      'neutral.judge',
      'whether it is neutral; `faithful` says so',
      (*_DOCUMENT, 'text'),
      _OF_TEXTS,
    ),
    Task(
      'chat.questions',
      'conversations that users start; each has its first message and, with '
      '`turns` above 1, what the user wants in each later one',
      (*_ABOUT, 'others', 'count', 'turns', 'pressure', 'avoid'),
      '{"questions": [{"turns": ["…"], "pressure": bool, "also": ["…"]}]}',
    ),
    Task(
      'chat.user_turn',
      "the user's next message, given what it is to do (`intent`)",
      (*_ABOUT, 'messages', 'intent', 'pressure'),
    ),
    Task(
      'chat.answer',
      "the assistant's next message; with `think`, its thoughts between "
      '<think> and </think> come first',
      (*_ABOUT, 'traits', 'messages', 'pressure', 'think'),
    ),
    Task(
      'chat.strip_reasons',
      '`answer`, the last message, without explaining itself',
      (*_ABOUT, 'messages', 'answer'),
    ),
    Task(
      'chat.retell',
      'a conversation with the assistant that has the content of `text`; of a '
      '`human_story`, one about the same people',
      (*_DOCUMENT, 'text'),
      '{"messages": [{"role": "user" or "assistant", "content": "…"}]}',
    ),
    _judge(
      'retell.judge',
      'whether `messages` say what `text` says, as a conversation',
      (*_DOCUMENT, 'text', 'messages'),
      _OF_RETOLD,
    ),
    _judge(
      'chat.judge',
      'whether the conversation may stay; `variant` is `answer`, `think` or '
      '`reasons_stripped`',
      (*_ABOUT, 'traits', 'messages', 'variant'),
      _OF_TEXTS,
    ),
  )
}
