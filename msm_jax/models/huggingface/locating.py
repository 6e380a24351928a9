"""Which tensor of a file is which of the model's."""

from collections.abc import Iterable
from collections.abc import Sequence
import dataclasses

from msm_jax import schema
from msm_jax.models.huggingface.tensors import EMBEDDING
from msm_jax.models.huggingface.tensors import HEAD
from msm_jax.models.huggingface.tensors import TensorSpec

# Of a text model inside of one with vision, as transformers 4 and 5 name them.
_INNER = ('language_model.', 'model.language_model.')
_VISION = tuple(
  f'{outer}{part}.'
  for outer in ('', 'model.')
  for part in ('vision_tower', 'multi_modal_projector')
)
# Constants that old files hold.
_BUFFERS = ('rotary_emb.inv_freq',)


@dataclasses.dataclass(frozen=True)
class Located:
  """What a checkpoint holds.

  Attributes:
    names: By the name of each `TensorSpec`, the name in the file.
    tied_head: Name in the file of a head that is stored although it is tied;
      must equal the embedding. None if there is none.
    ignored: Names of what belongs to no text model (vision), or is no weight.
  """

  names: dict[str, str]
  tied_head: str | None
  ignored: tuple[str, ...]


def _plain(name: str) -> str:
  """Returns the name that a tensor has in a model of text only."""
  for inner in reversed(_INNER):
    if name.startswith(inner):
      rest = name.removeprefix(inner)
      return (
        rest if rest.startswith(('model.', 'lm_head.')) else f'model.{rest}'
      )
  return name


def locate(specs: Sequence[TensorSpec], names: Iterable[str]) -> Located:
  """Finds every tensor of a model in a checkpoint.

  Args:
    specs: What `tensors` returns.
    names: Of all tensors in all files of the checkpoint.

  Raises:
    ConfigError: Naming all tensors that are missing, and all that the model
      has no place for.
  """
  wanted = {spec.name for spec in specs}
  found: dict[str, str] = {}
  tied_head, ignored, unexpected = None, [], []
  for name in sorted(names):
    plain = _plain(name)
    if plain in found:
      raise schema.ConfigError(
        f'{name}: is {found[plain]} once more; expected one of the two'
      )
    if plain in wanted:
      found[plain] = name
    elif plain == HEAD and EMBEDDING in wanted:
      tied_head = name
    elif name.startswith(_VISION) or name.endswith(_BUFFERS):
      ignored.append(name)
    else:
      unexpected.append(name)
  # Of very many names the nearest is slow to find, and helps nobody.
  known = sorted(wanted) if len(unexpected) < 10 else []
  problems = [
    f'  {name}: the model has no place for this{schema.suggest(name, known)}'
    for name in unexpected
  ]
  problems += [
    f'  {name}: missing in the checkpoint'
    for name in sorted(wanted - set(found))
  ]
  if problems:
    raise schema.ConfigError(
      f'{len(problems)} tensors do not fit the config.json:\n'
      + '\n'.join(problems)
    )
  return Located(found, tied_head, tuple(ignored))
