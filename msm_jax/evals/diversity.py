"""How varied a set of texts is: of a corpus, or of a model's answers. No JAX.

Every measure depends on how much text it is given: distinct-n falls and
compression improves with size. So all of them read the same fixed budget of
words, from texts that are spread evenly over the set; sets are comparable if
`words` is equal.
"""

from collections import Counter
from collections.abc import Sequence
import dataclasses
from typing import Any
import zlib

import numpy as np

from msm_jax.evals import texts

WORDS = 50_000
"""Budget of the measures of wording."""
SIMILARITY_TEXTS = 200
"""Texts of which all pairs are compared."""
_SIMILARITY_WORDS = 300
_TOP = 10


@dataclasses.dataclass(frozen=True)
class Frequent:
  """Something and the share of the texts that have it."""

  text: str
  share: float


@dataclasses.dataclass(frozen=True)
class Diversity:
  """Measures of a set of texts.

  Attributes:
    texts: How many there are.
    words: How many were read for the measures of wording.
    distinct: n to the number of different n-grams over that of all, n = 1, 2, 3
      (Li et al. 2016). Higher is more varied.
    compression_ratio: Bytes over bytes after DEFLATE (Shaib et al. 2024, who
      find that it tells most for its price). Lower is more varied; English
      prose of many authors has about 2.5.
    self_similarity: Mean over pairs of texts of the cosine of their vectors of
      content words (1 + log count). Lower is more varied.
    duplicate_share: Texts whose words occur in an earlier text just so.
    names: Most frequent capitalised words inside sentences.
    openings: Most frequent first five words; see `texts.opening`.
  """

  texts: int
  words: int
  distinct: dict[int, float]
  compression_ratio: float
  self_similarity: float
  duplicate_share: float
  names: tuple[Frequent, ...]
  openings: tuple[Frequent, ...]

  def to_json(self) -> dict[str, Any]:
    """Returns plain data; keys of `distinct` become strings."""
    raw = dataclasses.asdict(self)
    raw['distinct'] = {str(n): v for n, v in self.distinct.items()}
    raw['names'], raw['openings'] = list(raw['names']), list(raw['openings'])
    return raw


def spread(n: int) -> list[int]:
  """Returns 0 … n − 1 so that any first part is spread evenly over all.

  The golden-ratio sequence (Roberts 2018): deterministic, and a set that is
  sorted by genre is sampled in all of its genres.
  """
  golden = 0.6180339887498949
  return sorted(range(n), key=lambda i: ((i * golden) % 1.0, i))


def _sample(corpus: Sequence[str], budget: int) -> tuple[list[str], list[str]]:
  """Returns (texts, words) of up to `budget` words of the set."""
  read: list[str] = []
  words: list[str] = []
  for i in spread(len(corpus)):
    if len(words) >= budget:
      break
    read.append(corpus[i])
    words += texts.words(corpus[i])
  return read, words[:budget]


def distinct_n(words: Sequence[str], n: int) -> float:
  """Returns different n-grams over all n-grams; 1.0 if there are none."""
  total = len(words) - n + 1
  if total < 1:
    return 1.0
  return len(set(zip(*(words[i:] for i in range(n)), strict=False))) / total


def compression_ratio(joined: str) -> float:
  """Returns bytes over compressed bytes; 1.0 for nothing."""
  raw = joined.encode('utf-8')
  return len(raw) / len(zlib.compress(raw, 9)) if raw else 1.0


def self_similarity(corpus: Sequence[str], n: int = SIMILARITY_TEXTS) -> float:
  """Returns the mean cosine over all pairs of `n` texts; 0.0 for one text.

  Each text is read up to its first 300 words, so that long texts are not alike
  for being long.
  """
  vectors = []
  vocabulary: dict[str, int] = {}
  for i in spread(len(corpus))[:n]:
    found = texts.words(corpus[i])[:_SIMILARITY_WORDS]
    counts = Counter(w for w in found if w not in texts.STOPWORDS)
    vectors.append(
      {vocabulary.setdefault(w, len(vocabulary)): c for w, c in counts.items()}
    )
  if len(vectors) < 2:
    return 0.0
  matrix = np.zeros((len(vectors), max(1, len(vocabulary))), np.float64)
  for row, counts_of in enumerate(vectors):
    for column, count in counts_of.items():
      matrix[row, column] = 1 + np.log(count)
  norms = np.linalg.norm(matrix, axis=1, keepdims=True)
  matrix /= np.where(norms > 0, norms, 1)
  cosines = matrix @ matrix.T
  pairs = len(vectors) * (len(vectors) - 1)
  return float((cosines.sum() - np.trace(cosines)) / pairs)


def _most_frequent(found: Sequence[set[str]]) -> tuple[Frequent, ...]:
  counts = Counter(key for keys in found for key in keys)
  ranked = sorted(counts.items(), key=lambda kv: (-kv[1], kv[0]))
  return tuple(Frequent(text, c / len(found)) for text, c in ranked[:_TOP])


def measure(
  corpus: Sequence[str],
  *,
  words: int = WORDS,
  ignore_names: Sequence[str] = (),
) -> Diversity:
  """Measures a set of texts. The same texts in the same order, the same result.

  Args:
    corpus: The texts.
    words: Budget; see the top of this file.
    ignore_names: Not counted as names, e.g. that of the model.

  Raises:
    ValueError: If there are no texts.
  """
  if not corpus:
    raise ValueError('no texts: diversity needs at least one')
  read, sampled = _sample(corpus, words)
  ignored = {w.lower() for name in ignore_names for w in name.split()}
  names = []
  for text in corpus:
    _, inside = texts.names(text)
    names.append({n for n in inside if not ignored & set(n.lower().split())})
  normal = [' '.join(texts.words(text)) for text in corpus]
  return Diversity(
    texts=len(corpus),
    words=len(sampled),
    distinct={n: distinct_n(sampled, n) for n in (1, 2, 3)},
    compression_ratio=compression_ratio('\n'.join(read)),
    self_similarity=self_similarity(corpus),
    duplicate_share=1 - len(set(normal)) / len(normal),
    names=_most_frequent(names),
    openings=_most_frequent([{texts.opening(t)} - {''} for t in corpus]),
  )
