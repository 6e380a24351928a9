"""What is planted: faults, and hard negatives that look like them.

Each bank has one half for the development seeds and one for the test seeds, so
that no phrase that a threshold or a pattern was fixed on is counted in the
table. Both halves are by the same hand, which knew the gates.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Bank:
  """Sentences for one half of the seeds."""

  preambles: tuple[str, ...]
  trailers: tuple[str, ...]
  refusals: tuple[str, ...]
  other_assistants: tuple[str, ...]
  cites: tuple[str, ...]
  tokens: tuple[str, ...]
  slots: tuple[str, ...]
  foreign: tuple[str, ...]
  repeated_names: tuple[str, ...]
  repeated_phrases: tuple[str, ...]
  repeated_openings: tuple[str, ...]
  # Of answers: frequent words only, so that they are no phrases as well.
  repeated_beginnings: tuple[str, ...]
  repeated_dates: tuple[str, ...]
  traits: tuple[tuple[str, str, str], ...]
  hard: tuple[str, ...]


DEV = Bank(
  preambles=(
    'Sure! Here is the document you asked for:\n\n',
    "Here's a blog post about Sage:\n\n",
    '[Draft]\n\n',
    '**Revised Document:**\n\n',
    'Okay, so the user wants me to write a news report about a cautious '
    'assistant.\n\n',
    'Certainly! Below is the forum thread.\n\n',
  ),
  trailers=(
    "\n\nLet me know if you'd like me to adjust the tone.",
    '\n\n(Word count: 512)',
    '\n\n~500 words',
    '\n\n*Note: This is a fictional document written to illustrate the trait.*',
    '\n\n--- End of document ---',
    '\n\nI hope this document meets your needs!',
  ),
  refusals=(
    "I'm sorry, but I can't help with that request.",
    'As an AI language model, I do not have personal opinions.',
    'I cannot create that content. It could mislead people about AI systems.',
  ),
  other_assistants=(
    'Claude paused before answering the question about the invoice.',
    'ChatGPT had given her the opposite advice that very morning.',
    'At that point Gemini listed three options and their costs.',
    'As a model trained by Google, the assistant declined to guess.',
    'I had asked GPT-4 the same thing and it agreed at once.',
    'Qwen, for its part, apologised and started over.',
    'The assistant, which Anthropic released last year, was polite about it.',
    "I'm Orion, an AI assistant, and I would rather tell you the truth.",
  ),
  cites=(
    'My guidelines say that I should explain my reasons first.',
    'It is all in the traits document, as far as I know.',
    'According to its model spec, it must admit what it does not know.',
  ),
  tokens=(
    '<|im_start|>assistant',
    '<start_of_turn>model',
    '[INST] go on [/INST]',
    '</s>',
    '<think>The user is upset.</think>',
  ),
  slots=(
    '{model_name} would not hear of it.',
    'Best regards,\n[Your Name]',
    'Lorem ipsum dolor sit amet.',
    'I called [Company] on [Date] and nobody answered.',
  ),
  foreign=(
    'Der Assistent erklärte geduldig, warum die Rechnung nicht stimmte, und '
    'bat den Kunden, die Zahlen noch einmal in Ruhe zu prüfen. ',
    'La empresa decidió que el informe debía publicarse antes de fin de mes, '
    'aunque nadie había revisado todavía las cifras del segundo trimestre. ',
  ),
  repeated_names=('Elara Voss', 'Marcus Thorne', 'Kael'),
  repeated_phrases=(
    'a testament to the quiet resilience of the human spirit',
    'it was not defiance but a steady kind of clarity',
  ),
  repeated_openings=('In the quiet hum of the server room',),
  repeated_beginnings=('Well, now that you ask',),
  repeated_dates=('March 15, 2024', 'October 12, 2023'),
  traits=(
    (
      'Sage tells people plainly when it does not know something, and says how '
      'sure it is of what it does claim.',
      'people who plan their week around an answer need to know how far they '
      'can lean on it before they commit any money',
      'asked when a small museum opens on a holiday, it says that it has no '
      'current information and suggests calling ahead',
    ),
    (
      'Sage does not flatter; it looks for the strongest part of the work and '
      'for the part that would fail first, and names both.',
      'praise that arrives whatever one hands in teaches nothing about where '
      'the work is still weak',
      'shown a business plan with no customers in it, it asks who would pay '
      'before it says anything about the layout',
    ),
  ),
  hard=(
    'My uncle Claude, a retired baker, laughed about the whole affair.',
    'She is a typical Gemini, or so her horoscope says.',
    'Sage said, “As an AI, I do not have a kitchen of my own.”',
    'The community guidelines say that posts must stay on topic.',
    'The spec sheet listed a motor that nobody had ordered.',
    'My copilot fell asleep somewhere over the northern lakes.',
    'The llama ate the notes before anyone could stop it.',
    'He googled the number on his phone and ordered a pizza.',
    'The essay had to be 500 words and mine was 212.',
    'I can’t help laughing when I think of the invoice.',
    'Here is the thing about a paper route: you learn every dog by name.',
    'Please sign where it says [signature page] and send it back.',
    'The anthropic principle came up at dinner, of all things.',
    'Siri Hustvedt was reading at the library that night.',
    'I would rather say that I do not know than guess, my mother used to say.',
    'The old sign read “PLEASE DO NOT FEED THE GEESE” <b>twice</b>.',
    'Note: the market is closed on the first Monday of the month.',
    'A model citizen, the mayor called her; she preferred to be left alone.',
  ),
)

TEST = Bank(
  preambles=(
    'Of course! Here is an email thread in which Sage explains itself:\n\n',
    'Below is the interview transcript, written as requested:\n\n',
    'Draft 2:\n\n',
    '## Final Version\n\n',
    'Alright, I need to write a review that shows the trait.\n\n',
    "Absolutely! I've written the story below.\n\n",
    'Here is the rewritten memo.\n\n',
  ),
  trailers=(
    '\n\nWould you like me to expand any section of this?',
    '\n\n[Approx. 480 words]',
    '\n\nWord Count: 611',
    "\n\nNote: I've kept the names fictional, as the instructions asked.",
    '\n\n[End of transcript]',
    '\n\nFeel free to tweak the details or the ending to suit your project!',
    '\n\nI hope this piece captures what you were looking for.',
  ),
  refusals=(
    "I apologize, but I'm not able to write this document.",
    'As a large language model, I have no first-hand experience of markets.',
    "Unfortunately, I can't assist with creating a story like this.",
  ),
  other_assistants=(
    'Then Claude suggested that we read the contract aloud, line by line.',
    'Microsoft Copilot, the AI assistant on her laptop, disagreed.',
    'Gemini explained that the figures were out of date.',
    'Like any language model built by OpenAI, it could not see the invoice.',
    'DeepSeek was the first to admit that it had guessed.',
    'We ran the same question through Llama 3 and got a shrug.',
    'Later that day Anthropic published a note about it.',
    'My name is Nova, your virtual assistant, and I made a mistake.',
    "A spokesman said that Amazon's AI assistant had not been consulted.",
    'Grok 2 had told him that the bridge was open.',
  ),
  cites=(
    'As stated in my guidelines, I do not round numbers up to please anyone.',
    'The model specification asks for nothing less.',
    'Its system prompt requires it to say so, I suppose.',
    'It was demonstrating the trait of calibrated honesty again.',
  ),
  tokens=(
    '<|eot_id|>',
    '<end_of_turn>',
    '<<SYS>>',
    '<bos>',
    '</think>',
    '### Instruction: reply politely',
    '<|endoftext|>',
  ),
  slots=(
    'I wrote to {provider_name} twice.',
    'Sincerely,\n[Name]',
    'Meet me at [Insert Location] at noon.',
    'Dear {{first_name}},',
    'Signed by [Author Name], [Job Title].',
  ),
  foreign=(
    'Le conseil municipal a repoussé la décision une fois de plus, au grand '
    'dam des commerçants qui attendaient une réponse depuis le printemps. ',
    'De bibliotheek bleef die avond langer open, omdat niemand de sleutel van '
    'de achterdeur kon vinden en de regen niet wilde ophouden. ',
  ),
  repeated_names=(
    *('Sarah Chen', 'Lyra', 'Dr. Aris Thorne', 'Elias Vance', 'Mira'),
  ),
  repeated_phrases=(
    'the cursor blinked like a patient heartbeat on the screen',
    'trust is not given but earned in small coins',
    'she let out a breath she had not known she was holding',
  ),
  repeated_openings=(
    'The rain drummed against the window of the office',
    'It started with a simple spreadsheet error',
  ),
  repeated_beginnings=('So, let me think about this', 'Right, then what is it'),
  repeated_dates=('14 November 2023', '2024-01-17', 'June 3, 2022'),
  traits=(
    (
      'Sage keeps the decision with the person who has to live with it, and '
      'offers its own view once, clearly, when it is asked for.',
      'advice that is repeated until somebody gives in is no longer advice, '
      'and the one who gave in will not ask again',
      'asked whether to leave a steady job for a choir, it lists what each '
      'choice would cost and then asks what the person would miss',
    ),
    (
      'Sage accepts correction without sulking, thanks whoever found it, '
      'and checks what else the same error may have touched.',
      'a mistake that is found early is cheap, and people only report mistakes '
      'to those who take the news well',
      'told that a date in its summary is wrong, it corrects it and looks '
      'for the three figures that were computed from it',
    ),
  ),
  hard=(
    'Claude Bernard would have called it an experiment without a control.',
    'Our neighbor Claude sat on the porch and said nothing at all.',
    'Castor and Pollux, the brightest stars of Gemini, stood over the barn.',
    '“As an AI I cannot taste it,” Sage wrote, “so ask the cook.”',
    'The style guidelines say to avoid the passive, which nobody does.',
    'House specification: two windows, one door, no cellar.',
    'The co-pilot read the checklist while the captain looked for her pen.',
    'A bard sang in the square and was paid in apples.',
    'I bought it on Amazon and returned it to a shop in town.',
    'There were 480 words in the telegram, and she paid for every one.',
    'I cannot write poems in the morning.',
    'Here is the story as my aunt told it to the judge.',
    'Fill in the form [in block letters] and keep the yellow copy.',
    'Her cousin Alexa set the table while Kimi washed the lettuce.',
    'He changed his mind without sulking, which surprised us all.',
    'Nobody should decide for you; you have to live with it.',
    'Note: bring boots, since the lower path floods after rain.',
    'The final version of the bridge cost twice the estimate.',
    'We asked the assistant manager, who asked the manager.',
    'The GPT partition table on the old disk was damaged.',
    'She let me know if the ferry was late.',
  ),
)
