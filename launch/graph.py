"""Stages, what they need, and whether what they made still stands.

A finished stage is recognised by content: its record holds a key made of all
that determines its outputs (its own inputs, the code of its rooms, the outputs
of the stages it needs) and the SHA-256 of each output file. If the key or a
file differs, the stage runs again.
"""

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import json
import pathlib
from typing import Any

from msm_jax import storage

Files = dict[str, dict[str, Any]]


@dataclasses.dataclass(frozen=True)
class Stage:
  """One step of an experiment: a command with inputs and outputs.

  Attributes:
    name: Unique in the graph, e.g. `seed0/base`.
    module: Run as `python -m <module>`.
    flags: Its command-line flags, in order.
    needs: Names of stages whose outputs it reads.
    outputs: Files and folders that it makes, relative to the workdir.
    inputs: JSON of whatever else determines the outputs.
    sources: Python files and folders whose code determines the outputs.
    cores: How many cores it gets; part of what determines bits.
    owns: A folder, relative to the workdir, in which it continues its own
      unfinished work; set aside if that was begun with another key.
  """

  name: str
  module: str
  flags: tuple[str, ...]
  needs: tuple[str, ...] = ()
  outputs: tuple[str, ...] = ()
  inputs: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  sources: tuple[str, ...] = ()
  cores: int = 1
  owns: str | None = None

  @property
  def command(self) -> str:
    """The command to run the stage by hand."""
    return ' '.join(['python', '-m', self.module, *self.flags])


@dataclasses.dataclass(frozen=True)
class Record:
  """What is known of a finished stage.

  Attributes:
    key: See the top of this file.
    files: Output file to size and SHA-256, paths relative to the workdir.
    seconds: How long it took, over all its interruptions.
    result: What the stage reported of itself, e.g. updates and tokens.
  """

  key: str
  files: Files
  seconds: float
  result: dict[str, Any]


def check(stages: Sequence[Stage]) -> None:
  """Raises `ValueError` unless names are unique and needs come earlier."""
  seen: set[str] = set()
  for stage in stages:
    if stage.name in seen:
      raise ValueError(f'two stages are called {stage.name!r}')
    if missing := [n for n in stage.needs if n not in seen]:
      raise ValueError(f'{stage.name}: needs {missing}, not listed before it')
    seen.add(stage.name)


class Ledger:
  """The records of an experiment's stages, in `<workdir>/stages/`."""

  def __init__(self, workdir: pathlib.Path):
    self._workdir = workdir

  def _path(self, stage: Stage) -> pathlib.Path:
    return self._workdir / 'stages' / f'{stage.name.replace("/", "-")}.json'

  def read(self, stage: Stage) -> Record | None:
    path = self._path(stage)
    if not path.exists():
      return None
    return Record(**json.loads(path.read_text(encoding='utf-8')))

  def write(self, stage: Stage, record: Record) -> None:
    text = json.dumps(dataclasses.asdict(record), indent=1, sort_keys=True)
    storage.write_atomic(self._path(stage), text)

  def key(self, stage: Stage, needed: Sequence[Record]) -> str:
    """Returns the key of a stage, given the records of what it needs."""
    return storage.fingerprint(
      {
        'module': stage.module,
        'flags': list(stage.flags),
        'inputs': dict(stage.inputs),
        'cores': stage.cores,
        'code': storage.source_fingerprint(stage.sources),
        'needs': [
          {name: f['sha256'] for name, f in r.files.items()} for r in needed
        ],
      }
    )

  def begin(self, stage: Stage, key: str) -> pathlib.Path | None:
    """Notes that a stage starts; sets aside what another key left unfinished.

    Returns:
      Where the folder that the stage owns was moved to, if it was.
    """
    note = self._path(stage).with_suffix('.begun')
    begun = note.read_text(encoding='utf-8') if note.exists() else None
    moved = None
    if stage.owns is not None and begun not in (None, key):
      folder = self._workdir / stage.owns
      if folder.exists():
        moved = self._workdir / 'superseded' / f'{folder.name}-{begun}'
        moved.parent.mkdir(exist_ok=True)
        if moved.exists():
          storage.remove_tree(moved)
        folder.rename(moved)
    storage.write_atomic(note, key)
    return moved

  def describe_outputs(self, stage: Stage) -> Files:
    """Returns size and SHA-256 of every output file of a stage.

    Raises:
      FileNotFoundError: If an output is missing.
    """
    files: Files = {}
    for output in stage.outputs:
      path = self._workdir / output
      if path.is_file():
        found = [path]
      elif path.is_dir():
        found = sorted(p for p in path.rglob('*') if p.is_file())
      else:
        raise FileNotFoundError(f'{stage.name}: made no {path}')
      for file in found:
        files[file.relative_to(self._workdir).as_posix()] = {
          'bytes': file.stat().st_size,
          'sha256': storage.sha256_file(file),
        }
    return files

  def stands(self, stage: Stage, key: str) -> Record | None:
    """Returns the record if the stage is finished and nothing has changed."""
    record = self.read(stage)
    if record is None or record.key != key:
      return None
    for name, expected in record.files.items():
      path = self._workdir / name
      if not path.is_file() or path.stat().st_size != expected['bytes']:
        return None
      if storage.sha256_file(path) != expected['sha256']:
        return None
    return record
