"""The `exact_duplicate` gate: the same words again."""

from collections.abc import Sequence
import hashlib

from data_gen.gates.protocol import Candidate
from data_gen.gates.protocol import Verdict
from data_gen.gates.views import view
from data_gen.gates.views import whole_text

NAME = 'exact_duplicate'


class ExactDuplicateGate:
  """Keeps the first of all texts that have the same words in the same order.

  Case, punctuation and white space make no difference; of a chat, all turns
  count. Texts without any word are compared as they are.
  """

  name = NAME

  def check(self, candidates: Sequence[Candidate]) -> list[Verdict]:
    passed = Verdict(NAME, True)
    first: dict[bytes, str] = {}
    verdicts = []
    for candidate in candidates:
      text = whole_text(candidate)
      ids = view(text).ids
      normal = ids.tobytes() if len(ids) else text.encode()
      key = hashlib.blake2b(normal, digest_size=16).digest()
      if key in first:
        verdicts.append(Verdict(NAME, False, 'duplicate', f'of {first[key]}'))
      else:
        first[key] = candidate.id
        verdicts.append(passed)
    return verdicts
