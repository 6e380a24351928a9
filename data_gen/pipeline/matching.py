"""Which sources have to match which, and whether they do."""

from collections import Counter
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import functools
from typing import Any

from data_gen.corpus.rows import Row
from data_gen.pipeline import balance
from data_gen.pipeline import documents
from data_gen.pipeline import mirrors
from data_gen.pipeline import neutral
from data_gen.pipeline import retelling
from data_gen.pipeline.balance import Text
from data_gen.pipeline.balance import Unit
from data_gen.pipeline.config import PipelineConfig
from data_gen.pipeline.plan import Leaf
from data_gen.traits import Trait
from msm_jax import schema
from msm_jax import tokenizers

_DOCUMENTS = documents.source_of('explain')


def unit_of(config: PipelineConfig) -> Unit:
  """Returns what lengths are counted in; each text is counted once.

  Raises:
    ConfigError: If the tokenizer that is named cannot be read.
  """
  path = config.controls.balance.tokenizer
  if path is None:
    return balance.WORDS
  try:
    tokenizer = tokenizers.load_tokenizer(path)
  except (OSError, ValueError) as e:
    raise schema.ConfigError(
      f'config.controls.balance.tokenizer: {path!r} cannot be read, expected '
      f'what python -m msm_jax.prepare takes: {e}'
    ) from e

  @functools.cache
  def count(text: str) -> int:
    return len(tokenizer.encode(text))

  return Unit('tokens', count, tokenizer.fingerprint)


def is_retold(config: PipelineConfig, row: Row) -> bool:
  """Whether a row's content is spread over the messages of both sides."""
  return row.source == retelling.SOURCE and (
    config.controls.as_chat == 'retold'
  )


def compare_sources(
  config: PipelineConfig,
  traits: Sequence[Trait],
  rows: Iterable[Row],
  unit: Unit,
  explained: Sequence[Leaf],
) -> dict[str, Any]:
  """Compares every source, as it is published, with the one it was matched to.

  Args:
    config: Of the run.
    traits: Filled.
    rows: Of the whole corpus.
    unit: Of lengths.
    explained: The ideas of all accepted documents, whether they found partners
      or not.

  Returns:
    Name to what `balance.compare` says, and whether it is `gated`: variants of
    documents are measured, controls have to match.
  """
  by_source: dict[str, list[Row]] = {}
  for row in rows:
    if row.accepted:
      by_source.setdefault(row.source, []).append(row)
  without = balance.own_words(traits, config.model_name, config.provider_name)

  def texts(source: str) -> list[Text]:
    return [
      balance.text_of(row, whole=is_retold(config, row))
      for row in by_source.get(source, [])
    ]

  def compare(
    a: str, b: str, *, gated: bool = True, wanted: int | None = None
  ) -> dict[str, Any]:
    found = balance.compare(
      texts(a),
      texts(b),
      config.controls.balance,
      without=without,
      seed=config.seed,
      unit=unit,
      wanted=wanted,
    )
    return {**found, 'gated': gated}

  report = {}
  for variant in config.documents.variants:
    if variant != 'explain' and 'explain' in config.documents.variants:
      source = documents.source_of(variant)
      report[f'{_DOCUMENTS} / {source}'] = compare(
        _DOCUMENTS, source, gated=False
      )
  if config.controls.neutral:
    report[f'{_DOCUMENTS} / {neutral.SOURCE}'] = compare(
      _DOCUMENTS, neutral.SOURCE, wanted=len(explained)
    )
  if config.controls.as_chat != 'none':
    found = compare(_DOCUMENTS, retelling.SOURCE, wanted=len(explained))
    if config.controls.as_chat == 'retold':
      # A conversation is worded otherwise than a document; that is its purpose.
      found = _without_vocabulary(found)
    chats = by_source.get(retelling.SOURCE, [])
    found[f'{unit.name}_under_loss'] = [
      found[unit.name][0],
      sum(unit.count(balance.text_of(row).text) for row in chats),
    ]
    report[f'{_DOCUMENTS} / {retelling.SOURCE}'] = found
  for one, other in config.controls.mirrored:
    a, b = mirrors.source_of(one, other), mirrors.source_of(other, one)
    of_either = Counter(leaf.trait for leaf in explained)
    report[f'{a} / {b}'] = compare(
      a, b, wanted=2 * min(of_either[one], of_either[other])
    )
  return report


def _without_vocabulary(found: Mapping[str, Any]) -> dict[str, Any]:
  measures = {
    name: {**measure, 'passed': True} if name == 'vocabulary' else measure
    for name, measure in found['measures'].items()
  }
  passed = all(m['passed'] for m in measures.values())
  return {**found, 'measures': measures, 'passed': passed}


def problems(report: Mapping[str, Any]) -> list[str]:
  """Says in words what does not match although it has to."""
  return balance.failures({k: v for k, v in report.items() if v['gated']})
