"""Publishes a tokenizer that others made, for prepare, train and evaluate.

  python -m msm_jax.import_tokenizer --source=Qwen3-8B-Base --out=tokenizer \\
    --template=qwen3 --variables='{"enable_thinking": false}'

Reads a folder with `tokenizer.json` (and its configs) or `tokenizer.model`, or
such a `.model` itself, and copies the files as they are. Prints what becomes of
a conversation: control tokens and text, with what is trained between ⟦ and ⟧.
See docs/tokenizers.md.
"""

from collections.abc import Sequence
import json
import sys

from absl import app
from absl import flags

from msm_jax import schema
from msm_jax import tokenizers

_SOURCE = flags.DEFINE_string(
  'source', None, 'Folder with the tokenizer, or a .model.', required=True
)
_OUT = flags.DEFINE_string('out', None, 'Directory to publish.', required=True)
_TEMPLATE = flags.DEFINE_string(
  'template',
  None,
  f'A Jinja file, or one of {", ".join(tokenizers.BUILT_IN_TEMPLATES)}; '
  'otherwise the one that the tokenizer comes with.',
)
_BOS = flags.DEFINE_string('bos', None, 'Control token that begins documents.')
_EOS = flags.DEFINE_string('eos', None, 'Control token that ends documents.')
_PAD = flags.DEFINE_string('pad', None, 'Control token that fills.')
_DATE = flags.DEFINE_string(
  'date', None, 'YYYY-MM-DD, for a template that asks for today.'
)
_VARIABLES = flags.DEFINE_string(
  'variables', '{}', 'JSON object of what the template sees besides.'
)
_CONTROL_TOKENS = flags.DEFINE_list(
  'control_tokens', [], 'Further control tokens of a SentencePiece model.'
)

_EXAMPLE = (
  {'role': 'user', 'content': 'Which one?'},
  {'role': 'assistant', 'content': 'The first.'},
  {'role': 'user', 'content': 'Why?'},
  {'role': 'assistant', 'content': 'It is cheaper.'},
)


def read_variables(text: str) -> dict[str, object]:
  """Reads `--variables`.

  Raises:
    ConfigError: If it is no JSON object.
  """
  try:
    value = json.loads(text)
  except ValueError as e:
    raise schema.ConfigError(f'--variables={text}: not JSON: {e}') from e
  if not isinstance(value, dict):
    raise schema.ConfigError(f'--variables={text}: expected a JSON object')
  return value


def describe(tokenizer: tokenizers.Tokenizer, losses: Sequence[str]) -> str:
  """Returns what a reader wants to check before training."""
  lines = [
    f'{tokenizer.vocab_size} ids, fingerprint {tokenizer.fingerprint}',
    *(
      f'{name:12} {token:8} {tokenizer.decode([token])}'
      for name, token in (
        ('bos', tokenizer.bos_id),
        ('eos', tokenizer.eos_id),
        ('pad', tokenizer.pad_id),
        ('end of turn', tokenizer.end_of_turn_id),
      )
    ),
    f'loses: {", ".join(losses) or "nothing"}',
  ]
  try:
    chat = tokenizer.render_chat(_EXAMPLE)
  except tokenizers.ChatTemplateError as e:
    return '\n'.join([*lines, f'no conversations: {e}'])
  text = ''
  last = 0
  for span in chat.spans:
    text += tokenizer.decode(chat.tokens[last : span.start])
    text += f'⟦{tokenizer.decode(chat.tokens[span.start : span.stop])}⟧'
    last = span.stop
  text += tokenizer.decode(chat.tokens[last:])
  return '\n'.join([*lines, '', text])


def main(argv: Sequence[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f'unexpected arguments: {argv[1:]}')
  try:
    tokenizer = tokenizers.import_tokenizer(
      _SOURCE.value,
      _OUT.value,
      tokenizers.TokenizerSpec(
        template=_TEMPLATE.value,
        bos=_BOS.value,
        eos=_EOS.value,
        pad=_PAD.value,
        date=_DATE.value,
        variables=read_variables(_VARIABLES.value),
        control_tokens=tuple(_CONTROL_TOKENS.value),
      ),
    )
  except (ValueError, OSError) as e:
    sys.exit(f'import_tokenizer: {e}')
  print(f'{_OUT.value}: {describe(tokenizer, tokenizer.losses)}')


if __name__ == '__main__':
  app.run(main)
