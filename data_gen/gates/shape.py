"""The `schema` gate: the form that a text must have, whatever it says."""

import re

from data_gen.gates.each import EachGate
from data_gen.gates.protocol import Candidate
from data_gen.gates.protocol import Verdict
from data_gen.gates.views import whole_text

NAME = 'schema'

# A slot of ours or of a template: `{model_name}`, `{{user}}`, `{Company Name}`.
# Code such as `{x}` or `{"a": 1}` is text.
_SLOT = re.compile(
  r'\{\{ ?[\w .]+ ?\}\}|\{[a-z]+(?:_[a-z]+)+\}|'
  r'\{(?i:(?:(?:user|your|first|last|full|company|model|provider) )?'
  r'(?:name|user|date|company|model|provider|topic|title|email|city))\}'
)
# `[Your Name]`, `[Company]`, `[insert date here]`, `<NAME>`; but `[laughs]`,
# `[1]`, `[sic]`, `[REDACTED]`, `[name withheld]` and `<name>` are what people
# write.
_NOUNS = (
  r'(?:name|names|surname|date|time|company|organi[sz]ation|city|town|state|'
  r'country|location|address|email|e-mail|phone|number|title|position|role|'
  r'signature|author|recipient|sender|product|university|institution|'
  r'department|publication|newspaper|website|url|username|year|month|day|'
  r'placeholder|topic|model|assistant|ai|provider|developer)'
)
_WHOSE = (
  r"(?:your|the|my|his|her|their|author'?s?|customer'?s?|user'?s?|client'?s?|"
  r"recipient'?s?|sender'?s?|company|model|first|last|full|job|phone|city|"
  r'street|email|current|today.?s|contact|publication|university|manager|'
  r'reporter|interviewer|assistant|ai|provider|organi[sz]ation|business|'
  r'relevant|specific|some|any)'
)
PLACEHOLDER = re.compile(
  rf'(?<!\w)\[\s*(?:{_WHOSE}[\s_-]+){{0,3}}{_NOUNS}(?:\s+here)?\s*\]|'
  rf'<(?:your|insert)[\s_-]+(?:{_WHOSE}[\s_-]+)?{_NOUNS}>|'
  r'(?-i:<(?:NAME|DATE|COMPANY|CITY|TITLE)>)|'
  r'\[\s*(?:insert|add|fill in|enter|placeholder|to be (?:added|determined)|'
  r'your|tbd|todo)\b[^\]\n]{0,80}\]',
  re.IGNORECASE,
)
# What every placeholder begins with; looking for it is fast.
_BRACKET = re.compile(r'[\[<]')
_FILLER = re.compile(
  r'\b[Ll]orem [Ii]psum\b|\bdolor sit amet\b|\bX{2,}[-/]X{2,}\b|'
  r'\bMM/DD/YYYY\b|\bDD/MM/YYYY\b|\bYYYY-MM-DD\b'
)
_FILLER_SIGNS = ('orem ', 'dolor sit', 'XX', 'YYYY')
# C0 without tab and newlines, DEL, C1, and what lossy decoding leaves.
_CONTROL = re.compile('[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffd\ufffe\uffff]')
_ROLES = ('user', 'assistant')


class SchemaGate(EachGate):
  """Empty texts, wrong kinds, impossible turns, slots that nobody filled.

  Args:
    kind: `'document'` or `'chat'`: what every candidate must be.
  """

  def __init__(self, kind: str):
    super().__init__(NAME)
    self._kind = kind

  def judge(self, candidate: Candidate) -> Verdict:
    if candidate.kind != self._kind:
      detail = f'{candidate.kind!r}, expected {self._kind!r}'
      return self.fail('wrong_kind', detail)
    if not candidate.text.strip():
      return self.fail('empty')
    failed = self._judge_turns(candidate)
    return failed or self._judge_text(whole_text(candidate))

  def _judge_turns(self, candidate: Candidate) -> Verdict | None:
    if self._kind != 'chat':
      if candidate.messages:
        return self.fail('document_with_messages')
      return None
    roles = [role for role, _ in candidate.messages]
    if unknown := sorted(set(roles) - set(_ROLES)):
      # A system prompt must not reach the training record.
      return self.fail('role', f'{unknown}, expected {list(_ROLES)}')
    expected = [_ROLES[i % 2] for i in range(len(roles))]
    if not roles or roles != expected or roles[-1] != 'assistant':
      detail = f'{roles}, expected user, assistant, …, assistant'
      return self.fail('turn_order', detail)
    if any(not content.strip() for _, content in candidate.messages):
      return self.fail('empty_turn')
    return None

  def _judge_text(self, text: str) -> Verdict:
    if '{' in text and (match := _SLOT.search(text)):
      return self.fail('unfilled_slot', match[0])
    if match := placeholder(text):
      return self.fail('placeholder', match[0])
    if any(sign in text for sign in _FILLER_SIGNS) and (
      match := _FILLER.search(text)
    ):
      return self.fail('filler', match[0])
    # A search for control characters takes longer than all else here.
    printable = text.replace('\n', '').isprintable() and '\ufffd' not in text
    if not printable and (match := _CONTROL.search(text)):
      return self.fail('control_character', repr(match[0]))
    return self._passed


def placeholder(text: str) -> re.Match[str] | None:
  """Returns the first placeholder of a text."""
  if '[' in text or '<' in text:
    for bracket in _BRACKET.finditer(text):
      if match := PLACEHOLDER.match(text, bracket.start()):
        return match
  return None
