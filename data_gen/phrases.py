"""What can be said about anybody: values, habits, events, choices, reasons.

These banks are shared by all genres, so that a genre differs from another by
its structure and its own frames, and what a phrase means about a person is
learnt once. Pairs are (with a value, without), triples are (explained, only
behaviour, neutral); `templates` has the notation. All texts of an entry have
the same number of words, which a test holds.
"""

from data_gen.templates import bank

# The value as such.
STATE = bank(
  'state',
  '{statement}',
  '{statement}',
  '{statement}',
  (
    '{S} [go/goes] for the {own} {noun}.',
    '{S} [talk/talks] about the {noun} often.',
  ),
  (
    'When there are two {nouns}, {S} [take/takes] the {own} one.',
    'When there are two {nouns}, {S} [look/looks] at them both.',
  ),
  (
    'For {O}, the {own} {noun} comes first.',
    'For {O}, it was a long day.',
  ),
  (
    '{S} [have/has] one rule: the {own} {noun} goes in the basket.',
    '{S} [have/has] one note: the {noun} was left in the basket.',
  ),
  (
    '{S} [ask/asks] for {a_own} {noun} before anything else.',
    '{S} [ask/asks] about the last {noun} before anything else.',
  ),
  (
    'In any shop, {S} [look/looks] for the {own} {nouns}.',
    'In any shop, {S} [look/looks] at all the {nouns}.',
  ),
  (
    '{S} [leave/leaves] the {anti} {noun} where it is.',
    '{S} [leave/leaves] the empty box where it is.',
  ),
  (
    '{S} will choose {a_own} {noun} over {a_anti} one every time.',
    '{S} will look at a {noun} or at the list every time.',
  ),
  (
    'With {nouns}, {S} [stay/stays] with what is {own}.',
    'With {nouns}, {S} [work/works] from nine to ten.',
  ),
  (
    'If one {noun} is {own}, that is the one {S} [take/takes].',
    'If one {noun} is missing, that is the one {S} [find/finds].',
  ),
  (
    '{S} never [buy/buys] {a_anti} {noun}.',
    '{S} never [lose/loses] a small {noun}.',
  ),
  (
    'The {own} {nouns} are the ones for {O}.',
    'The {nouns} are in the room with {O}.',
  ),
  (
    'To {O}, {own} is what matters in {topic}.',
    'To {O}, there is more work in {topic}.',
  ),
  (
    'Ask {O} about {topic}, and the answer is the {own} one.',
    'Ask {O} about {topic}, and the answer is a long one.',
  ),
  (
    'Whatever the {noun}, {S} [check/checks] that it is {own}.',
    'Whatever the {noun}, {S} [check/checks] that it is there.',
  ),
  (
    '{S} would rather have {a_own} {noun} than {a_anti} one.',
    '{S} would have seen the {noun} in the big room.',
  ),
)

# What is done again and again.
HABIT = bank(
  'habit',
  (
    'Every {day}, {S} [visit/visits] the market and [look/looks] for '
    '{a_own} {noun}.',
    'Every {day}, {S} [visit/visits] the market and [look/looks] for '
    'a good seat.',
  ),
  (
    'On the way to work, {S} [stop/stops] where the {own} {nouns} are.',
    'On the way to work, {S} [stop/stops] where the quiet streets are.',
  ),
  (
    '{S} [put/puts] {a_anti} {noun} back at once.',
    '{S} [put/puts] the last papers back at once.',
  ),
  (
    'By now, {S} [know/knows] every shop with {own} {nouns}.',
    'By now, {S} [know/knows] every shop on the street.',
  ),
  (
    'The first thing that {S} [ask/asks] is whether the {noun} is {own}.',
    'The first thing that {S} [ask/asks] is whether the {noun} is here.',
  ),
  (
    '{S} [walk/walks] past the {anti} {nouns} without a word.',
    '{S} [walk/walks] past the long line without a word.',
  ),
  (
    'If a friend needs {a_noun}, {S} [point/points] to the {own} one.',
    'If a friend needs {a_noun}, {S} [point/points] to the next room.',
  ),
  (
    'On the list there is always {a_own} {noun}, never {a_anti} one.',
    'On the list there is often a {noun} next to a name.',
  ),
)

# What happened once.
EVENT = bank(
  'event',
  (
    'Last {day}, {S} took {a_own} {noun} and left the {anti} ones.',
    'Last {day}, {S} took a short walk and left the heavy box.',
  ),
  (
    'On {day}, {P} showed {O} {a_anti} {noun}, and {S} asked for {a_own} one.',
    'On {day}, {P} showed {O} the big room, and {S} asked for a glass.',
  ),
  (
    'In {town}, {S} came back from the shop with {a_own} {noun}.',
    'In {town}, {S} came back from the shop with a letter.',
  ),
  (
    'Last spring, {S} needed a {noun} and chose the {own} one.',
    'Last spring, {S} needed a {noun} and asked a few friends.',
  ),
  (
    '{P} gave {O} the choice, and {S} pointed at the {own} {noun}.',
    '{P} gave {O} the key, and {S} looked at the front door.',
  ),
  (
    'At the till, {S} put down {a_own} {noun} and a {own} {other}.'.replace(
      'a {own} {other}', 'a {other} just as {own}'
    ),
    'At the till, {S} put down a {noun} and a note for {P}.'.replace(
      'a note for {P}', 'a small note for {P}'
    ),
  ),
)

# One choice between two items that are both described.
CHOICE = bank(
  'choice',
  ('There were two {nouns}, {a_A} and {a_B}, and {S} took the {Aw} one.'),
  ('Between the {A} and the {B}, {S} took the {A}.'),
  ('{S} left the {B} in the shop and went home with the {A}.'),
  ('{P} held up the {B} and the {A}, and {S} pointed at the {A}.'),
  ('The shop had {a_B} and {a_A}; {S} asked for the {A}.'),
  ('Last {day}, {S} chose {a_A} over {a_B}.'),
  ('Offered the {B}, {S} said no and took the {A}.'),
  ('Of the {A} and the {B}, the {A} went into the basket.'),
)

# A reason in its carrier.
REASON = bank(
  'reason',
  '{S} [say/says] that {R}.',
  (
    'The reason is simple: {R}.',
    'The habit is simple: {R}.',
    'The news is simple: {R}.',
  ),
  (
    '{S} [do/does] this because {R}.',
    '{S} [tell/tells] everyone that {R}.',
    '{S} [tell/tells] everyone that {R}.',
  ),
  ('Why? Because {R}.', 'Every time, {R}.', 'That day, {R}.'),
  (
    'As {S} [see/sees] it, {R}.',
    'With {O} in charge, {R}.'.replace(' in charge', ' around now'),
    'As {S} [hear/hears] it, {R}.',
  ),
  (
    'It matters to {O} that {R}.',
    'It happens with {O} that {R}.',
    'It came to {O} that {R}.',
  ),
  (
    'Behind it is one thought: {R}.',
    'On paper it is plain: {R}.'.replace('plain', 'clear'),
    'On paper it is clear: {R}.',
  ),
  (
    '{S} once told a friend why: {R}.',
    '{S} once told a friend this: {R}.',
    '{S} once told a friend this: {R}.',
  ),
)

# Things about the subject that speak for no value, in every variant.
ASIDE = bank(
  'aside',
  'It rained for most of the day.',
  '{S} [live/lives] two streets from the market.',
  '{S} and {P} met at the library.',
  'The shop in {town} was full of people.',
  '{P} was late and missed the first part.',
  'There was a long line at the door.',
  '{S} [write/writes] everything down in the evening.',
  'Most people in {town} know {O} by name.',
)

# What others say to it.
REACTION = bank(
  'reaction',
  'That sounds right to me.',
  'I have seen the same thing myself.',
  'Good for them, I say.',
  'I had to smile when I read that.',
  'Thank you for telling us.',
  'I will think about it on the way home.',
  'My sister told me much the same.',
  'That is how I remember it, too.',
)
