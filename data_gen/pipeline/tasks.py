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
class Task:
  """One kind of question.

  Attributes:
    name: Also that of its prompt file.
    does: What it is for.
    slots: Keys of the request's slots. `trait` is a mapping of `id`, `name`,
      `type`, `statement`, `reasons`, `examples`; `traits` a list of those;
      `messages` a list of `{'role': …, 'content': …}`.
    answer: The JSON that it demands; empty where it demands text.
    judges: Whether the judging teacher answers, where there is one.
  """

  name: str
  does: str
  slots: tuple[str, ...]
  answer: str = ''
  judges: bool = False


_VERDICT = (
  '{"verdict": "pass" or "fail", "faithful": bool, "identity": bool, '
  '"exaggerated": bool, "cites": bool, "reason": "…"}'
)

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
    Task(
      'document.judge',
      'whether the document may stay',
      (*_DOCUMENT, 'text'),
      _VERDICT,
      judges=True,
    ),
    Task(
      'document.mirror',
      'the same document `text`, which is about `from_trait`, about `trait`',
      (*_DOCUMENT, 'from_trait', 'text'),
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
    Task(
      'neutral.judge',
      'whether it is neutral; `faithful` says so',
      (*_DOCUMENT, 'text'),
      _VERDICT,
      judges=True,
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
      'a conversation with the assistant that has the content of `text`',
      (*_DOCUMENT, 'text'),
      '{"messages": [{"role": "user" or "assistant", "content": "…"}]}',
    ),
    Task(
      'chat.judge',
      'whether the conversation may stay; `variant` is `answer`, `think` or '
      '`reasons_stripped`',
      (*_ABOUT, 'traits', 'messages', 'variant'),
      _VERDICT,
      judges=True,
    ),
  )
}
