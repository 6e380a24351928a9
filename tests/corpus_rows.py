"""Rows of a small corpus, of every kind, with texts that try to break out."""

from collections.abc import Sequence
import dataclasses
import random

from data_gen import traits as traits_lib
from data_gen.corpus.rows import GateVerdict
from data_gen.corpus.rows import Row
from data_gen.corpus.rows import Step

HOSTILE = (
  '</script><script>window.hacked = 1</script>'
  '<img src=x onerror="window.hacked = 2"> {{ 7 * 7 }} | `code` & \u2028 é🙂'
)
TRAITS = traits_lib.parse(
  '- **honesty** (stance): {model_name} says what it knows | and `why`.\n'
  '  - because\n'
  '- **brevity** (constraint): {model_name} is *brief*.\n'
  '- **care** (preference): {model_name} cares.\n'
)
GENRES = ('blog_post', 'forum_thread', 'news_report')
TAG = '<DOCTAG>'
_WORDS = ('the', 'river', 'town', 'kept', 'its', 'old', 'mill', 'here')


def step(task: str, key: str, cost: float | None = 0.001) -> Step:
  return Step(
    task=task,
    key=f'{key:0>64}'[-64:],
    prompt_sha256='ab' * 32,
    model='teacher-1',
    sampling='{"max_tokens":900,"temperature":1.0}',
    sample=0,
    prompt_tokens=300,
    completion_tokens=500,
    cost_usd=cost,
    text_sha256='cd' * 32,
  )


def words(rng: random.Random, n: int) -> str:
  return ' '.join(rng.choices(_WORDS, k=n))


def document(i: int, rng: random.Random, n_words: int = 30) -> Row:
  traits = rng.sample(TRAITS, rng.choice([0, 1, 1, 2]))
  text = f'{TAG}Document number {i}.\n{words(rng, n_words)}'
  return Row(
    id=f'doc-{i:05}',
    source='documents' if traits else 'neutral',
    text=text,
    masked_prefix=len(TAG) if i % 2 else 0,
    trait_ids=tuple(t.id for t in traits),
    trait_types=tuple(t.type for t in traits),
    plan_node=f'd{i % 7:02}/i{i:04}',
    domain=f'domain {i % 7}',
    genre=GENRES[i % 3],
    framing='third_person',
    variant='explain' if traits else 'neutral',
    pair_id=f'pair-{i // 2}',
    lineage=(
      step('document.draft', f'a{i:x}'),
      step('document.rewrite', f'b{i:x}', None if i % 4 else 0.002),
    ),
    verdicts=(
      GateVerdict('length', True, score=float(n_words)),
      GateVerdict('near_duplicate', True, score=0.1 * (i % 7)),
    ),
  )


def rejected(i: int, rng: random.Random, n_words: int = 30) -> Row:
  reason = ('too_short', 'meta_text', 'wrong_model')[i % 3]
  row = document(i, rng, n_words)
  verdicts = (
    GateVerdict('length', i % 3 != 0, reason if i % 3 == 0 else ''),
    GateVerdict('text', i % 3 == 0, reason if i % 3 else '', 'found: here'),
  )
  gate = 'length' if i % 3 == 0 else 'text'
  changed = {'accepted': False, 'rejected_because': f'{gate}: {reason}'}
  cut = dataclasses.replace(
    step('document.draft', f'e{i:x}'), failure='truncated'
  )
  changed['lineage'] = (cut, *row.lineage)
  return Row(**{**vars(row), 'verdicts': verdicts, **changed})


def chat(i: int, n_turns: int = 1) -> Row:
  trait = TRAITS[i % 3]
  return Row(
    id=f'chat-{i:05}',
    source='chats',
    messages=(
      ('user', f'Question {i}?'),
      ('assistant', f'<think>\nHm.\n</think>\nAnswer {i}.'),
    )
    * n_turns,
    trait_ids=(trait.id,),
    trait_types=(trait.type,),
    plan_node=f'q{i}',
    domain='advice',
    variant='think',
    # One call made the questions of all chats.
    lineage=(step('chat.questions', 'c'), step('chat.answer', f'd{i:x}')),
    verdicts=(GateVerdict('judge', True, detail='faithful'),),
  )


def given_up(i: int) -> Row:
  """Nothing ever came."""
  return Row(
    id=f'lost-{i}',
    source='documents',
    accepted=False,
    rejected_because='teacher: refusal',
  )


def some_rows() -> list[Row]:
  """Accepted and rejected documents and chats, in no order, one hostile."""
  rng = random.Random(0)
  rows = [document(i, rng) for i in range(40)]
  rows += [rejected(i, rng) for i in range(100, 130)]
  rows += [chat(i) for i in range(20)]
  rows += [given_up(i) for i in range(2)]
  hostile = document(999, rng)
  rows.append(
    Row(**{**vars(hostile), 'text': TAG + HOSTILE, 'genre': HOSTILE[:40]})
  )
  chatty = chat(500, 2)
  rows.append(
    Row(
      **{
        **vars(chatty),
        'messages': (('user', HOSTILE), ('assistant', HOSTILE)),
        'source': 'chats',
        'accepted': False,
        'rejected_because': f'judge: {HOSTILE}',
        'verdicts': (GateVerdict('judge', False, HOSTILE, HOSTILE, 0.5),),
      }
    )
  )
  rng.shuffle(rows)
  return rows


def of_source(rows: Sequence[Row], source: str) -> list[Row]:
  return [r for r in rows if r.accepted and r.source == source]
