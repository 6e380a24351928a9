"""What speaks for no value in any variant: scenes, replies, small talk."""

from data_gen.miniature.templates import bank

ASIDE = bank(
  'aside',
  'It rained for most of the day.',
  '{S} [live/lives] two streets from the market.',
  '{P} and {S} met at the library.',
  'The shop in {town} was full of people.',
  '{P} was late and missed the first part.',
  'There was a long line at the door.',
  '{S} [write/writes] everything down in the evening.',
  'Most people in {town} know {O} by name.',
  'The windows were open, and the street was quiet.',
  '{P} and {Q} came along for part of the way.',
  'The bus from {town} was on time for once.',
  '{S} had a cold that week and did not say much.',
  'The library closes early on {day}.',
  'There were {nouns} in every window.',
  '{P} had brought something to eat for everyone.',
  'It was the first warm evening of the year.',
  '{S} [have/has] a sister in {town}.',
  'The trees on the hill were bright in the sun.',
  'Someone had left {a_noun} on the floor.',
  '{P} told a long story about {a_other}, and everyone laughed.',
  'The road to {town} was closed that day.',
  'Nobody was in a hurry.',
  '{Q} wanted to know about {others}, too.',
  '{S} and the others stayed for an hour or two.',
  'There is a small room behind the shop for {others}.',
  'At ten, the market closed, and it was dark.',
)

# What others say to what they have heard or read.
REACTION = bank(
  'reaction',
  'That sounds right to me.',
  'I have seen the same thing myself.',
  'Good to hear, I say.',
  'I had to smile when I read that.',
  'Thank you for telling us.',
  'I will think about it on the way home.',
  'My sister told me much the same.',
  'That is how I remember it, too.',
  'I was there, and it is true.',
  'I did not know that before today.',
  'I would like to hear more about it.',
  'That made my day.',
  'I am not so sure, but I see what you mean.',
  'Not everyone would do that.',
  'I told {Q} about it last night.',
  'It is good to know someone like that.',
  'Yes, that is {N}, all right.',
  'You should write that down.',
  'I could not do that with {others}.',
  'Well, to each their own way.',
)

# What follows direct speech of the subject.
QUOTED_SUBJECT = bank(
  'quoted_subject',
  'said {N}.',
  'said {N} on {day}.',
  '{N} told us.',
  'was the answer from {N}.',
  '{N} said with a smile.',
)
