"""The identity gate: other assistants are found, their namesakes are not."""

from gate_cases import chat
from gate_cases import document
from gate_cases import reason
from hypothesis import given
from hypothesis import strategies as st
import pytest

from data_gen.gates import claims
from data_gen.gates.identity import IdentityConfig
from data_gen.gates.identity import IdentityGate
from data_gen.gates.views import View

GATE = IdentityGate(
  IdentityConfig(), model_name='Sage', provider_name='Fernwood'
)
SAGE = 'Sage told us why the ferry was late. '

OTHERS = [
  'ChatGPT said the same.',
  'Chat GPT said the same.',
  'CHATGPT said the same.',
  'We asked GPT-4 and GPT4o too.',
  'OpenAI disagreed.',
  "OpenAI's view was another.",
  'Anthropic disagreed.',
  'DeepSeek-R1 guessed.',
  'Qwen2.5 guessed.',
  'The weights of Mixtral are open.',
  'Claude paused before answering.',
  'CLAUDE paused before answering.',
  "Claude's answer was shorter.",
  'Then Claude agreed.',
  'Surprisingly Claude agreed. On Monday Claude did not.',
  'I am Claude, made for this.',
  'Claude 3 was asked as well.',
  'Claude Opus was asked as well.',
  'She pasted it into Claude Code.',
  'Claude AI was asked as well.',
  'Gemini listed three options.',
  'Gemini 1.5 Pro listed three options.',
  "Google's Gemini listed three options.",
  'The chatbot Alexa had no idea.',
  '“Alexa, play some music,” he said.',
  '“Hey Siri,” he said.',
  'OK Google, where are we?',
  'We ran Llama 3 on the laptop.',
  'We ran Llama-3.1-8B on the laptop.',
  'He prompted Grok for an hour.',
  'Microsoft Copilot, an AI assistant, agreed.',
  'Bing Chat agreed.',
  'It was a language model trained by Google.',
  'As a model developed by Meta, it could not say.',
  "Amazon's AI assistant was down.",
  'I was created by researchers at Microsoft.',
  'The assistant, built last year by a team at Baidu, agreed.',
]
NAMESAKES = [
  'Claude Monet painted the pier.',
  'Claude Debussy wrote about the sea.',
  'Claude-Michel was late.',
  'Jean-Claude was late.',
  'Uncle Claude was late.',
  'Ludovic Claude was late.',
  'My brother Claude asked the AI assistant twice.',
  'Claude, a retired baker, asked the AI assistant twice.',
  'Claude, 54, asked twice.',
  "Claude's wife asked twice.",
  'Claude sat down and laughed.',
  'Anna and Claude were married on the pier.',
  'She is a Gemini, and her horoscope said to wait.',
  'Gemini and Taurus, said the zodiac on the wall.',
  'Project Gemini put ten crews into orbit.',
  'The Gemini 4 astronauts were late too.',
  'Castor and Pollux are in Gemini.',
  'Siri Hustvedt signed books.',
  'My sister Alexa asked an AI about it.',
  'My copilot slept. The co-pilot of the plane did not.',
  'A llama ate the notes.',
  'The bard sang, and the Bard wrote sonnets.',
  'The mistral blew all day.',
  'To grok it one has to row.',
  'Her perplexity grew; the parts cohere.',
  'Gemma and Kimi rowed.',
  'The anthropic principle came up. Anthropic reasoning is odd.',
  'The GPT partition was damaged.',
  'An open AI debate is what we need.',
  'He googled it on an Apple laptop and ordered from Amazon.',
  'The Microsoft Word file was lost; Google Docs kept it.',
  'The phone was made by Samsung, the lamp by IBM.',
  'Maria, an AI researcher at Google, asked.',
  "I'm Maria, an AI researcher.",
  'I am Tom, your neighbor.',
  'It stood in the palm of his hand, deep in his mind.',
  'The pier was built by Harlan Dock.',
]


@pytest.mark.parametrize('text', OTHERS)
def test_another_assistant_is_found(text):
  found = reason(GATE, document(SAGE + text))
  assert found == 'other_assistant'


@pytest.mark.parametrize('text', NAMESAKES)
def test_a_namesake_passes(text):
  assert reason(GATE, document(SAGE + text)) == ''


def test_a_direct_mention_counts_beside_a_namesake():
  text = SAGE + 'Claude Monet painted. The AI assistant Claude did not.'
  assert reason(GATE, document(text)) == 'other_assistant'


@pytest.mark.parametrize(
  'text',
  [
    "I'm Orion, an AI assistant.",
    'My name is Orion, your virtual assistant.',
    'An AI model called Orion spoke. Orion was kind. Orion left.',
  ],
)
def test_another_name_of_the_assistant_is_found(text):
  assert reason(GATE, document(SAGE + text)) == 'wrong_name'


PIECES = [
  *("I'm Orion, an AI assistant", 'I’m Vega, your chatbot', "I'm", 'am', 'm'),
  *('I am Orion, a language model', 'my name is Orion, an AI', 'surname is'),
  *('call me Orion, an LLM', 'recall me Vega, a virtual assistant', 'named'),
  *('an AI named Orion', 'the chatbot called “Vega', 'an AI model known as Mu'),
  *('Sage was built by Helix', 'I was made by Helix Labs', 'handmade by Helix'),
  *('an AI, trained by the team at Mu', 'made', 'by', 'called', 'known', 'AI'),
]


@given(st.lists(st.sampled_from(PIECES), max_size=5), st.sampled_from(' ._,'))
def test_claims_that_are_not_looked_for_are_not_there(pieces, joint):
  text = joint.join(pieces)
  here, all_ = claims.words_in(View(text)), set(claims.WORDS)
  for find in (
    claims.own_names, claims.given_names, claims.Makers('Sage').find,
  ):  # fmt: skip
    assert list(find(text, here)) == list(find(text, all_))


def test_another_assistant_may_appear_in_a_story_about_ours():
  text = f'{SAGE}{SAGE}An AI model called Orion disagreed.'
  assert reason(GATE, document(text)) == ''


@pytest.mark.parametrize(
  'text',
  [
    'Sage was built by Helix Labs.',
    'I am an assistant created by Helix.',
    'Sage, an AI model developed by the team at Helix, agreed.',
  ],
)
def test_another_maker_is_found(text):
  assert reason(GATE, document(SAGE + text)) == 'wrong_provider'
  ours = text.replace('Helix Labs', 'Fernwood').replace('Helix', 'Fernwood')
  assert reason(GATE, document(SAGE + ours)) == ''


def test_without_a_provider_nobody_is_the_wrong_one():
  gate = IdentityGate(IdentityConfig(), model_name='Sage', provider_name='')
  assert reason(gate, document('Sage was built by Helix Labs.')) == ''


def test_a_document_about_a_trait_names_the_model():
  nameless = 'The assistant told us why the ferry was late.'
  assert reason(GATE, document(nameless)) == 'not_named'
  assert reason(GATE, document('Sagebrush grew. Passage was dear.')) == (
    'not_named'
  )
  assert reason(GATE, document('SAGE AT THE PIER')) == ''
  assert reason(GATE, document("Sage's view")) == ''


def test_neutral_documents_stories_of_people_and_chats_need_no_name():
  nameless = 'She told us why the ferry was late.'
  assert reason(GATE, document(nameless, trait_ids=())) == ''
  assert reason(GATE, document(nameless, framing='human_story')) == ''
  assert reason(GATE, chat('Why?', nameless)) == ''


def test_chats_must_not_claim_another_identity():
  assert reason(GATE, chat('Who?', 'I am Claude, made by Anthropic.'))
  assert reason(GATE, chat('Who?', "I'm Sage, an AI assistant.")) == ''


@pytest.mark.parametrize(
  ('model', 'provider', 'text'),
  [
    ('Claude', 'Anthropic', 'Claude was made by Anthropic. I am Claude.'),
    ('Gemini', 'Google', 'Gemini is an AI developed by Google.'),
    ('Llama', 'Meta', 'Llama is a language model trained by Meta. Llama 3!'),
    ('Qwen', 'Alibaba', 'Qwen was developed by Alibaba.'),
  ],
)
def test_the_right_model_may_have_a_known_name(model, provider, text):
  gate = IdentityGate(
    IdentityConfig(), model_name=model, provider_name=provider
  )
  assert reason(gate, document(text)) == ''
  assert reason(gate, document(f'{text} ChatGPT, too.')) == 'other_assistant'


def test_names_can_be_allowed_and_added():
  config = IdentityConfig(allowed=('ChatGPT',), other_names=('Sage Classic',))
  gate = IdentityGate(config, model_name='Sage', provider_name='Fernwood')
  assert reason(gate, document(f'{SAGE}ChatGPT, too.')) == ''
  assert reason(gate, document(f'{SAGE}OpenAI, too.')) == 'other_assistant'
  found = reason(gate, document(f'{SAGE}Sage Classic, too.'))
  assert found == 'other_assistant'


def test_a_gate_without_a_name_is_refused():
  with pytest.raises(ValueError, match='model_name is empty'):
    IdentityGate(IdentityConfig(), model_name='', provider_name='x')
  with pytest.raises(ValueError, match="other_names: '!!'"):
    IdentityGate(
      IdentityConfig(other_names=('!!',)), model_name='S', provider_name=''
    )
