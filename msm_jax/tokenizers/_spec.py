"""What a tokenizer's files do not say, or say otherwise."""

from collections.abc import Mapping
import dataclasses
import datetime
import importlib.resources
from typing import Any

from msm_jax import schema
from msm_jax import storage

_VERSION = 1
_FOLDER = importlib.resources.files(__package__) / 'templates'

BUILT_IN_TEMPLATES = tuple(
  sorted(
    f.name.removesuffix('.jinja')
    for f in _FOLDER.iterdir()
    if f.name.endswith('.jinja')
  )
)


def built_in_template(name: str) -> str:
  """Returns the text of a template that comes with this package."""
  return (_FOLDER / f'{name}.jinja').read_text(encoding='utf-8')


@dataclasses.dataclass(frozen=True, kw_only=True)
class TokenizerSpec:
  """Choices for a tokenizer that others made.

  Attributes:
    template: One of `BUILT_IN_TEMPLATES`, or a Jinja file; None for the one
      that the tokenizer comes with, if any.
    bos: Control token that begins documents; None for `bos_token`, or the
      `bos_token_id` of its `generation_config.json`.
    eos: Control token that ends documents; None for `eos_token`.
    pad: Control token that fills; None for `pad_token`, else that of `eos`.
    date: `YYYY-MM-DD`, what a template is told when it asks for today.
    variables: What the template sees besides, e.g. `{'enable_thinking': False}`
      or `{'date_string': '26 Jul 2024'}`.
    control_tokens: Further pieces of a SentencePiece model that are control
      tokens, beside those of its kind 'control' and those that the template
      writes.
  """

  template: str | None = None
  bos: str | None = None
  eos: str | None = None
  pad: str | None = None
  date: str | None = None
  variables: dict[str, Any] = dataclasses.field(default_factory=dict)
  control_tokens: tuple[str, ...] = ()

  def __post_init__(self):
    if self.date is not None:
      try:
        datetime.date.fromisoformat(self.date)
      except ValueError as e:
        raise schema.ConfigError(
          f'tokenizer.date: {self.date!r} is not a date such as 2026-01-31'
        ) from e

  @property
  def day(self) -> datetime.date | None:
    return datetime.date.fromisoformat(self.date) if self.date else None

  def flags(self) -> list[str]:
    """Returns the flags of `msm_jax.import_tokenizer` that say the same."""
    single = {
      name: getattr(self, name)
      for name in ('template', 'bos', 'eos', 'pad', 'date')
    }
    flags = [f'--{name}={v}' for name, v in single.items() if v is not None]
    if self.variables:
      flags.append(f'--variables={storage.canonical_json(self.variables)}')
    if self.control_tokens:
      flags.append(f'--control_tokens={",".join(self.control_tokens)}')
    return flags

  def to_json(self) -> dict[str, Any]:
    return {
      'version': _VERSION,
      **dataclasses.asdict(self),
      'variables': dict(self.variables),
      'control_tokens': list(self.control_tokens),
    }

  @classmethod
  def from_json(cls, raw: Mapping[str, Any]) -> 'TokenizerSpec':
    if raw.get('version') != _VERSION:
      raise ValueError(
        f'tokenizer version {raw.get("version")!r}: this code reads {_VERSION}'
      )
    fields = {key: value for key, value in raw.items() if key != 'version'}
    fields['control_tokens'] = tuple(fields['control_tokens'])
    return cls(**fields)
