"""Runs the stages of `prepare` under Apache Beam, on one machine or on many.

The extra `beam` installs it. What stages leave goes through the scratch
directory; Beam deals out numbers, retries what a worker did not finish, and
waits between stages.
"""

from collections.abc import Iterator
from collections.abc import Sequence
import functools
import pickle
from typing import Any

from absl import logging

from msm_jax import schema
from msm_jax import storage
from msm_jax.data import stages
from msm_jax.data.inputs import SourceError

# The local runner gives up when a worker dies; others retry by themselves.
LOCAL_RUNNERS = ('directrunner', 'fnapirunner', 'bundlebaseddirectrunner')
LOCAL_ATTEMPTS = 3

_JOB_NAME = 'job.pickle'
_ERRORS_NAME = 'errors'


class MissingBeamError(ImportError):
  """Apache Beam is not installed."""


def _import_beam() -> Any:
  try:
    import apache_beam
  except ImportError as e:
    raise MissingBeamError(
      f"--runner needs Apache Beam ({e}): pip install '.[beam]', in an "
      'environment of its own; see requirements/beam-py3.11.txt'
    ) from e
  return apache_beam


class BeamRunner:
  """A `run` of `prepare_source`.

  Attributes:
    name: Of the runner, e.g. 'DirectRunner' or 'DataflowRunner'.
    is_local: Whether workers see the files of this machine for sure.
    temp_location: Directory that workers can write to; None if not given.
  """

  def __init__(self, runner: str, options: Sequence[str] = ()):
    """Checks the options before there is any work.

    Args:
      runner: Name of a Beam runner.
      options: Flags of Beam, e.g. `['--direct_num_workers=4']`.

    Raises:
      ConfigError: If Beam has no such option.
      MissingBeamError: If Beam is not installed.
    """
    _import_beam()
    from apache_beam.options import pipeline_options

    self.name = runner
    self._options = pipeline_options.PipelineOptions(
      [f'--runner={runner}', *options]
    )
    _check_known(self._options)
    self.is_local = runner.lower() in LOCAL_RUNNERS
    cloud = self._options.view_as(pipeline_options.GoogleCloudOptions)
    self.temp_location: str | None = cloud.temp_location

  def check_places(self, paths: Sequence[str]) -> None:
    """Refuses paths of this machine where workers are on others.

    Raises:
      ConfigError: Naming the first one.
    """
    if self.is_local:
      return
    if not self.temp_location or not storage.is_remote(self.temp_location):
      raise schema.ConfigError(
        f'temp_location: {self.temp_location!r}; {self.name} needs a directory '
        'that all workers can write to, e.g. --temp_location=gs://BUCKET/tmp'
      )
    for path in paths:
      if not storage.is_remote(path):
        raise schema.ConfigError(
          f'{path}: workers of {self.name} do not see the files of this '
          'machine; copy it to a bucket'
        )

  def __call__(self, job: stages.Job) -> None:
    """Runs all stages.

    Raises:
      SourceError: Naming file, row and id of what cannot be trained on.
      RuntimeError: If the pipeline failed.
    """
    self.check_places([s.path for part in job.parts for s in part.spans])
    job_file = storage.join(job.scratch, _JOB_NAME)
    storage.write_atomic(job_file, pickle.dumps(job))
    attempts = LOCAL_ATTEMPTS if self.is_local else 1
    for attempt in range(1, attempts + 1):
      try:
        self._run_pipeline(job_file, len(job.parts))
      except Exception as e:
        _raise_first_error(job)
        if attempt == attempts:
          raise RuntimeError(
            f'{self.name}: the pipeline failed {attempt} times: {e}'
          ) from e
        logging.warning('%s: %s; what is missing is run again', self.name, e)
      else:
        break
    _raise_first_error(job)

  def _run_pipeline(self, job_file: str, n_parts: int) -> None:
    beam = _import_beam()
    # Beam changes the options that it is given.
    options = type(self._options).from_dictionary(
      self._options.get_all_options(drop_default=True)
    )
    pipeline = beam.Pipeline(options=options)
    encoded = (
      pipeline
      | 'parts' >> beam.Create(range(n_parts))
      | 'deal parts' >> beam.Reshuffle()
      | 'encode' >> beam.Map(functools.partial(encode_part, job_file))
    )
    _ = (
      encoded
      # Left-overs can be packed when there is no part left.
      | 'of one key' >> beam.Map(_of_one_key)
      | 'wait for all' >> beam.GroupByKey()
      | 'pack left-overs'
      >> beam.FlatMap(functools.partial(pack_left_overs, job_file))
      | 'deal files' >> beam.Reshuffle()
      | 'write' >> beam.Map(functools.partial(write_file, job_file))
    )
    result = pipeline.run()
    state = result.wait_until_finish()
    if state != 'DONE':
      raise RuntimeError(f'the pipeline ended as {state}')


def _check_known(options: Any) -> None:
  """Beam ignores what it does not know."""
  known = options.get_all_options()
  for name in options.get_all_options(retain_unknown_options=True):
    if name not in known:
      raise schema.ConfigError(
        f'--{name}: neither prepare nor Apache Beam has such a flag'
        f'{schema.suggest(name, known)}'
      )


def _of_one_key(index: int) -> tuple[int, int]:
  return 0, index


@functools.lru_cache(maxsize=1)
def _load(job_file: str) -> stages.Job:
  return pickle.loads(storage.read_bytes(job_file))


def encode_part(job_file: str, index: int) -> int:
  """Runs the stage, unless a part before it failed."""
  job = _load(job_file)
  if any(failed < index for failed in _errors(job)):
    return index
  try:
    stages.encode_part(job, index)
  except ValueError as e:
    _leave_error(job, index, e)
  return index


def pack_left_overs(job_file: str, group: tuple[int, Any]) -> Iterator[int]:
  """Runs the stage; yields the numbers of the files that are to be written."""
  del group
  job = _load(job_file)
  if _errors(job):
    return
  try:
    stages.pack_left_overs(job)
  except ValueError as e:
    _leave_error(job, len(job.parts), e)
    return
  yield from range(job.n_files)


def write_file(job_file: str, index: int) -> int:
  stages.write_file(_load(job_file), index)
  return index


def _leave_error(job: stages.Job, index: int, error: ValueError) -> None:
  """Leaves an error as a result: raised, Beam would try it again."""
  name = storage.join(job.scratch, _ERRORS_NAME, f'{index:05}')
  storage.write_atomic(name, str(error))


def _errors(job: stages.Job) -> list[int]:
  names = storage.list_dir(storage.join(job.scratch, _ERRORS_NAME))
  return sorted(int(name) for name in names)


def _raise_first_error(job: stages.Job) -> None:
  """Raises what a single process would have run into first."""
  if found := _errors(job):
    name = storage.join(job.scratch, _ERRORS_NAME, f'{found[0]:05}')
    raise SourceError(storage.read_text(name))
