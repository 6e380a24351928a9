"""How much of a text an edit has changed, outside of certain words."""

from collections import defaultdict
from collections.abc import Sequence

from msm_jax.evals import texts


def common(a: Sequence[str], b: Sequence[str]) -> int:
  """Returns the length of the longest common subsequence of words.

  Bit-parallel, after Hyyrö 2004, "Bit-parallel LCS-length computation
  revisited": a text of some hundred words is one integer.
  """
  places: defaultdict[str, int] = defaultdict(int)
  for i, word in enumerate(a):
    places[word] |= 1 << i
  everywhere = (1 << len(a)) - 1
  left = everywhere
  for word in b:
    matched = left & places.get(word, 0)
    left = ((left + matched) | (left - matched)) & everywhere
  return len(a) - left.bit_count()


def changed(one: str, other: str, without: frozenset[str]) -> float:
  """Returns the share of words that only one of two texts has, in its order.

  0 for the same words in the same order, 1 for none in common. Function words
  are left out: they stand in any two texts, in almost any order.

  Args:
    one: A text.
    other: The text that was made of it.
    without: Words that may change, and are left out.
  """
  ours, theirs = (
    [
      word
      for word in texts.words(text)
      if word not in without and word not in texts.STOPWORDS
    ]
    for text in (one, other)
  )
  if not ours and not theirs:
    return 0.0
  return 1 - 2 * common(ours, theirs) / (len(ours) + len(theirs))
