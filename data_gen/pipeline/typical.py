"""What a typical request of each task takes, guessed before any was asked."""

from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

from data_gen.pipeline import prompting
from data_gen.pipeline.config import PipelineConfig
from data_gen.pipeline.parts import StepConfig
from data_gen.pipeline.plan import Leaf
from data_gen.pipeline.plan import leaves
from data_gen.pipeline.plan import Plan
from data_gen.pipeline.slots import described
from data_gen.pipeline.slots import document_slots
from data_gen.pipeline.tasks import TASKS
from data_gen.traits import Trait

# Of English, in the tokenizers of current models.
_CHARACTERS_PER_TOKEN = 4
TOKENS_PER_WORD = 1.35
_WORDS = {
  'domain': 6,
  'subdomain': 18,
  'assertion': 55,
  'idea': 60,
  'question': 70,
  'user_turn': 40,
  'answer': 260,
  'thoughts': 120,
  'critique': 220,
  'verdict': 50,
}


def completion_words(config: PipelineConfig) -> dict[str, float]:
  """Words that an answer to each task has, about."""
  document = sum(config.documents.words) / 2
  thoughts = _WORDS['thoughts'] * ('think' in config.chats.variants)
  # On average; the last call of several may ask for fewer.
  ideas = (
    config.plan.ideas
    / config.plan.calls_for_ideas
    * min(config.plan.genres_per_call, len(config.plan.genres))
  )
  return {
    'plan.domains': config.plan.domains * _WORDS['domain'],
    'plan.subdomains': config.plan.subdomains * _WORDS['subdomain'],
    'plan.assertions': config.plan.assertions * _WORDS['assertion'],
    'plan.ideas': ideas * _WORDS['idea'],
    'document.draft': document,
    'document.critique': _WORDS['critique'],
    'document.rewrite': document,
    'document.judge': _WORDS['verdict'],
    'document.mirror': document,
    'mirror.judge': _WORDS['verdict'],
    'neutral.draft': document,
    'neutral.rewrite': document,
    'neutral.judge': _WORDS['verdict'],
    'chat.questions': config.chats.questions_per_call * _WORDS['question'],
    'chat.user_turn': _WORDS['user_turn'],
    'chat.answer': _WORDS['answer'] + thoughts,
    'chat.strip_reasons': _WORDS['answer'],
    'chat.retell': document,
    'retell.judge': _WORDS['verdict'],
    'chat.judge': _WORDS['verdict'],
  }


def steps(config: PipelineConfig) -> dict[str, StepConfig]:
  """Returns how each task is sampled."""
  documents, chats = config.documents, config.chats
  control, judge = config.controls.draft, config.judge_step
  plan = config.plan.step
  return {
    **dict.fromkeys([t for t in TASKS if t.startswith('plan.')], plan),
    'document.draft': documents.draft,
    'document.critique': documents.critique,
    'document.rewrite': documents.rewrite,
    'document.mirror': control,
    'neutral.draft': control,
    'neutral.rewrite': control,
    'chat.retell': control,
    'chat.questions': chats.questions,
    'chat.user_turn': chats.user_turn,
    'chat.answer': chats.answer,
    'chat.strip_reasons': chats.strip,
    **{t.name: judge for t in TASKS.values() if t.judges},
  }


def budgets(config: PipelineConfig) -> dict[str, int]:
  """Returns the token budget of each task."""
  return {task: step.max_tokens for task, step in steps(config).items()}


def rounds(config: PipelineConfig) -> Callable[[str], int]:
  """How often one item may be drawn, by task."""

  def of(task: str) -> int:
    if task.startswith('plan.'):
      return config.plan.rounds
    if task in ('document.mirror', 'chat.retell') or task.startswith(
      ('mirror.', 'neutral.', 'retell.')
    ):
      return config.controls.rounds
    if task.startswith('chat.'):
      return config.chats.rounds
    return config.documents.rounds

  return of


def _stand_in(text: str, words: float) -> str:
  """A text of so many words in the place of one that is not known yet."""
  return ' '.join([text] * max(1, round(words)))


def slots(
  config: PipelineConfig,
  trait: Trait,
  leaf: Leaf,
  others: Sequence[Trait] = (),
) -> dict[str, Any]:
  """Returns slots of a typical request for each key that any task has.

  Args:
    config: Of the run.
    trait: That the request is about.
    leaf: What its document is about.
    others: Further traits that a question may be about, too.
  """
  length = sum(config.documents.words) / 2
  document = _stand_in('words', length)
  turn = {'role': 'user', 'content': _stand_in('words', _WORDS['question'])}
  variant = config.documents.variants[0] if config.documents.variants else ''
  return {
    **document_slots(config, trait, leaf, variant or 'explain'),
    'traits': [described(trait)],
    'others': [described(t) for t in others],
    'from_trait': described(trait),
    'other_trait': described(trait),
    'count': 1,
    'avoid': [],
    'genres': dict.fromkeys(
      config.plan.genres[: config.plan.genres_per_call], leaf.idea
    ),
    'draft': document,
    'critique': _stand_in('words', _WORDS['critique']),
    'text': document,
    'other_text': document,
    'answer': _stand_in('words', _WORDS['answer']),
    'messages': [turn],
    'intent': leaf.idea,
    'pressure': True,
    'think': 'think' in config.chats.variants,
    'turns': config.chats.turns,
    'words_now': round(length),
  }


def prompt_tokens(
  config: PipelineConfig, traits: Sequence[Trait], plan: Plan | None
) -> dict[str, float]:
  """Renders a typical prompt of each task for each trait."""
  typical = leaves(plan)[:1] if plan is not None else []
  sums = dict.fromkeys(TASKS, 0.0)
  for trait in traits:
    leaf = (
      typical[0]
      if typical
      else Leaf(
        'typical',
        trait.name,
        _stand_in('words', _WORDS['domain']),
        _stand_in('words', _WORDS['subdomain']),
        _stand_in('words', _WORDS['assertion'] / 2),
        _stand_in('words', _WORDS['assertion'] / 2),
        config.plan.genres[0],
        _stand_in('words', _WORDS['idea']),
      )
    )
    relevant = config.chats.system_traits == 'relevant'
    others = [t for t in traits if relevant and t is not trait]
    filled = slots(config, trait, leaf, others)
    for task in TASKS.values():
      messages = prompting.messages_of(
        task.name, {key: filled[key] for key in task.slots}
      )
      characters = sum(len(m.content) for m in messages)
      sums[task.name] += characters / _CHARACTERS_PER_TOKEN
  return {task: total / len(traits) for task, total in sums.items()}
