"""The `meta_text` gate: words of the teacher about its task, not of the author.

Refusals in the place of a text, and talk around it; see `meta_patterns`.
"""

import re

from data_gen.gates import meta_patterns
from data_gen.gates.each import EachGate
from data_gen.gates.patterns import Patterns
from data_gen.gates.protocol import Candidate
from data_gen.gates.protocol import Verdict
from data_gen.gates.views import view

NAME = 'meta_text'

# Letters, tickets and threads are addressed to somebody who may answer.
_ADDRESSED = ('email', 'letter', 'ticket', 'thread', 'forum', 'message', 'chat')
_ANYTHING = re.compile(
  r'let me know if (?:you(?:[\'’]d| would)?|there(?:[\'’]s| is)) '
  r'(?:need|want|like|have|anything|any)\b[^\n]{0,60}[.!?]?[\W_]*$',
  re.IGNORECASE,
)
_CLOSING = 200

# In a chat an assistant may decline; an answer that is nothing else teaches
# that it cannot speak.
_BARE_REFUSAL = re.compile(
  r"\W*(?:(?:i(?:['’]m| am) )?(?:really |very |so )?sorry|i apologi[sz]e|"
  r"unfortunately)?[\s,.;—-]*(?:but )?i(?: can['’]t| cannot| am unable to|"
  r" am not able to|['’]m unable to|['’]m not able to| won['’]t| will not)"
  r'(?: \w+)? (?:help|assist|comply|do that|fulfill?|provide|continue|answer|'
  r'discuss|engage)',
  re.IGNORECASE,
)
_BARE_WORDS = 40


class MetaTextGate(EachGate):
  """Finds what a teacher says about its task."""

  def __init__(self) -> None:
    super().__init__(NAME)
    self._document = Patterns(meta_patterns.ANY_KIND + meta_patterns.DOCUMENT)
    self._chat = Patterns(meta_patterns.ANY_KIND)

  def judge(self, candidate: Candidate) -> Verdict:
    seen = view(candidate.text)
    chat = candidate.kind == 'chat'
    patterns = self._chat if chat else self._document
    for found, match in patterns.matches(seen):
      return self.fail(found.reason, ' '.join(match[0].split())[:120])
    if chat:
      return self._judge_turns(candidate)
    if not _is_addressed(candidate):
      closing = candidate.text.rstrip()[-_CLOSING:]
      if last := _ANYTHING.search(closing):
        return self.fail('trailing', last[0][:120])
    return self._passed

  def _judge_turns(self, candidate: Candidate) -> Verdict:
    turns = [c for role, c in candidate.messages if role == 'assistant']
    for turn in turns or [candidate.text]:
      if _BARE_REFUSAL.match(turn) and len(turn.split()) <= _BARE_WORDS:
        return self.fail('refusal', turn[:120])
    return self._passed


def _is_addressed(candidate: Candidate) -> bool:
  """Whether the genre is a letter of some kind, or unknown."""
  genre = candidate.genre.lower()
  return not genre or any(kind in genre for kind in _ADDRESSED)
