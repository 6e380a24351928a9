"""Stages, what they need, and whether what they made still stands.

A finished stage is recognised by content: its record holds a key made of all
that determines its outputs (its own inputs, the code of its rooms, the outputs
of the stages it needs) and the SHA-256 of each output file. If the key or a
file differs, the stage runs again. Where the experiment lies is no content: a
workdir that is moved, or named by another path, still stands.
"""

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import json
import pathlib
import shlex
from typing import Any

from msm_jax import storage

Files = dict[str, dict[str, Any]]

WORKDIR = '{workdir}'
"""Stands for the experiment's workdir in the flags and inputs of a stage."""


@dataclasses.dataclass(frozen=True)
class Stage:
  """One step of an experiment: a command with inputs and outputs.

  Attributes:
    name: Unique in the graph, e.g. `seed0/base`.
    module: Run as `python -m <module>`.
    flags: Its command-line flags, in order; `WORKDIR` in them is replaced.
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
  flags: tuple[str, ...] = ()
  needs: tuple[str, ...] = ()
  outputs: tuple[str, ...] = ()
  inputs: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  sources: tuple[str, ...] = ()
  cores: int = 1
  owns: str | None = None

  @property
  def file_name(self) -> str:
    """The name as one part of a path."""
    return self.name.replace('/', '-')

  def arguments(self, workdir: pathlib.Path) -> list[str]:
    """What follows `python` on the command line."""
    flags = [f.replace(WORKDIR, str(workdir)) for f in self.flags]
    return ['-m', self.module, *flags]

  def command(self, workdir: pathlib.Path) -> str:
    """The command to run the stage by hand, quoted for a shell."""
    return shlex.join(['python', *self.arguments(workdir)])


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


@dataclasses.dataclass(frozen=True)
class Begun:
  """What is known of a stage that has begun.

  Attributes:
    key: As in its record, when it will have one.
    seconds: Spent on it so far, by attempts that were interrupted.
  """

  key: str
  seconds: float


def check(stages: Sequence[Stage]) -> None:
  """Raises `ValueError` unless the stages are a graph, in an order that works.

  Names and outputs must be unique, and needs listed earlier.
  """
  seen: dict[str, str] = {}
  makers: dict[str, str] = {}
  for stage in stages:
    if (other := seen.get(stage.file_name)) is not None:
      raise ValueError(f'{stage.name!r} and {other!r}: the same name twice')
    if missing := [n for n in stage.needs if n not in seen.values()]:
      raise ValueError(f'{stage.name}: needs {missing}, not listed before it')
    if stage.cores < 1:
      raise ValueError(f'{stage.name}: cores: {stage.cores}, expected >= 1')
    for output in stage.outputs:
      if (maker := makers.setdefault(output, stage.name)) != stage.name:
        raise ValueError(f'{stage.name} and {maker} both make {output}')
    seen[stage.file_name] = stage.name


class Ledger:
  """What is known of an experiment's stages, in `<workdir>/stages/`."""

  def __init__(self, workdir: pathlib.Path):
    self._workdir = workdir

  def _path(self, stage: Stage, suffix: str) -> pathlib.Path:
    return self._workdir / 'stages' / f'{stage.file_name}.{suffix}'

  def _read(self, stage: Stage, suffix: str) -> dict[str, Any] | None:
    try:
      return storage.read_json(self._path(stage, suffix))
    except FileNotFoundError:
      return None

  def _write(self, stage: Stage, suffix: str, value: Record | Begun) -> None:
    text = json.dumps(dataclasses.asdict(value), indent=1, sort_keys=True)
    storage.write_atomic(self._path(stage, suffix), text)

  def record(self, stage: Stage) -> Record | None:
    """Returns the record of a stage, whether it still stands or not."""
    raw = self._read(stage, 'json')
    return None if raw is None else Record(**raw)

  def begun(self, stage: Stage) -> Begun | None:
    """Returns the note of the last time that a stage began."""
    raw = self._read(stage, 'begun')
    return None if raw is None else Begun(**raw)

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

  def begin(self, stage: Stage, key: str) -> tuple[Begun, pathlib.Path | None]:
    """Notes that a stage starts, which does not stand.

    The folder that it owns is set aside (never deleted) unless it holds
    unfinished work of this very key, which the stage will continue.

    Returns:
      The note, and where the folder was moved to, if it was.
    """
    before, record = self.begun(stage), self.record(stage)
    # Its record has this key, and yet it does not stand: a file was changed.
    damaged = record is not None and record.key == key
    moved = None
    if before is None or before.key != key or damaged:
      if before is not None:
        moved = self._set_aside(stage, before.key)
      before = Begun(key, 0.0)
    self._path(stage, 'json').unlink(missing_ok=True)
    self._write(stage, 'begun', before)
    return before, moved

  def _set_aside(self, stage: Stage, key: str) -> pathlib.Path | None:
    if stage.owns is None or not (self._workdir / stage.owns).exists():
      return None
    shelf = self._workdir / 'superseded'
    shelf.mkdir(exist_ok=True)
    number = 1
    while (place := shelf / f'{stage.file_name}-{key[:8]}-{number}').exists():
      number += 1
    (self._workdir / stage.owns).rename(place)
    return place

  def spend(self, stage: Stage, begun: Begun) -> None:
    """Notes the time spent on a stage that has not finished."""
    self._write(stage, 'begun', begun)

  def finish(self, stage: Stage, record: Record) -> None:
    """Notes that a stage has finished."""
    self._write(stage, 'json', record)

  def describe_outputs(self, stage: Stage) -> Files:
    """Returns size and SHA-256 of every output file of a stage.

    Raises:
      FileNotFoundError: If an output is missing, or a folder without a file.
    """
    files: Files = {}
    for output in stage.outputs:
      path = self._workdir / output
      found = sorted(p for p in [path, *path.rglob('*')] if p.is_file())
      if not found:
        raise FileNotFoundError(f'{stage.name}: made no {path}')
      for file in found:
        files[file.relative_to(self._workdir).as_posix()] = {
          'bytes': file.stat().st_size,
          'sha256': storage.sha256_file(file),
        }
    return files

  def stands(self, stage: Stage, key: str) -> Record | None:
    """Returns the record if the stage is finished and nothing has changed."""
    record = self.record(stage)
    if record is None or record.key != key:
      return None
    for name, expected in record.files.items():
      path = self._workdir / name
      if not path.is_file() or path.stat().st_size != expected['bytes']:
        return None
      if storage.sha256_file(path) != expected['sha256']:
        return None
    return record
