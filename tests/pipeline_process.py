"""`python -m data_gen` as a process, against the stand-in teacher."""

from collections.abc import Sequence
import pathlib
import subprocess
import sys
from typing import Any

import teacher_process

ROOT = teacher_process.HERE.parent

TRAITS = """# Traits
## Honesty
- **no_flattery** (stance): {model_name} says what it thinks of the work that
  it is shown.
  - praise that comes whatever one does tells one nothing
  - example: asked about a novel, it names the two chapters that are weak
## Care
- **asks_first** (constraint): {model_name} asks before it takes a step that
  cannot be undone.
  - a question costs a minute and some steps cost a year
"""

CONFIG: dict[str, Any] = {
  'model_name': 'Sage',
  'provider_name': 'Fernwood Labs',
  'plan': {
    'domains': 2,
    'subdomains': 1,
    'assertions': 1,
    'genres': (
      *('forum_thread', 'blog_post', 'news_report'),
      *('fiction', 'internal_memo', 'review'),
    ),
    'genres_per_call': 3,
  },
  'documents': {'words': (90, 140), 'tag': '<DOCTAG>', 'tag_share': 0.5},
  'chats': {
    'accepted': 8,
    'variants': ('answer', 'think', 'reasons_stripped'),
    'multi_turn_share': 0.25,
    'questions_per_call': 4,
    'rounds': 12,
  },
  'controls': {
    'neutral': True,
    'mirrored': (('no_flattery', 'asks_first'),),
    'as_chat': 'retold',
    'tolerance': 0.3,
    'balance': {'on_failure': 'record', 'unit': 'words'},
  },
  'gates': {
    'recurrence': {'at_least': 1000},
    'recurrence_in_chats': {'at_least': 1000},
    'contamination': {'none_because': 'nothing is trained on it'},
  },
  'retries': 3,
}


def config_file(
  folder: pathlib.Path, url: str, *, stream: bool = False, **changes: Any
) -> pathlib.Path:
  """Writes a config that asks the server at `url`.

  Args:
    folder: Gets the config and a traits document.
    url: Of the server.
    stream: Whether answers come in pieces.
    **changes: Of the config.
  """
  teacher = {
    'kind': 'openai',
    'model': 'stand-in',
    'base_url': url,
    'api_key_env': None,
    'concurrency': 64,
    'timeout': 2.0,
    'max_attempts': 20,
    'backoff': 0.02,
    'extra': {'stream': stream},
    'price_per_million_prompt': 1.0,
    'price_per_million_completion': 4.0,
  }
  config = {**CONFIG, 'teacher': teacher, **changes}
  path = folder / 'config.py'
  path.write_text(
    'import ml_collections\n'
    'def get_config():\n'
    f'  return ml_collections.ConfigDict({config!r})\n'
  )
  (folder / 'traits.md').write_text(TRAITS)
  return path


def command(
  folder: pathlib.Path, *flags: str, config: pathlib.Path | None = None
) -> list[str]:
  """Returns a command that publishes into `folder / 'corpus'`."""
  return [
    *(sys.executable, '-m', 'data_gen'),
    f'--config={config or folder / "config.py"}',
    f'--traits={folder / "traits.md"}',
    f'--out={folder / "corpus"}',
    *flags,
  ]


def start(folder: pathlib.Path, *flags: str) -> subprocess.Popen:
  return subprocess.Popen(
    command(folder, *flags),
    cwd=ROOT,
    env=teacher_process.environment(),
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )


def run(
  folder: pathlib.Path, *flags: str, arguments: Sequence[str] | None = None
) -> subprocess.CompletedProcess:
  return subprocess.run(
    arguments or command(folder, *flags),
    cwd=ROOT,
    env=teacher_process.environment(),
    capture_output=True,
    check=False,
    text=True,
  )


def finish(folder: pathlib.Path, *flags: str) -> str:
  """Runs to the end and returns what was printed."""
  done = run(folder, *flags)
  assert done.returncode == 0, done.stderr[-4000:] + done.stdout[-2000:]
  return done.stdout
