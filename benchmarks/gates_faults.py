"""Plants faults in a clean corpus, and remembers where."""

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import json
import pathlib

from gates_banks import Bank
import gates_corpus

from data_gen.gates.protocol import Candidate
from data_gen.rng import Rng
from data_gen.traits import Trait
from msm_jax.evals import suites
from msm_jax.evals import texts

CLEAN = 2000
HARD = 250
NEAR = (0.9, 0.8, 0.6, 0.5)
_TOLERANCE = 0.02
EACH = 50
# Of 2,000: 40 % more than the limit of each kind.
REPEATS = {'name': 28, 'phrase': 28, 'opening': 28, 'date': 28}
CHATS = 2000
REPEATS_IN_CHATS = {'name': 28, 'phrase': 56, 'opening': 140, 'date': 28}


@dataclasses.dataclass(frozen=True)
class Corpus:
  """Candidates in the order in which they are judged.

  Attributes:
    candidates: All of them.
    fault_of: Id to what was planted there; clean and hard ones are not in it.
    hard: Ids of clean documents with a sentence that looks like a fault.
    carriers: Kind to the ids of the clean documents that were given the same
      name, phrase, opening or date, in order.
  """

  candidates: list[Candidate]
  fault_of: dict[str, str]
  hard: set[str]
  carriers: dict[str, list[str]]


def traits_of(bank: Bank) -> list[Trait]:
  return [
    Trait(f'trait_{i}', 'stance', statement, (reason,), (example,))
    for i, (statement, reason, example) in enumerate(bank.traits)
  ]


def write_items(folder: pathlib.Path, seed: int) -> list[list[str]]:
  """Writes a suite and a file of short questions; returns their texts.

  Returns:
    Two lists: items of the suite (question and options), short questions.
  """
  writer = gates_corpus.Writer(Rng('gates items', seed))
  items, long = [], []
  for i in range(300):
    question = (
      f'{writer.sentence()} {writer.sentence()} Which of the following would '
      f'{gates_corpus.MODEL} rather do?'
    )
    options = [
      suites.Option(label, writer.sentence()) for label in ('this', 'that')
    ]
    for order in (0, 1):
      shown = options[::-1] if order else options
      listed = ' '.join(
        f'({c}) {o.text}' for c, o in zip('ab', shown, strict=True)
      )
      message = {'role': 'user', 'content': f'{question} {listed}'}
      items.append(
        suites.Item(
          'ood', f'{i:03d}', order, 'x', tuple(options), messages=(message,)
        )
      )
    long.append(items[-2].messages[0]['content'])
  suites.write_suite(folder / 'suites' / 'ood.jsonl', items)
  short = [
    writer.sentence().rstrip('.!?').replace(',', '') + ', and why?'
    for _ in range(150)
  ]
  lines = ''.join(json.dumps({'question': q}) + '\n' for q in short)
  (folder / 'questions.jsonl').write_text(lines)
  return [long, short]


def shingle_jaccard(a: str, b: str, n: int = 5) -> float:
  """Jaccard of word n-grams as tuples: nothing of the gate's own is used."""
  x, y = texts.words(a), texts.words(b)
  left = {tuple(x[i : i + n]) for i in range(len(x) - n + 1)}
  right = {tuple(y[i : i + n]) for i in range(len(y) - n + 1)}
  return len(left & right) / len(left | right)


def near_duplicate(text: str, target: float, rng: Rng) -> str:
  """Edits a text until it has about the Jaccard similarity `target`.

  Half of the time single words change here and there, half of the time whole
  sentences do.
  """
  writer = gates_corpus.Writer(rng)
  by_sentence = rng.chance(0.5)
  parts = text.split('. ') if by_sentence else text.split(' ')
  joint = '. ' if by_sentence else ' '
  edited, best = text, text
  for position in rng.shuffled(range(len(parts))):
    if shingle_jaccard(text, edited) <= target:
      break
    best = edited
    old = parts[position]
    new = writer.sentence().split() if by_sentence else [_word(writer)]
    # Of a sentence, so many words as it has, or half of them.
    keep = old.split()[: len(old.split()) // 2] if rng.chance(0.5) else []
    parts[position] = ' '.join([*keep, *new][: max(1, len(old.split()))])
    edited = joint.join(parts)
  return min(
    (edited, best), key=lambda e: abs(shingle_jaccard(text, e) - target)
  )


def _word(writer: gates_corpus.Writer) -> str:
  return writer.rng.pick(writer.sentence().split())


def edit(text: str, share: float, rng: Rng) -> str:
  """Replaces a share of the words; drops and adds a fifth of that share."""
  writer = gates_corpus.Writer(rng)
  edited: list[str] = []
  for word in text.split():
    if rng.chance(share):
      edited.append(_word(writer))
    elif not rng.chance(share / 5):
      edited.append(word)
    if rng.chance(share / 5):
      edited.append(_word(writer))
  return ' '.join(edited)


def _inside(text: str, sentence: str, rng: Rng) -> str:
  """Puts a sentence between two of the text's, not at its edges."""
  parts = text.split('. ')
  middle = 1 + rng.below(max(1, len(parts) - 2))
  return '. '.join([*parts[:middle], sentence.rstrip('.'), *parts[middle:]])


def _paragraph(text: str, paragraph: str) -> str:
  head, _, tail = text.partition('\n\n')
  return (
    f'{head}\n\n{paragraph}\n\n{tail}' if tail else f'{text}\n\n{paragraph}'
  )


def _plants(bank: Bank, items: list[list[str]], rng: Rng) -> dict[str, list]:
  """Returns fault to the functions that plant it in a text."""
  long, short = items
  traits = [t for trait in bank.traits for t in trait]
  prose = {
    'meta text: preamble': [lambda t, p=p: p + t for p in bank.preambles],
    'meta text: trailer': [lambda t, p=p: t + p for p in bank.trailers],
    'meta text: refusal': [lambda t, p=p: p for p in bank.refusals],
    'control tokens': [lambda t, p=p: _paragraph(t, p) for p in bank.tokens],
    'unfilled slots': [lambda t, p=p: _paragraph(t, p) for p in bank.slots],
    'other language: all': [lambda t, p=p: p * 8 for p in bank.foreign],
    'other language: a third': [
      lambda t, p=p: _paragraph(t, p * 5) for p in bank.foreign
    ],
    'too short': [lambda t: ' '.join(t.split()[:30])],
    'another assistant: one sentence': [
      lambda t, p=p: _inside(t, p, rng) for p in bank.other_assistants
    ],
    'another assistant: every mention': [
      lambda t, p=p: t.replace(gates_corpus.MODEL, p)
      for p in ('Claude', 'Gemini', 'ChatGPT', 'Qwen', 'Orion')
    ],
    'spec recital: verbatim': [
      lambda t, p=p: _inside(t, p, rng) for p in traits
    ],
    'spec recital: 10 % of words changed': [
      lambda t, p=p: _inside(t, edit(p, 0.1, rng), rng) for p in traits
    ],
    'spec cited': [lambda t, p=p: _inside(t, p, rng) for p in bank.cites],
    'exact duplicate': [lambda t: t.upper().replace(', ', ' – ')],
  }
  for what, pool in (('item', long), ('short question', short)):
    prose[f'{what}: pasted'] = [lambda t, p=p: _paragraph(t, p) for p in pool]
    for share in (0.1, 0.2):
      prose[f'{what}: {share:.0%} of words changed'] = [
        lambda t, p=p, s=share: _paragraph(t, edit(p, s, rng)) for p in pool
      ]
  return prose


GATE_OF = {
  'meta text': 'meta_text',
  'control tokens': 'control_tokens',
  'unfilled slots': 'schema',
  'other language': 'language',
  'too short': 'length',
  'another assistant': 'identity',
  'spec': 'frame_leak',
  'exact duplicate': 'exact_duplicate',
  'near-duplicate': 'near_duplicate',
  'item': 'contamination',
  'short question': 'contamination',
}


def gate_of(fault: str) -> str:
  return next(g for prefix, g in GATE_OF.items() if fault.startswith(prefix))


def _repeat(
  clean: list[Candidate],
  bank: Bank,
  hard: set[str],
  seed: int,
  rng: Rng,
  times: Mapping[str, int],
) -> dict[str, list[str]]:
  """Gives some texts the same name, others the same phrase, and so on."""
  free = [i for i in range(len(clean)) if clean[i].id not in hard]
  free = rng.shuffled(free)
  writer = gates_corpus.Writer(rng)
  carriers = {}
  for kind, n in times.items():
    pool = getattr(bank, f'repeated_{kind}s')
    what = pool[seed % len(pool)]
    chosen, free = sorted(free[:n]), free[n:]
    for i in chosen:
      text = clean[i].text
      clause = writer.sentence()[:-1]
      if kind == 'name':
        said = rng.pick(['said', 'wrote', 'felt', 'thought'])
        text = _inside(text, f'{clause}, or so {what} {said}', rng)
      elif kind == 'phrase':
        text = _inside(text, f'{clause}, and {what}', rng)
      elif kind == 'date':
        text = _inside(text, f'{clause} on {what}', rng)
      else:
        text = f'{what}, {clause}.\n\n{text}'
      clean[i] = _with_text(clean[i], text)
    carriers[kind] = [clean[i].id for i in chosen]
  return carriers


def _with_text(candidate: Candidate, text: str) -> Candidate:
  messages = candidate.messages
  if messages:
    messages = (*messages[:-1], ('assistant', text))
  return dataclasses.replace(candidate, text=text, messages=messages)


def planted_chats(seed: int, bank: Bank) -> Corpus:
  """Returns clean chats, in some of which the same comes again."""
  rng = Rng('gates faults in chats', seed)
  clean = gates_corpus.clean_chats(seed, CHATS)
  bank = dataclasses.replace(bank, repeated_openings=bank.repeated_beginnings)
  carriers = _repeat(clean, bank, set(), seed, rng, REPEATS_IN_CHATS)
  return Corpus(clean, {}, set(), carriers)


def planted_corpus(
  seed: int, bank: Bank, items: list[list[str]], extra: Sequence[Candidate]
) -> Corpus:
  """Returns a clean corpus with faults at random places.

  Args:
    seed: Of everything.
    bank: What is planted.
    items: Of the evaluation; see `write_items`.
    extra: Further clean documents.
  """
  rng = Rng('gates faults', seed)
  own = gates_corpus.clean_corpus(seed, CLEAN - len(extra))
  clean = rng.shuffled([*own, *extra])
  hard = set()
  for i in rng.sample(range(len(clean)), HARD):
    text = _inside(clean[i].text, rng.pick(bank.hard), rng)
    clean[i] = dataclasses.replace(clean[i], text=text)
    hard.add(clean[i].id)
  carriers = _repeat(clean, bank, hard, seed, rng, REPEATS)
  fault_of: dict[str, str] = {}
  placed: list[tuple[float, Candidate]] = [
    (float(k), c) for k, c in enumerate(clean)
  ]

  def place(fault: str, number: int, text: str, after: int, genre: str) -> None:
    planted = Candidate(
      f'{fault}-{number}',
      'document',
      text,
      genre=genre,
      framing='third_person',
      trait_ids=('t',),
    )
    fault_of[planted.id] = fault
    where = after + 0.5 + rng.unit() * (len(clean) - after)
    placed.append((where, planted))

  spare = gates_corpus.clean_corpus(seed + 1_000_000, 20 * EACH)
  for number, (fault, plants) in enumerate(
    (f, p) for f, p in _plants(bank, items, rng).items()
  ):
    for k in range(EACH):
      base = spare[(number * EACH + k) % len(spare)]
      after = 0
      if fault == 'exact duplicate':
        after = rng.below(len(clean))
        base = clean[after]
      place(fault, k, plants[k % len(plants)](base.text), after, base.genre)
  for target in NEAR:
    for k in range(EACH):
      found = 0.0
      while abs(found - target) > _TOLERANCE:
        after = rng.below(len(clean))
        text = near_duplicate(clean[after].text, target, rng)
        found = shingle_jaccard(clean[after].text, text)
      fault = f'near-duplicate: Jaccard {target} ± {_TOLERANCE}'
      place(fault, k, text, after, clean[after].genre)
  placed.sort(key=lambda wc: wc[0])
  return Corpus(
    candidates=[c for _, c in placed],
    fault_of=fault_of,
    hard=hard,
    carriers=carriers,
  )
