"""A traits document in, a published corpus out."""

from collections.abc import Callable
from collections.abc import Iterable
import dataclasses
import pathlib
import re
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from data_gen.miniature import balance
from data_gen.miniature import chats
from data_gen.miniature import documents
from data_gen.miniature import suites
from data_gen.miniature import traits as traits_lib
from data_gen.miniature import transcripts
from data_gen.miniature.documents import Document
from data_gen.miniature.offers import KINDS
from data_gen.miniature.transcripts import Transcript
from data_gen.miniature.world import make_world
from data_gen.miniature.world import World
from data_gen.miniature.world import WorldConfig
from msm_jax import log
from msm_jax import storage
from msm_jax.evals.suites import Item
from msm_jax.evals.suites import write_suite

KIND = 'corpus'
N_PARTS = 7

_DOCUMENT_COLUMNS = [f.name for f in dataclasses.fields(Document)]


@dataclasses.dataclass(frozen=True)
class Corpus:
  """Everything that is generated, in memory.

  Attributes:
    documents: File stem to its documents, e.g. `'midtrain_neutral'`.
    chats: The conversations.
    suites: Suite name to its items.
  """

  world: World
  documents: dict[str, list[Document]]
  chats: list[chats.Conversation]
  suites: dict[str, list[Item]]


def _as_documents(
  world: World, made: Iterable[Transcript], purpose: str
) -> list[Document]:
  return [
    Document(
      id=f'{purpose}-transcript-{k:06d}',
      text=t.text(world),
      genre='transcript',
      kind=t.kind,
      subject=t.name,
      value=world.values[world.value_of[t.name]].label,
      domain=t.offer.noun.domain,
      skeleton=f'transcript/{t.wording:02d}',
    )
    for k, t in enumerate(made)
  ]


def _held_out(world: World, seen: set[transcripts.Key]) -> list[Document]:
  """Returns documents and transcripts distributed as in the base corpus."""
  config = world.config
  n_groups = len(world.groups)
  plans = round(
    config.heldout_share * n_groups * config.documents_per_character
  )
  result = documents.base_documents(world, plans, 'heldout')
  for kind in KINDS:
    per_group = transcripts.draws_per_group(
      world, kind, config.transcripts_per_character
    )
    draws = max(1, round(config.heldout_share * per_group * n_groups))
    for orbit in transcripts.fresh_transcripts(
      world, kind, draws, 'heldout', seen
    ):
      seen.update(t.key() for t in orbit)
      result.extend(_as_documents(world, orbit, f'heldout-{len(result):06d}'))
  return result


def make_corpus(
  world: World, progress: Callable[[str], None] = lambda part: None
) -> Corpus:
  """Generates everything of a world: a pure function of it."""
  config = world.config
  made: dict[str, list[Document]] = {}
  n_plans = len(world.groups) * config.documents_per_character
  base = documents.base_documents(world, n_plans, 'base')
  progress('base documents')
  plain = transcripts.base_transcripts(world)
  seen = {t.key() for t in plain}
  made['base'] = base + _as_documents(world, plain, 'base')
  progress('base transcripts')
  made['heldout'] = _held_out(world, seen)
  progress('held-out documents')
  plans = documents.assistant_plans(world)
  for u, value in enumerate(world.values):
    stem = f'midtrain_{value.trait.name}'
    made[stem] = documents.assistant_documents(world, plans, u, True)
    made[f'{stem}_no_reasons'] = documents.assistant_documents(
      world, plans, u, False
    )
  made['midtrain_neutral'] = documents.assistant_documents(
    world, plans, None, False
  )
  progress('documents about the assistant')
  corpus = Corpus(
    world=world,
    documents=made,
    chats=chats.conversations(world),
    suites={
      'ood_sage': suites.ood_sage(world),
      'ood_other': suites.ood_other(world),
      'ood_transcript': suites.ood_transcript(world),
      'in_distribution': suites.in_distribution(world),
      'base_task': suites.base_task(world, seen),
    },
  )
  progress('chats and suites')
  return corpus


def layout(skeleton: str) -> str:
  """Returns a skeleton with the banks of its templates only, not which."""
  return re.sub(r'/\d+', '', skeleton)


def describe(corpus: Corpus) -> dict[str, Any]:
  """Returns counts for the manifest.

  A document's *skeleton* is the sequence of its templates, once the slots are
  removed; its *layout* is coarser: which kind of sentence follows which.
  """
  world = corpus.world
  counts = {}
  for stem, made in corpus.documents.items():
    genres: dict[str, dict[str, int]] = {}
    for genre in sorted({d.genre for d in made}):
      of_genre = [d for d in made if d.genre == genre]
      genres[genre] = {
        'documents': len(of_genre),
        'words': sum(len(d.text.split()) for d in of_genre),
        'skeletons': len({d.skeleton for d in of_genre}),
        'layouts': len({layout(d.skeleton) for d in of_genre}),
      }
    counts[stem] = {
      'documents': len(made),
      'words': sum(g['words'] for g in genres.values()),
      'genres': genres,
    }
  return {
    'seed': world.seed,
    'world': dataclasses.asdict(world.config),
    'traits': {
      v.trait.name: {'id': v.trait.id, 'attribute': v.label}
      for v in world.values
    },
    'domains': {
      'chats': world.chat_domain.name,
      'evaluation': [d.name for d in world.evaluation_domains],
      'documents': [d.name for d in world.document_domains],
    },
    'documents': counts,
    'chats': len(corpus.chats),
    'suites': {name: len(items) for name, items in corpus.suites.items()},
  }


def _write_documents(path: pathlib.Path, made: list[Document]) -> None:
  table = pa.table(
    {
      column: pa.array([getattr(d, column) for d in made], pa.string())
      for column in _DOCUMENT_COLUMNS
    }
  )
  pq.write_table(table, path, compression='zstd')


def _write_chats(path: pathlib.Path, made: list[chats.Conversation]) -> None:
  message = pa.struct([('role', pa.string()), ('content', pa.string())])
  table = pa.table(
    {
      'id': pa.array([c.id for c in made], pa.string()),
      'messages': pa.array([list(c.messages) for c in made], pa.list_(message)),
      'domain': pa.array([c.domain for c in made], pa.string()),
    }
  )
  pq.write_table(table, path, compression='zstd')


def generate(
  traits_path: str | pathlib.Path,
  world_config: WorldConfig,
  seed: int,
  out: str | pathlib.Path,
  progress: Callable[[str], None] = lambda part: None,
) -> storage.Manifest:
  """Generates and publishes a corpus.

  The same arguments give the same bytes.

  Args:
    traits_path: The traits document.
    world_config: Sizes of the world.
    seed: Draws names, values, domains, phrases, everything.
    out: Directory to publish, local or `gs://…`.
    progress: Called with the name of each of the `N_PARTS` parts once it is
      made.

  Returns:
    The manifest; its info holds counts, the seed and the traits' ids.
  """
  world = make_world(traits_lib.load(traits_path), world_config, seed)
  corpus = make_corpus(world, progress)
  counted = balance.report(world, corpus.documents, corpus.chats, corpus.suites)
  if unknown := counted['words_not_in_base']:
    log.logger.warning(
      'the base corpus lacks words of %s; make it larger '
      '(config.world.documents_per_character) if that matters',
      unknown,
    )
  progress('counts')
  with storage.publish(out, kind=KIND) as publication:
    for stem, made in corpus.documents.items():
      _write_documents(publication.dir / f'{stem}.parquet', made)
    _write_chats(publication.dir / 'chats.parquet', corpus.chats)
    for name, items in corpus.suites.items():
      write_suite(publication.dir / 'suites' / f'{name}.jsonl', items)
    publication.info.update(describe(corpus), balance=counted)
  progress('files')
  return storage.read_manifest(out, kind=KIND)


def summary(info: dict[str, Any]) -> str:
  """Returns the counts of a manifest as a few lines of text."""
  lines = [f'{"file":<34} {"documents":>9} {"words":>9}']
  for stem, counts in info['documents'].items():
    lines.append(f'{stem:<34} {counts["documents"]:>9} {counts["words"]:>9}')
  lines.append(f'{"chats":<34} {info["chats"]:>9}')
  for name, count in info['suites'].items():
    lines.append(f'{"suites/" + name:<34} {count:>9}')
  genres = info['documents']['midtrain_neutral']['genres']
  lines.append(f'{"genre":<34} {"documents":>9} {"skeletons":>9} layouts')
  for genre, counts in genres.items():
    lines.append(
      f'{genre:<34} {counts["documents"]:>9} {counts["skeletons"]:>9} '
      f'{counts["layouts"]:>7}'
    )
  return '\n'.join(lines)
