"""Document types: each is a function from a page to a text."""

from collections.abc import Callable
import re

from data_gen.rng import Rng
from data_gen.teachers.offline.genres import books
from data_gen.teachers.offline.genres import letters
from data_gen.teachers.offline.genres import press
from data_gen.teachers.offline.genres import talk
from data_gen.teachers.offline.page import Page

Writer = Callable[[Page], str]

WRITERS: dict[str, Writer] = {
  'forum_thread': talk.forum,
  'blog_post': press.blog,
  'email_thread': letters.email,
  'news_report': press.news,
  'research_paper': books.paper,
  'interview_transcript': talk.interview,
  'support_ticket': letters.ticket,
  'fiction': books.fiction,
  'internal_memo': letters.memo,
  'podcast_transcript': talk.podcast,
  'encyclopedia_entry': books.entry,
  'review': press.review,
}
GENRES = tuple(WRITERS)


def find(genre: str) -> str:
  """Returns the known genre nearest to a name such as `'News report'`.

  One that is none of them is written as some other, always the same.
  """
  words = re.findall(r'[a-z]+', genre.lower())
  if '_'.join(words) in WRITERS:
    return '_'.join(words)
  for known in GENRES:
    if known.split('_')[0] in words:
      return known
  return Rng('offline', 'genre', genre.lower()).pick(GENRES)
