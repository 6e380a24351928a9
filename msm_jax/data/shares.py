"""What a mixture realises, beside what was asked for."""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class SourceShares:
  """What a phase takes from one source; counts are over the whole phase."""

  name: str
  requested: float
  sequences: int
  tokens: int
  loss_tokens: int
  epochs: float


@dataclasses.dataclass(frozen=True)
class MixtureReport:
  """Requested and realised shares of every source.

  Attributes:
    weight_by: What `requested` is a share of: 'tokens' or 'loss_tokens'.
    sources: One entry per source.
  """

  weight_by: str
  sources: tuple[SourceShares, ...]

  def share(self, name: str, of: str) -> float:
    """Returns a source's realised share of 'sequences', 'tokens' or so."""
    total = sum(getattr(s, of) for s in self.sources)
    part = next(getattr(s, of) for s in self.sources if s.name == name)
    return part / total

  def to_json(self) -> dict[str, Any]:
    return {
      'weight_by': self.weight_by,
      'sources': [
        {
          **dataclasses.asdict(s),
          'share_of_sequences': self.share(s.name, 'sequences'),
          'share_of_tokens': self.share(s.name, 'tokens'),
          'share_of_loss_tokens': self.share(s.name, 'loss_tokens'),
        }
        for s in self.sources
      ],
    }

  def __str__(self) -> str:
    width = max(len('source'), *(len(s.name) for s in self.sources))
    lines = [
      f'{"source":{width}}  requested ({self.weight_by})  of tokens  '
      'of loss tokens  of sequences  sequences          tokens     loss tokens'
      '  epochs'
    ]
    for s in self.sources:
      lines.append(
        f'{s.name:{width}}  '
        f'{s.requested:{13 + len(self.weight_by) - 1}.2%}  '
        f'{self.share(s.name, "tokens"):9.2%}  '
        f'{self.share(s.name, "loss_tokens"):14.2%}  '
        f'{self.share(s.name, "sequences"):12.2%}  '
        f'{s.sequences:9,}  {s.tokens:14,}  {s.loss_tokens:14,}  '
        f'{s.epochs:6.2f}'
      )
    return '\n'.join(lines)
