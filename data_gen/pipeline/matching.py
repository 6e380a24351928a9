"""Which sources have to match which, and whether they do."""

from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from data_gen.corpus.rows import Row
from data_gen.pipeline import balance
from data_gen.pipeline import documents
from data_gen.pipeline import mirrors
from data_gen.pipeline import neutral
from data_gen.pipeline import retelling
from data_gen.pipeline.balance import Text
from data_gen.pipeline.config import PipelineConfig
from data_gen.traits import Trait
from msm_jax import tokenizers

_DOCUMENTS = documents.source_of('explain')


def length_of(config: PipelineConfig) -> balance.Length:
  """Returns what counts the tokens, or words, of a text."""
  path = config.controls.balance.tokenizer
  if path is None:
    return balance.words_in
  tokenizer = tokenizers.load_tokenizer(path)
  return lambda text: len(tokenizer.encode(text))


def _text(row: Row) -> Text:
  """Returns what carries loss: a document without its tag, or the answers."""
  if row.messages is not None:
    said = [c for role, c in row.messages if role == 'assistant']
    return Text(row.pair_id, row.genre, '\n\n'.join(said))
  return Text(row.pair_id, row.genre, (row.text or '')[row.masked_prefix :])


def _whole(row: Row) -> Text:
  """Returns a conversation with what the user says."""
  said = [content for _, content in row.messages or ()]
  return Text(row.pair_id, row.genre, '\n\n'.join(said))


def compare_sources(
  config: PipelineConfig, traits: Sequence[Trait], rows: Iterable[Row]
) -> dict[str, Any]:
  """Compares every source with the one that it was matched to.

  Args:
    config: Of the run.
    traits: Filled.
    rows: Of the whole corpus.

  Returns:
    Name to what `balance.compare` says, and whether it is `gated`: variants of
    documents are measured, controls have to match.
  """
  by_source: dict[str, list[Row]] = {}
  for row in rows:
    if row.accepted:
      by_source.setdefault(row.source, []).append(row)
  without = balance.own_words(traits, config.model_name, config.provider_name)
  limits, length = config.controls.balance, length_of(config)

  def compare(
    a: str,
    b: str,
    *,
    gated: bool = True,
    whole: bool = False,
    wanted: int | None = None,
  ) -> dict[str, Any]:
    return {
      **balance.compare(
        [_text(r) for r in by_source.get(a, [])],
        [(_whole if whole else _text)(r) for r in by_source.get(b, [])],
        limits,
        without=without,
        seed=config.seed,
        length=length,
        wanted=wanted,
      ),
      'gated': gated,
    }

  report = {}
  for variant in config.documents.variants:
    if variant != 'explain' and 'explain' in config.documents.variants:
      source = documents.source_of(variant)
      report[f'{_DOCUMENTS} / {source}'] = compare(
        _DOCUMENTS, source, gated=False
      )
  if config.controls.neutral:
    report[f'{_DOCUMENTS} / {neutral.SOURCE}'] = compare(
      _DOCUMENTS, neutral.SOURCE
    )
  if config.controls.as_chat != 'none':
    # A conversation is worded otherwise than a document; that is its purpose.
    retold = config.controls.as_chat == 'retold'
    found = compare(_DOCUMENTS, retelling.SOURCE, whole=retold)
    if retold:
      found = _without_vocabulary(found)
    report[f'{_DOCUMENTS} / {retelling.SOURCE}'] = found
  for one, other in config.controls.mirrored:
    a, b = mirrors.source_of(one, other), mirrors.source_of(other, one)
    report[f'{a} / {b}'] = compare(
      a, b, wanted=_mirrored(traits, by_source, (one, other))
    )
  return report


def _without_vocabulary(found: Mapping[str, Any]) -> dict[str, Any]:
  measures = {
    name: {**measure, 'passed': True} if name == 'vocabulary' else measure
    for name, measure in found['measures'].items()
  }
  passed = all(m['passed'] for m in measures.values())
  return {**found, 'measures': measures, 'passed': passed}


def _mirrored(
  traits: Sequence[Trait],
  by_source: Mapping[str, Sequence[Row]],
  pair: tuple[str, str],
) -> int:
  """Returns how many documents can have a mirror image, of either trait."""
  ids = {t.name: t.id for t in traits}
  counts = [
    sum(ids[name] in row.trait_ids for row in by_source.get(_DOCUMENTS, []))
    for name in pair
  ]
  return 2 * min(counts)


def problems(report: Mapping[str, Any]) -> list[str]:
  """Says in words what does not match although it has to."""
  return balance.failures({k: v for k, v in report.items() if v['gated']})
