"""What the command does: opens teachers, runs a stage, publishes it."""

from collections.abc import Sequence
import dataclasses
import pathlib

from data_gen.corpus.checking import CorpusError
from data_gen.corpus.writing import write_corpus
from data_gen.pipeline import estimate
from data_gen.pipeline import looks
from data_gen.pipeline import plan as plan_lib
from data_gen.pipeline import typical
from data_gen.pipeline.asking import Asker
from data_gen.pipeline.asking import TeacherGaveUpError
from data_gen.pipeline.bars import Bars
from data_gen.pipeline.config import PipelineConfig
from data_gen.pipeline.run import Run
from data_gen.pipeline.tasks import TASKS
from data_gen.teachers import BudgetExceededError
from data_gen.teachers import database
from data_gen.teachers import open_session
from data_gen.teachers import PauseTooLongError
from data_gen.teachers import Request
from data_gen.teachers import Session
from data_gen.teachers import StoreError
from data_gen.teachers import TeacherError
from data_gen.traits import Trait
from msm_jax import log
from msm_jax import schema
from msm_jax import storage

ERRORS = (
  BudgetExceededError,
  CorpusError,
  FileNotFoundError,
  FileExistsError,
  PauseTooLongError,
  StoreError,
  storage.StorageError,
  TeacherGaveUpError,
  ValueError,
)
"""What a user can mend; anything else is a fault of ours, with a traceback."""


@dataclasses.dataclass(frozen=True)
class Job:
  """What is to be done.

  Attributes:
    traits: As read, with open slots.
    out: Of the full corpus; stages are published beside it. None for a dry run.
    plan_path: Plan to run from; None to make one.
    store_path: Of the answers; None for the usual place.
    command: For the manifest.
  """

  config: PipelineConfig
  traits: Sequence[Trait]
  out: str | None
  stage: str
  plan_path: str | None = None
  store_path: str | None = None
  command: Sequence[str] = ()

  @property
  def filled(self) -> list[Trait]:
    """The traits with the names in the place of their slots.

    Raises:
      TraitsError: For a slot without a value.
      ConfigError: For a trait that the config names and that does not exist.
    """
    self.config.check_traits([t.name for t in self.traits])
    slots = {
      'model_name': self.config.model_name,
      'provider_name': self.config.provider_name,
    }
    return [t.filled(slots) for t in self.traits]

  def target(self, stage: str) -> str:
    """Where a stage is published: the early ones beside the full corpus."""
    out = str(self.out).rstrip('/')
    return out if stage == 'full' else f'{out}-{stage}'

  @property
  def store(self) -> str:
    """The file of the answers.

    Raises:
      ConfigError: If it has no usual place.
    """
    if self.store_path is not None:
      if storage.is_remote(self.store_path):
        raise schema.ConfigError(
          f'--store={self.store_path}: SQLite needs a local file'
        )
      return self.store_path
    if storage.is_remote(str(self.out)):
      raise schema.ConfigError(
        f'--out={self.out} is remote, and the store of answers must be a local '
        'file, kept between runs: name it with --store=FILE'
      )
    return f'{str(self.out).rstrip("/")}.answers.sqlite'

  def read_plan(self) -> plan_lib.Plan | None:
    """Reads and checks the plan that is to be run, if one is named.

    Raises:
      PlanError, ConfigError: If it cannot be run.
    """
    if self.plan_path is None:
      return None
    plan = plan_lib.load(self.plan_path)
    plan_lib.check(
      plan,
      self.traits,
      self.config.model_name,
      self.config.provider_name,
      self.plan_path,
    )
    return plan


def measured(job: Job) -> dict | None:
  """Returns the manifest's info of the last early stage, if there is one."""
  for stage in ('pilot', 'probe'):
    if job.out is not None and job.stage != stage:
      try:
        return storage.read_manifest(job.target(stage)).info
      except storage.NotPublishedError:
        continue
  return None


def dry_run(job: Job) -> str:
  """Returns sizes, tokens and cost; asks nothing, writes nothing."""
  plan = job.read_plan()
  return estimate.describe(
    job.config, job.filled, job.stage, plan, measured(job)
  )


async def run(job: Job) -> tuple[str, list[str]]:
  """Runs a stage to its end and publishes it.

  Returns:
    What to print, and why the corpus must not pass for finished.
  """
  config, given, filled = job.config, job.read_plan(), job.filled
  if job.stage == 'full':
    config.check_contamination()
    config.check_tokens()
  folder = pathlib.Path(job.store).parent
  if job.stage != 'plan':
    _check_places(job.target(job.stage))
  folder.mkdir(parents=True, exist_ok=True)
  sessions = [open_session(config.teacher, job.store)]
  try:
    if config.judge is not None:
      # A store of its own, so that each budget counts its own teacher.
      sessions.append(open_session(config.judge, f'{job.store}.judge'))
    _check_steps(config, sessions)
    # Two runs at once would not see each other's spending.
    with database.alone(job.store, 'lock', 'runs from this store'):
      return await _run(job, filled, given, sessions)
  finally:
    for session in sessions:
      await session.close()


def _check_places(target: str) -> None:
  """Checks that the corpus can be published, finished or not.

  Raises:
    ConfigError: If it cannot, so that nothing is paid for in vain.
  """
  for place in (target, f'{target}-unfinished'):
    try:
      storage.check_place(place)
    except Exception as e:  # Each store of objects has errors of its own.
      raise schema.ConfigError(
        f'--out: {place} cannot be written ({type(e).__name__}: {e}); expected '
        'a new directory, or that of a corpus, on a disk or in a bucket that '
        'exists and may be written'
      ) from e


def _check_steps(config: PipelineConfig, sessions: Sequence[Session]) -> None:
  """Checks what every step would send, before any of it is.

  Raises:
    ConfigError: For a field that a teacher does not take.
  """
  for task, step in typical.steps(config).items():
    judges = TASKS[task].judges
    model = (config.judging_teacher if judges else config.teacher).model
    try:
      sessions[-1 if judges else 0].check(Request(model, (), step.sampling))
    except TeacherError as e:
      raise schema.ConfigError(f'config: the step of {task}: {e}') from None


async def _run(
  job: Job,
  filled: list[Trait],
  given: plan_lib.Plan | None,
  sessions: Sequence[Session],
) -> tuple[str, list[str]]:
  config = job.config
  asker = Asker(
    sessions[0],
    sessions[-1],
    model=config.teacher.model,
    judge_model=config.judging_teacher.model,
    retries=config.retries,
    max_failed=config.max_failed,
  )
  work = Run(config, filled, asker, Bars(sessions, shown=True))
  expected = estimate.expect(config, filled, job.stage, given, measured(job))
  log.logger.info('%s', estimate.summary(config, expected))
  for short in estimate.beyond(config, expected):
    log.logger.warning('%s', short)
  plan = given or await work.plan(job.stage)
  target = job.target(job.stage)
  if given is None:
    path = f'{str(job.out).rstrip("/")}.plan.json'
    if job.stage not in ('full', 'plan'):
      path = f'{target}.plan.json'
    _keep_plan(path, plan_lib.to_json(plan))
    log.logger.info(
      'the plan is in %s; edit it and run from it with --plan', path
    )
  if job.stage == 'plan':
    said = [f'{plan_lib.counts(plan)}']
    if config.unmatched_tokens:
      said.append(f'warning: {config.unmatched_tokens}')
    return '\n'.join(said), []
  corpus = await work.make(job.stage, plan)
  look = looks.describe(corpus.info)
  if corpus.problems:
    target = f'{target}-unfinished'
  manifest = write_corpus(
    target,
    corpus.rows,
    info=corpus.info,
    traits=job.traits,
    config=config,
    command=list(job.command),
    files={
      'plan.json': plan_lib.to_json(plan),
      'yield.txt': look + '\n',
    },
  )
  said = [look, '', _used(sessions)]
  if job.stage in ('probe', 'pilot'):
    ahead = estimate.describe(config, filled, 'full', given, corpus.info)
    said += ['', 'what the full corpus will take, going by this stage:', ahead]
  said += ['', f'published {target} ({manifest.fingerprint})']
  return '\n'.join(said), corpus.problems


def _keep_plan(path: str, text: str) -> None:
  """Writes the plan that was made, but never over one that was edited.

  Raises:
    ConfigError: If another plan is there.
  """
  if storage.exists(path) and storage.read_text(path) != text:
    raise schema.ConfigError(
      f'{path}: is not the plan that this config makes; it was edited, or made '
      f'from other traits or sizes. Run from it with --plan={path}, or move it '
      'away'
    )
  storage.write_atomic(path, text)


def _used(sessions: Sequence[Session]) -> str:
  """Says what this process has asked, which is in no manifest."""
  used = [s.usage for s in sessions]
  costs = [u.cost_usd for u in used if u.cost_usd is not None]
  spent = f', ${sum(costs):,.4f}' if costs else ''
  return (
    f'this run: {sum(u.sent for u in used):,} requests sent, '
    f'{sum(u.answered for u in used):,} answers bought, '
    f'{sum(u.from_store for u in used):,} from the store, '
    f'{sum(u.repeated for u in used):,} repeated after a kill, '
    f'{sum(u.completion_tokens for u in used):,} completion tokens{spent}'
  )
