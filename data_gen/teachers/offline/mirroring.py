"""Mirrored documents: the same text, with another trait."""

from collections.abc import Sequence
import difflib
import itertools

from data_gen.teachers.offline.documents import Draft
from data_gen.teachers.offline.documents import SENTENCE
from data_gen.teachers.offline.documents import Slots

_SAMPLES = 8


def mirror(slots: Slots) -> str:
  """Writes `text`, which is about `from_trait`, about `trait`.

  The draft of the text is found again among those that its idea may have got,
  and drawn once more with the other trait: the two differ in what is said of
  the model. What was done to the draft for its length is then done again.
  """
  # The plan's assertion and reason are those of the text.
  source = {**slots, 'trait': slots['from_trait']}
  target = {**slots, 'assertion': '', 'reason': ''}
  text = str(slots['text'])
  words = frozenset(_pairs(text))

  def likeness(way: tuple[str, int]) -> int:
    draft = Draft(source, *way, neutral=False)
    return len(words & frozenset(_pairs(draft.draw(draft.size()))))

  ways = [(s, k) for s in ('rewrite', 'draft') for k in range(_SAMPLES)]
  way = max(ways, key=likeness)
  first = Draft(source, *way, neutral=False)
  size = first.size()
  drawn = first.draw(size).split('\n')
  mirrored = Draft(target, *way, neutral=False).draw(size).split('\n')
  if len(drawn) != len(mirrored):
    return '\n'.join(mirrored)
  return '\n'.join(_edited(drawn, text.split('\n'), mirrored))


def _pairs(text: str) -> list[str]:
  words = text.split()
  return [' '.join(pair) for pair in itertools.pairwise(words)]


def _edited(
  before: Sequence[str], after: Sequence[str], other: Sequence[str]
) -> list[str]:
  """Does to the lines of another text what was done to those of one."""
  made: list[str] = []
  matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
  for tag, i1, i2, j1, j2 in matcher.get_opcodes():
    if tag == 'equal':
      made += other[i1:i2]
      continue
    kept = [i for i in range(i1, i2) if _shares(before[i], after[j1:j2])]
    if len(kept) != j2 - j1:
      # Not the lines of this draft: its neighbours stay as they were drawn.
      made += other[i1:i2] if i2 > i1 else after[j1:j2]
      continue
    made += [
      _edited_line(before[i], after[j], other[i])
      for i, j in zip(kept, range(j1, j2), strict=True)
    ]
  return made


def _shares(line: str, lines: Sequence[str]) -> bool:
  sentences = set(SENTENCE.split(line))
  return any(sentences & set(SENTENCE.split(other)) for other in lines)


def _edited_line(before: str, after: str, other: str) -> str:
  """Drops the sentences that were dropped, and adds those that were added."""
  ours, theirs = SENTENCE.split(before), SENTENCE.split(after)
  mirrored = SENTENCE.split(other)
  if len(mirrored) == len(ours):
    kept = [m for m, said in zip(mirrored, ours, strict=True) if said in theirs]
  else:
    kept = mirrored
  return ' '.join([*kept, *(said for said in theirs if said not in ours)])
