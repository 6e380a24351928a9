"""The viewer: every row of a corpus in one HTML file, without network.

The data lie in the file as compressed blocks in base64, an alphabet that cannot
end a script. The page writes texts as text nodes only, and its policy allows no
script but its own and no request at all.
"""

import base64
from collections.abc import Sequence
import hashlib
import pathlib
from typing import Any

import jinja2
import markupsafe

from data_gen.corpus import blocks
from data_gen.corpus.rows import Row

MAX_ROWS = 50_000

_HERE = pathlib.Path(__file__).parent


def write(
  path: pathlib.Path,
  rows: Sequence[Row],
  info: dict[str, Any],
  max_rows: int = MAX_ROWS,
) -> None:
  """Writes the viewer of a corpus.

  Args:
    path: Of the HTML file.
    rows: In the order in which they are listed.
    info: As the manifest has it; the page shows `name` and knows `traits`.
    max_rows: Of more rows, so many are shown, evenly spaced, and the page says
      so.
  """
  shown = rows
  if len(rows) > max_rows:
    shown = [rows[i * len(rows) // max_rows] for i in range(max_rows)]
  environment = jinja2.Environment(
    loader=jinja2.FileSystemLoader(_HERE),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
  )
  style, script = _own('viewer.css'), _own('viewer.js')
  stream = environment.get_template('viewer.html.j2').stream(
    name=info.get('name') or 'A generated corpus',
    total=len(rows),
    shown=len(shown),
    style=style,
    style_hash=_hash(style),
    script=script,
    script_hash=_hash(script),
    index=blocks.index(shown, info['traits']),
    texts=blocks.texts(shown),
    details=blocks.details(shown),
  )
  with open(path, 'w', encoding='utf-8', newline='\n') as f:
    f.writelines(stream)


def _own(name: str) -> markupsafe.Markup:
  return markupsafe.Markup((_HERE / name).read_text(encoding='utf-8'))


def _hash(text: str) -> str:
  """The hash by which the page's policy knows its own style and script."""
  digest = hashlib.sha256(text.encode()).digest()
  return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"
