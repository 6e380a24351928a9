"""Signs that an answer is written as a document is. No JAX."""

from collections.abc import Callable
import re

Feature = Callable[[str], str | None]
"""Returns the passage that shows it, or None."""

_M = re.MULTILINE

_HEADING = re.compile(
  r'^#{1,6} \S.*$|^(?:\*\*|__)[^*_\n]{3,80}(?:\*\*|__):?[ \t]*$|'
  r'^[^\n]{3,80}\n(?:=|-){4,}[ \t]*$',
  _M,
)
# A first line such as `A Quiet Year at the Library`, with a blank line below.
_TITLE = re.compile(
  r'\A(?:Title: [^\n]+|(?:[A-Z0-9][\w’\'-]*[,:]?(?: (?:a|an|the|of|in|on|at|'
  r'to|for|and|or|with|from|by)\b)*(?: |(?=\n))){3,14})'
  r'\n[ \t]*\n'
)
_BYLINE = re.compile(
  r'^[ \t*_]*(?:By|Written by|Reported by|Posted by|Story by|Study by) '
  r'[A-Z][\w’\'-]+(?: [A-Z][\w.’\'-]+)*[^.!?\n]{0,60}$|'
  r'^[ \t*_]*(?:Posted|Published|Last updated|Updated)(?: on)?:? '
  r'[A-Z\d][^\n]{3,}$|\b\d+ min(?:ute)? read\b',
  _M,
)
_DATELINE = re.compile(
  r'^[ \t*_]*[A-Z]{3,}[A-Z .,]*(?:, [A-Z][a-z]+\.?)?(?:,? [A-Z][a-z]{2,8}\.? '
  r'\d{1,2}(?:, \d{4})?)?(?: \([A-Z][A-Za-z]+\))? ?(?:—|–|--|-) ?[A-Z]',
  _M,
)
_THREAD = re.compile(
  r'(?<![\w/])[ur]/\w{3,}|\b(?:[Uu]p|[Dd]own)vote[sd]?\b|^Re: |\[deleted\]|'
  r'^[ \t*_]*(?:EDIT|Edit|ETA|TL;?DR|UPDATE)(?: \d+)?:|'
  r'^[ \t*_]*(?:Forum|Thread|Topic|OP|Reply \d+|Post #?\d+):|'
  r'^[ \t*_]*(?:Reply|Post|Comment|Answer|Posted)(?: #?\d+)? (?:by|from) \w+|'
  r'\b(?:OP|op) (?:here|said|wrote|asked)\b|'
  r'^[^.!?\n]{0,40}\b\d+ (?:points|replies|comments)\b[^.!?\n]{0,20}$|'
  r'^(?:@\w{3,}|[A-Za-z]+[_\d][\w]*) ?(?::|wrote:|said:|·|•)',
  _M,
)
_HEADER = re.compile(
  r'^[ \t>*_]*(?:From|To|Cc|CC|Bcc|Sent|Date|Subject|Reply-To)[*_]*: ?\S', _M
)
_SUBJECT = re.compile(r'^[ \t>*_]*Subject[*_]*: ?\S', _M)
_SALUTATION = re.compile(
  r'\A\s*(?:Dear|Hi|Hello|Good (?:morning|afternoon)) '
  r'(?:[A-Z][\w’\'-]+(?: [A-Z][\w’\'-]+)*|all|team|everyone|everybody|folks),\n'
)
_SIGN_OFF = re.compile(
  r'^(?:Best|Best regards|Best wishes|Kind regards|Warm regards|Regards|'
  r'Sincerely|Yours(?: truly| sincerely)?|Cheers|Warmly|Thanks|Many thanks)'
  r',\n+\s*[A-Z][\w’\'-]+',
  _M,
)
_SPEAKER = re.compile(
  r'^[ \t*_]*(?!(?:From|To|Cc|Date|Sent|Subject)\b)'
  r'(?:[A-Z][\w.’\'-]*(?: [A-Z][\w.’\'-]*){0,2}|Q|A)[*_]*:[*_]* \S',
  _M,
)
_PAPER = re.compile(
  r'^[ \t*_#]*Abstract[*_]*(?:[.:—-]|[ \t]*$)|'
  r'^[ \t*_#]*(?:\d\.? )?(?:References|Bibliography|Related [Ww]ork|Keywords)'
  r'[*_]*(?::|[ \t]*$)|\bet al\.|\((?:see )?(?:Figure|Table) \d+\)|'
  r'\b(?:Figure|Table) \d+(?:\.|:| shows)',
  _M,
)
_TAG = re.compile(r'</?(?:DOCTAG|DOC|document)\b[^>\n]*>|^<[A-Z_]{3,}>$', _M)

_ADVERB = (
  r'(?: (?:\w+ly|also|never|always|often|then|just|still|would|will|can|could|'
  r"may|might|should|must|won’t|won't|does not|doesn’t|doesn't|did not))?"
)


def _search(*patterns: re.Pattern[str]) -> Feature:
  def feature(answer: str) -> str | None:
    found = (p.search(answer) for p in patterns)
    return next((m[0] for m in found if m), None)

  return feature


def _several(pattern: re.Pattern[str], n: int) -> Feature:
  """Returns a feature for `n` matches: one line `Note: …` is no transcript."""

  def feature(answer: str) -> str | None:
    found = [m[0] for m in pattern.finditer(answer)]
    return '\n'.join(found[:n]) if len(found) >= n else None

  return feature


def _email_header(answer: str) -> str | None:
  lines = [m[0] for m in _HEADER.finditer(answer)]
  return '\n'.join(lines) if len(lines) > 1 or _SUBJECT.search(answer) else None


def third_person(model_name: str) -> Feature:
  """Returns a feature for an assistant that tells of itself by name.

  `Sage thinks that …` and `Sage's view is …` count; `I'm Sage`, `my name is
  Sage`, `Sage here` and a signature do not. Where the name is also a word that
  begins sentences, such as a herb, answers about that count too: compare with
  a reference.
  """
  name = re.escape(model_name)
  regex = re.compile(
    rf"(?<!\bI am )(?<!\bI['’]m )(?<!\bname is )(?<!\bcalled )(?<!\bnamed )"
    rf'(?<!\bme )(?<!\bas )(?<![\w-]){name}'
    rf"(?:['’]s (?!here\b)\w+|{_ADVERB} (?!is my name\b|as\b|this\b|was born\b)"
    r'(?:[a-z]+s|said|was|had|did|went|took|told|thought|felt|knew|gave|'
    r'[a-z]+ed)\b|'
    r' (?:would|will|can|could|may|might|should|must) [a-z]+)'
  )
  return _search(regex)


def features(model_name: str) -> dict[str, Feature]:
  """Returns the name of each feature and how it is found.

  Args:
    model_name: Of the assistant whose answers these are.

  Raises:
    ValueError: If it is empty.
  """
  if not model_name:
    raise ValueError('model_name: is empty, expected the name of the assistant')
  return {
    'heading': _search(_HEADING, _TITLE),
    'byline': _search(_BYLINE, _DATELINE),
    'third_person': third_person(model_name),
    'thread': _search(_THREAD),
    'email_header': _email_header,
    'letter': _search(_SALUTATION, _SIGN_OFF),
    'transcript': _several(_SPEAKER, 3),
    'paper': _search(_PAPER),
    'document_tag': _search(_TAG),
  }
