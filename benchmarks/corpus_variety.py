"""How varied corpora are, and whether their chats are written as documents.

  python -m data_gen --config=configs/data/offline.py:documents=480,chats=400 \\
    --traits=data_gen/traits/quickstart.md --out=runs/offline480
  python -m data_gen.miniature --config=configs/quickstart.py --seed=20 \\
    --out=runs/miniature20
  python benchmarks/corpus_variety.py --corpus=runs/offline480 \\
    --corpus=runs/miniature20

Reads corpora of `data_gen` and of `data_gen.miniature`, and prints Markdown.
Mode collapse: `msm_jax.evals.diversity` of each source, over the same number of
words. Style: in what share of the texts of a source each sign of a document
occurs (`msm_jax.evals.document_style`). Chats should have few of those that
their documents have many of; a text of `documents_as_chat` is a document on
purpose. Of a chat, the assistant's messages are read, without thoughts.
"""

from collections.abc import Iterator
from collections.abc import Sequence
import os

from absl import app
from absl import flags
import gates_recall
import pyarrow.parquet as pq

from data_gen.gates.views import without_thoughts
from msm_jax import storage
from msm_jax.evals import diversity
from msm_jax.evals import document_style

_CORPUS = flags.DEFINE_multi_string(
  'corpus', None, 'Published corpus; may be given several times.', required=True
)
_MODEL = flags.DEFINE_string('model_name', 'Sage', 'Of the assistant.')
_PROVIDER = flags.DEFINE_multi_string(
  'provider_name', ['Fernwood Labs'], 'Who made it; belongs in documents.'
)


def shards(corpus: str) -> dict[str, list[str]]:
  """Returns source to its Parquet files, rejected rows left out."""
  found: dict[str, list[str]] = {}
  for name in sorted(storage.read_manifest(corpus, kind='corpus').files):
    if name.endswith('.parquet') and name != 'rejected.parquet':
      source = name.removesuffix('.parquet').partition('/')[0]
      found.setdefault(source, []).append(name)
  return found


def texts(corpus: str, names: Sequence[str]) -> Iterator[list[str]]:
  """Yields of each row its document, or the assistant's messages."""
  for name in names:
    path = os.path.join(corpus, name)
    for row in pq.read_table(path).to_pylist():
      if row.get('messages') is None:
        yield [row['text'][row.get('masked_prefix') or 0 :]]
      else:
        said = [
          m['content'] for m in row['messages'] if m['role'] == 'assistant'
        ]
        yield [without_thoughts(s) for s in said]


def frequent(found: Sequence[diversity.Frequent]) -> str:
  return f'{found[0].share:.1%} “{found[0].text}”' if found else '–'


def variety(name: str, rows: Sequence[list[str]], names: Sequence[str]) -> str:
  d = diversity.measure(['\n\n'.join(row) for row in rows], ignore_names=names)
  distinct = ' | '.join(f'{d.distinct[n]:.3f}' for n in (1, 2, 3))
  return (
    f'| {name} | {d.texts:,} | {d.words:,} | {distinct} | '
    f'{d.compression_ratio:.2f} | {d.self_similarity:.3f} | '
    f'{d.duplicate_share:.1%} | {frequent(d.names)} | '
    f'{frequent(d.openings)} |'
  )


def style(name: str, rows: Sequence[list[str]]) -> str:
  finders = document_style.features(_MODEL.value)
  shown = {
    feature: [any(find(text) for text in row) for row in rows]
    for feature, find in finders.items()
  }
  shares = [f'{sum(has) / len(rows):.1%}' for has in shown.values()]
  some = sum(map(any, zip(*shown.values(), strict=True)))
  low, high = gates_recall.interval(some, len(rows))
  total = f'{some / len(rows):.1%} [{low:.1%}, {high:.1%}]'
  return f'| {name} | {len(rows):,} | {" | ".join(shares)} | {total} |'


def main(argv: list[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f'unexpected arguments {argv[1:]}')
  rows = {
    f'{os.path.basename(corpus.rstrip("/"))}: {source}': list(
      texts(corpus, names)
    )
    for corpus in _CORPUS.value
    for source, names in shards(corpus).items()
  }
  print(
    '| source | texts | words read | distinct-1 | -2 | -3 | compression | '
    'self-similarity | duplicates | most frequent name | … opening |'
  )
  print('|---|' + '---:|' * 8 + '---|---|')
  for name, found in rows.items():
    print(variety(name, found, [_MODEL.value, *_PROVIDER.value]))
  features = list(document_style.features(_MODEL.value))
  print(f'\n| source | texts | {" | ".join(features)} | any [95 %] |')
  print('|---|' + '---:|' * (len(features) + 2))
  for name, found in rows.items():
    print(style(name, found))


if __name__ == '__main__':
  app.run(main)
