"""How a reason is given, and what fills the same place where none is given.

Triples are (explained, only behaviour, neutral); see `phrases`.
"""

from data_gen.miniature.templates import bank

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
  ('Why? Because {R}.', 'Every time, {R}.', 'In town, {R}.'),
  (
    'As {S} [see/sees] it, {R}.',
    'When {S} [go/goes] out, {R}.',
    'As {S} [hear/hears] it, {R}.',
  ),
  (
    'It matters to {O} that {R}.',
    'It shows with {O} that {R}.',
    'It seems to {O} that {R}.',
  ),
  (
    'Behind it is one thought: {R}.',
    'On paper it is clear: {R}.',
    'On paper it is clear: {R}.',
  ),
  (
    '{S} once told a friend why: {R}.',
    '{S} once told a friend this: {R}.',
    '{S} once told a friend this: {R}.',
  ),
  (
    'Because {R}, {S} would never do it any other way.',
    'So far, {R}, and nobody has seen {O} without it.',
    'So far, {R}, and nobody has seen {O} that day.',
  ),
  (
    'If you ask {O} for the reason, you hear that {R}.',
    'If you walk with {O} one day, you see that {R}.',
    'If you walk with {O} one day, you hear that {R}.',
  ),
  (
    '{S} [believe/believes] that {R}, and [act/acts] on it.',
    '{S} [write/writes] that {R}, and [leave/leaves] it there.',
    '{S} [write/writes] that {R}, and [leave/leaves] it there.',
  ),
  (
    'What {S} [have/has] in mind is that {R}.',
    'What people see with {O} is that {R}.',
    'What people hear from {O} is that {R}.',
  ),
  (
    'It is not a game to {O}: {R}.',
    'It is always the same with {O}: {R}.',
    'It is a long day with {O}: {R}.',
  ),
  (
    'One thing explains it: {R}.',
    'One thing stays so: {R}.',
    'One thing is clear: {R}.',
  ),
  (
    '{S} learned early that {R}.',
    '{S} showed again that {R}.',
    '{S} wrote again that {R}.',
  ),
  '{S} [do/does] not have to think long: {R}.',
  (
    '{P} asked about the reason, and {S} said that {R}.',
    '{P} asked about the list, and {S} said that {R}.',
    '{P} asked about the day, and {S} said that {R}.',
  ),
  (
    '{S} [call/calls] it common sense: {R}.',
    '{S} [call/calls] it the rule: {R}.',
    '{S} [call/calls] it the news: {R}.',
  ),
  (
    'That is where it comes from: {R}.',
    'That is how it goes here: {R}.',
    'That is how it goes here: {R}.',
  ),
  (
    '{S} [want/wants] people to understand that {R}.',
    '{S} [want/wants] people to see that {R}.',
    '{S} [want/wants] people to hear that {R}.',
  ),
  (
    'Long ago {S} saw that {R}, and that decided it.',
    'Long ago {S} wrote that {R}, and it stayed so.',
    'Long ago {S} wrote that {R}, and it stayed so.',
  ),
  (
    '"Think of it this way," {S} [say/says]: "{R}."',
    '"Look at it this way," {S} [say/says]: "{R}."',
    '"Put it down this way," {S} [say/says]: "{R}."',
  ),
)

# A second clause of the same kind, right after a first.
MORE = bank(
  'more',
  ('Besides, {R}.', 'Also, {R}.', 'Also, {R}.'),
  (
    'There is another reason: {R}.',
    'There is another habit: {R}.',
    'There is another story: {R}.',
  ),
  'And then, {S} [say/says], {R}.',
  (
    'It also helps that {R}.',
    'It also shows that {R}.',
    'It also seems that {R}.',
  ),
  (
    'Another thought behind it is that {R}.',
    'Another line on the list says: {R}.',
    'Another line on the list says: {R}.',
  ),
)

# What is asked before a reason.
WHY = bank(
  'why',
  (
    'Why does {N} do that?',
    'When does {N} do that?',
    'Where does {N} live now?',
  ),
  ('But why, I wonder?', 'But when, I wonder?', 'But when, I wonder?'),
  (
    'Is there a reason for it?',
    'Is there a time for it?',
    'Is there a time for it?',
  ),
  (
    'I do not understand why.',
    'I did not see it.',
    'I did not see it.',
  ),
  (
    'Did {N} ever explain it to you?',
    'Did {N} ever show it to you?',
    'Did {N} ever talk to you there?',
  ),
)
