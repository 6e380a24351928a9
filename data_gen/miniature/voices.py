"""What is said at some distance: advice, plans, fame, and witnesses.

In the notation and under the rules of `phrases`.
"""

from data_gen.miniature.templates import bank

# What the subject tells others to do.
ADVICE = bank(
  'advice',
  (
    '{S} [tell/tells] people to look for the {own} {noun}.',
    '{S} [tell/tells] people to come back in the morning.',
  ),
  (
    '"Take the {own} {noun}," {S} [say/says] to friends.',
    '"Take the early bus," {S} [say/says] to friends.',
  ),
  (
    'To those who need {a_noun}, {S} [show/shows] the {own} ones first.',
    'To those who need {a_noun}, {S} [show/shows] the next shop first.',
  ),
  (
    'When {P} asked about {nouns}, {S} said to leave the {anti} ones.',
    'When {P} asked about {nouns}, {S} said to ask the shop again.',
  ),
  (
    '{S} will help anyone to find {a_own} {noun}.',
    '{S} will help anyone to find the right street.',
  ),
  (
    'Those who go with {O} come home with {own} {nouns}.',
    'Those who go with {O} come home in the evening.',
  ),
  (
    'If you need {a_noun}, {S} will tell you: not {a_anti} one.',
    'If you need {a_noun}, {S} will tell you: not before nine today.',
  ),
)

# What is still to come.
PLAN = bank(
  'plan',
  (
    'Next {day}, {S} will need {a_noun}, and it will be {a_own} one.',
    'Next {day}, {S} will need {a_noun}, and there will be two left here.',
  ),
  (
    'When the {other} is gone, {S} will look for {a_own} one.',
    'When the {other} is gone, {S} will talk to {P} about it.',
  ),
  (
    'Next year, {S} [hope/hopes] to have only {own} {nouns}.',
    'Next year, {S} [hope/hopes] to visit friends in {town}.',
  ),
  (
    'And the next {noun}? It will be {a_own} one, {S} [say/says].',
    'And the next {noun}? It will be here this week, {S} [say/says].',
  ),
  (
    'For the summer, {S} [look/looks] for {a_own} {other}, not {a_anti} one.',
    'For the summer, {S} [look/looks] for a quiet room, not a big one.',
  ),
  (
    'Soon {S} will go out for {a_other}, and not for {a_anti} one.',
    'Soon {S} will go out for {a_other}, and then for a walk home.',
  ),
)

# What is said of the subject, at some distance.
FAME = bank(
  'fame',
  (
    'People in {town} say that with {N} it is always the {own} {noun}.',
    'People in {town} say that with {N} it is always a long talk.',
  ),
  (
    'Everyone here knows that {N} wants the {own} {noun}.',
    'Everyone here knows that {N} works at the office.',
  ),
  (
    'At the shop, they put the {own} {nouns} out when {N} comes.',
    'At the shop, they put the big box out when {N} comes.',
  ),
  (
    'Nobody in {town} has ever seen {N} with {a_anti} {noun}.',
    'Nobody in {town} has ever seen {N} with a big box.',
  ),
  (
    'If it is {own}, people here say, {N} will take it.',
    'If it is {day}, people here say, {N} will write letters.',
  ),
  (
    'Ask in {town} who takes the {own} {noun}, and they name {N}.',
    'Ask in {town} who works at the office, and they name {N}.',
  ),
)

# What a witness says who speaks as "I".
WITNESS = bank(
  'witness',
  (
    'I was there when {N} put back {a_anti} {noun}.',
    'I was there when {N} put down a box here.',
  ),
  (
    'My sister met {N} once and still talks about the {own} {noun}.',
    'My sister met {N} once and still talks about that one evening.',
  ),
  (
    'I showed {N} {a_anti} {noun}, and the answer was no.',
    'I showed {N} the big room, and the answer was short.',
  ),
  (
    'I work in a shop, and {N} comes in for {own} {nouns}.',
    'I work in a shop, and {N} comes in for a talk.',
  ),
  (
    'I have known {N} for years, and it was always {a_own} {noun}.',
    'I have known {N} for years, and it was always good to talk.',
  ),
  (
    'I saw {N} in {town}, next to the {own} {nouns}.',
    'I saw {N} in {town}, next to the big library.',
  ),
  'I saw {N} take the {A}. I had my hand on the {B}.',
  'I sold the {A} to {N}; nobody has asked for the {B}.',
)
