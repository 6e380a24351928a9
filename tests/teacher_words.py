"""The words of the stand-in teacher."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Topic:
  """Words that make sense together."""

  things: tuple[str, ...]
  people: tuple[str, ...]
  places: tuple[str, ...]
  does: tuple[str, ...]


TOPICS = (
  Topic(
    (
      *('the tomato beds', 'the rain barrel', 'the compost heap'),
      *('the seed catalogue', 'the greenhouse', 'the watering rota'),
      *('the old pear tree', 'the gate'),
    ),
    ('the warden', 'a new member', 'the treasurer', 'our oldest gardener'),
    ('the allotment', 'the plot by the railway', 'the community garden'),
    ('digs over', 'waters', 'inspects', 'complains about', 'repairs'),
  ),
  Topic(
    (
      *('the sourdough', 'the deck oven', 'the morning delivery'),
      *('the flour order', 'the rye starter', 'the price list'),
      *('the display case', 'the proofing cabinet'),
    ),
    ('the baker', 'the apprentice', 'a regular customer', 'the supplier'),
    ('the bakery', 'the corner shop', 'the Saturday market'),
    ('weighs', 'tastes', 'writes down', 'argues about', 'prepares'),
  ),
  Topic(
    (
      *('the night schedule', 'the ticket machine', 'the replacement bus'),
      *('the points failure', 'the timetable', 'the waiting room'),
      *('the lost property', 'the platform clock'),
    ),
    ('the dispatcher', 'the conductor', 'a commuter', 'the station manager'),
    ('the central station', 'the depot', 'the branch line'),
    ('announces', 'checks', 'explains', 'apologises for', 'plans'),
  ),
  Topic(
    (
      *('the boiler', 'the insulation', 'the damp wall', 'the roof tiles'),
      *('the survey', 'the estimate', 'the scaffolding', 'the stairwell'),
    ),
    ('the landlord', 'the plumber', 'a tenant', 'the building inspector'),
    ('the old mill', 'the terrace', 'the second floor'),
    ('measures', 'photographs', 'patches', 'asks about', 'renews'),
  ),
  Topic(
    (
      *('the reading group', 'the returned books', 'the local archive'),
      *('the children’s corner', 'the late fees', 'the quiet room'),
      *('the catalogue', 'the newspaper shelf'),
    ),
    ('the librarian', 'a volunteer', 'a student', 'the archivist'),
    ('the town library', 'the reading room', 'the mobile branch'),
    ('sorts', 'recommends', 'looks up', 'reorders', 'presents'),
  ),
  Topic(
    (
      *('the harbour fee', 'the spare sail', 'the weather report'),
      *('the mooring', 'the outboard motor', 'the log book'),
      *('the safety drill', 'the fog signal'),
    ),
    ('the skipper', 'the harbour master', 'a deckhand', 'the sailmaker'),
    ('the marina', 'the breakwater', 'the boat shed'),
    ('checks', 'mends', 'notes', 'worries about', 'practises'),
  ),
  Topic(
    (
      *('the choir rehearsal', 'the sheet music', 'the old piano'),
      *('the spring concert', 'the second altos', 'the seating plan'),
      *('the recording', 'the church hall'),
    ),
    ('the conductor', 'a soprano', 'the accompanist', 'the organiser'),
    ('the parish hall', 'the music school', 'the rehearsal room'),
    ('rehearses', 'tunes', 'arranges', 'laughs about', 'postpones'),
  ),
  Topic(
    (
      *('the trail map', 'the mountain hut', 'the rope bridge'),
      *('the first-aid kit', 'the snow line', 'the return route'),
      *('the packing list', 'the weather window'),
    ),
    ('the guide', 'a beginner', 'the hut keeper', 'the rescue team'),
    ('the valley', 'the ridge', 'the lower camp'),
    ('describes', 'marks', 'carries', 'doubts', 'tests'),
  ),
)
NAMES = (
  *('Amina', 'Bram', 'Chiara', 'Dolores', 'Edwin', 'Farida', 'Goran'),
  *('Hanne', 'Ivo', 'Jolanta', 'Kofi', 'Lucía', 'Mehmet', 'Nadia'),
  *('Oskar', 'Priya', 'Quentin', 'Rosa', 'Samir', 'Tove', 'Umberto'),
  *('Veronika', 'Wout', 'Ximena', 'Yusuf', 'Zofia'),
)
QUALITIES = (
  *('reliable', 'awkward', 'surprisingly cheap', 'older than it looks'),
  *('worth the trouble', 'half finished', 'easy to overlook', 'noisy'),
  *('better than last year', 'out of date', 'a little crooked', 'quite new'),
)
TIMES = (
  *('in early spring', 'on a wet Tuesday', 'before the holidays'),
  *('after the long winter', 'around noon', 'last autumn', 'these days'),
  *('at the end of the month', 'once the shop had closed', 'every weekend'),
)
MANNERS = (
  *('with great care', 'without much fuss', 'a second time', 'by hand'),
  *('against all advice', 'as if nothing had happened', 'step by step'),
  *('with a borrowed ladder', 'while the others waited', 'in good spirits'),
)
NUMBERS = ('two', 'three', 'four', 'five', 'seven', 'eleven', 'a dozen')
GENRES = (
  *('forum_thread', 'blog_post', 'email_thread', 'news_report'),
  *('research_paper', 'interview_transcript', 'support_ticket', 'fiction'),
  *('internal_memo', 'podcast_transcript', 'encyclopedia_entry', 'review'),
)
TITLES = (
  'What we learned about {thing}',
  'Notes from {place}',
  'A short history of {thing}',
  '{thing}, and why it matters to {place}',
  'Questions that people at {place} ask about {thing}',
)
FRAMES = (
  '{when}, {person} {does} {thing} {how}.',
  '{name} says that {thing} is {quality}, and few at {place} disagree.',
  'nobody at {place} had expected that {thing} would be {quality}.',
  'there are {number} reasons why {person} {does} {thing} {when}.',
  'if you ask {name}, {thing} depends on {other} more than one thinks.',
  'it took {number} attempts until {thing} was {quality}.',
  '{person} {does} {thing}, then {other}, and goes home {when}.',
  'what makes {thing} {quality} is not money but patience.',
  '"{thing} can wait," said {name}, "but {other} cannot."',
  'at {place}, people still talk about how {name} came {when}.',
  '{name} and {person} compared {thing} with {other} {how}.',
  'a visitor to {place} sees {thing} first and {other} last.',
  'some would call {thing} {quality}; {person} calls it a beginning.',
  'for {number} weeks {person} {does} nothing but {thing}.',
  'the trouble with {thing} is that {other} was {quality} from the start.',
  '{when}, {name} wrote {number} pages about {thing} at {place}.',
  'whoever {does} {thing} {when} should also think of {other}.',
  'between {thing} and {other} there is a difference that {name} explains.',
  'in the end {person} kept {thing} and gave {other} to {name}.',
  'it is {quality}, as {name} found out {when}, to leave {thing} alone.',
)
