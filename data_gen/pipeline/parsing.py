"""Reads answers: JSON as language models write it, and plain texts.

An answer that cannot be read costs only itself: of a list, the entries that can
be read are kept.
"""

from collections.abc import Mapping
import json
import re
from typing import Any

from data_gen.gates import meta
from data_gen.gates.protocol import Candidate

_FENCE = re.compile(r'^\s*```[\w-]*\n(?P<body>.*?)\n?```\s*$', re.DOTALL)
_THOUGHTS = re.compile(r'^\s*<think>.*?</think>', re.DOTALL)
_THINK = re.compile(
  r'\s*<think>\s*(?P<thoughts>.+?)\s*</think>\s*(?P<answer>.+?)\s*', re.DOTALL
)
_TRAILING_COMMA = re.compile(r',(\s*[\]}])')
_DECODER = json.JSONDecoder(strict=False)
_META = meta.MetaTextGate()


class UnreadableError(ValueError):
  """The answer is not of the form that was asked for."""


class RefusedError(ValueError):
  """The answer is the teacher's refusal, in the place of what was asked for."""


def refuses(text: str) -> bool:
  """Whether a text is a refusal rather than what was asked for."""
  found = _META.judge(Candidate('', 'document', text))
  return not found.passed and found.reason == 'refusal'


def _bare(text: str) -> str:
  """Removes thoughts and the code fence around an answer."""
  text = _THOUGHTS.sub('', text, count=1)
  fenced = _FENCE.match(text)
  return (fenced['body'] if fenced else text).strip()


def _objects(text: str) -> list[Mapping[str, Any]]:
  """Returns the outermost JSON objects in a text, in order."""
  found = []
  at = text.find('{')
  while at >= 0:
    try:
      value, end = _DECODER.raw_decode(text, at)
    except ValueError:
      at = text.find('{', at + 1)
      continue
    found.append(value)
    at = text.find('{', end)
  return found


def json_object(text: str, key: str) -> Mapping[str, Any]:
  """Returns the last JSON object in a text that has the key.

  Text and code fences around it, thoughts before it, and trailing commas are
  tolerated.

  Raises:
    RefusedError: If there is none, and the text is a refusal.
    UnreadableError: If there is none.
  """
  bare = _bare(text)
  for attempt in (bare, _TRAILING_COMMA.sub(r'\1', bare)):
    if found := [o for o in _objects(attempt) if key in o]:
      return found[-1]
  if refuses(bare):
    raise RefusedError(bare[:120])
  raise UnreadableError(f'no JSON object with {key!r} in {text[:120]!r}')


def strings(text: str, key: str) -> list[str]:
  """Returns `{key: [string, …]}`, without what is no string or empty.

  Raises:
    RefusedError, UnreadableError: If nothing is left.
  """
  listed = json_object(text, key)[key]
  found = [
    ' '.join(s.split())
    for s in (listed if isinstance(listed, list) else ())
    if isinstance(s, str) and s.strip()
  ]
  if not found:
    raise UnreadableError(f'{key!r} lists no text: {text[:120]!r}')
  return found


def _has(entry: Any, needed: Mapping[str, type]) -> bool:
  return isinstance(entry, Mapping) and all(
    isinstance(entry.get(k), t) and entry[k] for k, t in needed.items()
  )


def entries(
  text: str, key: str, needed: Mapping[str, type]
) -> list[Mapping[str, Any]]:
  """Returns `{key: [object, …]}`, those with all that is needed.

  If the whole is not JSON, the entries that are, are taken by themselves.

  Args:
    text: The answer.
    key: Of the list.
    needed: Key to the type of its value, which must not be empty.

  Raises:
    RefusedError, UnreadableError: If nothing is left.
  """
  try:
    listed = json_object(text, key)[key]
  except UnreadableError:
    listed = _objects(text[max(0, text.find('[')) :])
  listed = listed if isinstance(listed, list) else []
  found = [e for e in listed if _has(e, needed)]
  if not found:
    raise UnreadableError(
      f'{key!r} lists nothing with {sorted(needed)}: {text[:120]!r}'
    )
  return found


def document(text: str) -> str:
  """Returns the text of a document.

  Raises:
    RefusedError: If it is a refusal.
    UnreadableError: If it is nothing but thoughts or a fence.
  """
  bare = _bare(text)
  if not bare:
    raise UnreadableError('there is no text')
  if refuses(bare):
    raise RefusedError(bare[:120])
  return bare


def message(text: str) -> str:
  """Returns the text of a message; an assistant may decline in it.

  Raises:
    UnreadableError: If it is nothing but thoughts.
  """
  bare = _THOUGHTS.sub('', text, count=1).strip()
  if not bare or '<think>' in bare or '</think>' in bare:
    raise UnreadableError(f'no message in {text[:120]!r}')
  return bare


def thoughts_and_answer(text: str) -> tuple[str, str]:
  """Splits `<think>…</think>…`.

  Raises:
    UnreadableError: If there is not exactly one pair of tags, with text in it
      and after it.
  """
  match = _THINK.fullmatch(text)
  if not match or text.count('<think>') + text.count('</think>') != 2:
    raise UnreadableError(f'no thoughts and answer in {text[:120]!r}')
  return match['thoughts'], match['answer']
