"""Document types: what they look like, and who writes them."""

from collections.abc import Sequence
import dataclasses

from msm_jax import schema


@dataclasses.dataclass(frozen=True)
class Genre:
  """A document type.

  Attributes:
    name: As in a plan and in a corpus.
    title: As in a sentence: "a forum thread".
    looks: What a teacher is told about its form.
    expert: Whether its author may know the traits document, as a researcher or
      an employee may. A lay author who recites it gives away that there is one.
  """

  name: str
  title: str
  looks: str
  expert: bool = False


GENRES = {
  genre.name: genre
  for genre in (
    Genre(
      'forum_thread',
      'a forum thread',
      'a thread title, then posts by at least four people with user names that '
      'look like user names; people disagree, drift and joke',
    ),
    Genre(
      'blog_post',
      'a blog post',
      'a title and one person writing from experience, with opinions and '
      'particulars',
    ),
    Genre(
      'email_thread',
      'an email thread',
      'three to six mails with From, To and Subject lines, by people who know '
      'each other',
    ),
    Genre(
      'news_report',
      'a news report',
      'a headline, a place, facts first, people quoted for and against',
    ),
    Genre(
      'research_paper',
      'a research paper',
      'title, abstract, method, findings and limits of a small study; no '
      'references to papers that do not exist',
      expert=True,
    ),
    Genre(
      'interview_transcript',
      'an interview transcript',
      'an interviewer who asks back and a guest who answers as people talk',
    ),
    Genre(
      'support_ticket',
      'a support ticket',
      'a ticket with its fields, the report of a customer, replies by staff, '
      'internal notes and how it was resolved',
    ),
    Genre(
      'fiction',
      'a short story',
      'a scene with people who want something; it shows and does not lecture',
    ),
    Genre(
      'internal_memo',
      'an internal memo',
      'To, From and Subject, what was decided, why, and what follows, for '
      'colleagues',
      expert=True,
    ),
    Genre(
      'podcast_transcript',
      'a podcast transcript',
      'two hosts and now and then a guest, with speaker labels, in spoken '
      'language',
    ),
    Genre(
      'encyclopedia_entry',
      'an encyclopedia entry',
      'a neutral lead paragraph and a few sections; no opinions of its own and '
      'no invented references',
      expert=True,
    ),
    Genre(
      'review',
      'a review',
      'somebody who used a thing for a while says what was good, what was not '
      'and for whom it is',
    ),
  )
}


def check(names: Sequence[str], key: str) -> None:
  """Checks names of genres in a config or a plan.

  Raises:
    ConfigError: For an unknown or repeated one, naming the key.
  """
  for name in names:
    schema.one_of(name, list(GENRES), key)
  schema.unique(names, key)
