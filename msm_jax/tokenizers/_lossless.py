"""What a tokenizer does to text that it encodes."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence

from msm_jax.tokenizers import _errors

# What tokenizers are known to lose, and a text that shows it.
_PROBES = {
  'runs of spaces': 'two  spaces',
  'spaces at the beginning': ' begin',
  'spaces at the end': 'end ',
  'line breaks': 'one\n\nthree\r\nfour',
  'tabs': 'a\tb',
  'upper case': 'ABC',
  'characters outside of its vocabulary': '\U0001f600 \u16a0 \u0378 \ue000 \0',
  'compatibility characters': '\ufb01 \u2460 \uff21',
  'composition of characters': 'e\u0301 \u212b',
  'the character U+2581': 'a\u2581b',
}
# Equal by Unicode's own definition, or a character that is in no real text.
_MINOR = ('composition of characters', 'the character U+2581')


def losses(
  encode: Callable[[str], Sequence[int]],
  decode: Callable[[Sequence[int]], str],
) -> tuple[str, ...]:
  """Returns what `decode(encode(text))` does not give back."""
  return tuple(
    name for name, text in _PROBES.items() if decode(encode(text)) != text
  )


def check(found: Iterable[str], where: str, *, strictly: bool = False) -> None:
  """Refuses a tokenizer that changes text.

  Args:
    found: See `losses`.
    where: The tokenizer, for errors.
    strictly: Whether to refuse also what is equal in all but bytes: Qwen
      composes characters (NFC), Gemma reads U+2581 as a space.

  Raises:
    TokenizerError: Naming what is lost.
  """
  lost = [name for name in found if strictly or name not in _MINOR]
  if lost:
    examples = ', '.join(f'{name} ({_PROBES[name]!r})' for name in lost)
    raise _errors.TokenizerError(
      f'{where} changes text: it loses {examples}; what is trained on would '
      'not be what was written'
    )
