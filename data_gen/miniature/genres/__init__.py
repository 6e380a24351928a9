"""Genres: each module has a `BANKS` of its own frames and a `write(page)`."""

from collections.abc import Callable

from data_gen.miniature import phrases
from data_gen.miniature import reasons
from data_gen.miniature import scenes
from data_gen.miniature import voices
from data_gen.miniature.genres import blog
from data_gen.miniature.genres import email
from data_gen.miniature.genres import forum
from data_gen.miniature.genres import interview
from data_gen.miniature.genres import news
from data_gen.miniature.genres import paper
from data_gen.miniature.pages import Page
from data_gen.miniature.templates import Template

_MODULES = {
  'forum_thread': forum,
  'blog_post': blog,
  'email': email,
  'news_story': news,
  'research_paper': paper,
  'interview': interview,
}

GENRES = tuple(_MODULES)
WRITERS: dict[str, Callable[[Page], None]] = {
  name: module.write for name, module in _MODULES.items()
}


def _collect() -> dict[str, tuple[Template, ...]]:
  banks: dict[str, tuple[Template, ...]] = {}
  for source in (phrases, reasons, scenes, voices, *_MODULES.values()):
    for found in vars(source).values():
      if isinstance(found, tuple) and found and isinstance(found[0], Template):
        banks[found[0].id.split('/')[0]] = found
  return banks


BANKS = _collect()
