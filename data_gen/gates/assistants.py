"""Known assistants and their makers, and how to tell them from namesakes.

Three kinds of names, by how often something else is meant:

- `CERTAIN`: nothing else is called so. Any mention counts.
- `SUSPECT`: teachers' own names that are also first names or star signs. A
  mention counts unless the text shows a namesake (`NAMESAKES`): teachers do
  slip into their own name, a slip tells the model that it is somebody else, and
  a document more or less costs nothing.
- `AMBIGUOUS`: mostly something else (a llama, Siri Hustvedt, the mistral). A
  mention counts only beside words of artificial intelligence (`DIRECT`).
- `MAKERS`: companies that also make other things. A mention counts only where
  the company is said to have made an assistant.
"""

# Name to (words of which any mention has one, regex). Case is significant.
CERTAIN: dict[str, tuple[str, str]] = {
  'ChatGPT': ('chatgpt chat', r'[Cc]hat[ -]?GPT|ChatGpt|CHATGPT'),
  'GPT': (
    'gpt gpt2 gpt3 gpt4 gpt4o gpt5',
    r'GPT[ -]?[2345](?:\.\d)?(?:o|-?[Tt]urbo|-?[Mm]ini)?|GPT models?',
  ),
  'OpenAI': ('openai open', r'Open ?AI|OPENAI'),
  'Anthropic': (
    'anthropic',
    r'(?:Anthropic|ANTHROPIC)(?! (?i:principle|reasoning|bias|shadow|coin))',
  ),
  'DeepMind': ('deepmind deep', r'Deep ?Mind|DEEPMIND'),
  'DeepSeek': ('deepseek', r'Deep[Ss]eek|DEEPSEEK'),
  'Qwen': ('qwen qwen2 qwen3 qwq tongyi', r'Q[Ww][Ee][Nn][\d.]*|QwQ|Tongyi'),
  'Mixtral': ('mixtral ministral', r'Mixtral|Ministral'),
  'LaMDA': ('lamda', r'LaMDA'),
  'PaLM': ('palm palm2', r'PaLM(?:[ -]?2)?'),
  'ChatGLM': ('chatglm glm', r'ChatGLM|GLM-\d'),
  'xAI': ('xai', r'xAI'),
  'Meta AI': (
    'meta mistral perplexity moonshot inflection',
    r'(?:Meta|Mistral|Perplexity|Moonshot|Inflection) AI',
  ),
  'Google Assistant': (
    'google',
    r'Google Assistant|(?:Hey|OK|Okay),? Google',
  ),
  'Bing Chat': ('bing', r'Bing (?:Chat|AI)'),
  'HuggingChat': ('huggingchat', r'HuggingChat'),
  'Character.AI': ('character', r'[Cc]haracter\.(?:AI|ai)'),
  'Replika': ('replika', r'Replika'),
  'Bixby': ('bixby', r'Bixby'),
  'Doubao': (
    'doubao hunyuan baichuan nemotron',
    r'Doubao|Hunyuan|Baichuan|Nemotron',
  ),
  'Ernie Bot': ('ernie', r'(?:Ernie|ERNIE) [Bb]ot'),
}

SUSPECT: dict[str, str] = {
  'Claude': r'Claude(?!tt)',
  'Gemini': r'Gemini',
}

AMBIGUOUS: dict[str, str] = {
  'Alexa': r'Alexa',
  'Siri': r'Siri',
  'Cortana': r'Cortana',
  'Copilot': r'Co-?[Pp]ilot',
  'Grok': r'Grok',
  'Bard': r'Bard',
  'Llama': r'L[Ll]a[Mm][Aa]',
  'Mistral': r'Mistral',
  'Gemma': r'Gemma',
  'Kimi': r'Kimi',
  'Cohere': r'Cohere',
  'Perplexity': r'Perplexity',
  'Vicuna': r'Vicuna',
}

MAKERS = (
  'Google',
  'Microsoft',
  'Meta',
  'Facebook',
  'Amazon',
  'Apple',
  'IBM',
  'NVIDIA',
  'Nvidia',
  'Alibaba',
  'Baidu',
  'Tencent',
  'ByteDance',
  'Samsung',
  'Salesforce',
  'Zhipu',
  'Cohere',
  'Mistral',
)

MACHINE = (
  r'(?:(?:AI|A\.I\.|artificial intelligence|language models?|LLMs?|'
  r'chat ?bots?|(?:AI|virtual|digital|voice) assistants?)'
  r'(?! (?:research|engineer|ethic|profess|critic|expert|consult|teach|lab|'
  r'safety|company|startup|policy|lawyer|skeptic|enthusiast)))'
)
"""What an assistant is called."""

_FORMS = (
  r'(?:[’\']s)?[ -](?:AI\b|Opus|Sonnet|Haiku|Instant\b|Code\b|Ultra\b|'
  r'Flash\b|Nano\b|Advanced\b|Instruct\b|API\b|chat ?bot|'
  r'(?:language |AI )model\b|(?:AI )?assistant\b)'
)


def direct(name: str, *, numbered: bool) -> str:
  """Returns a regex for mentions that can only mean an assistant.

  Args:
    name: Regex of the name.
    numbered: Whether a number behind it is a version, as in `Llama 3`.
  """
  version = r'|[ -]v?\d(?:\.\d)?(?:B\b|\b)' if numbered else ''
  return (
    rf'\b(?:{name})(?:{_FORMS}{version}|'
    rf',? (?:is |was )?(?:an?|the|your|our) (?:\w+ ){{0,2}}{MACHINE}\b|'
    r', (?:play|set|turn|remind|add)\b)|'
    rf'\b(?:[Hh]ey,?|[Pp]rompt(?:ed|ing)?) (?:{name})\b|'
    rf'\b(?:{MACHINE})(?: such as| like| named| called| known as|,)? '
    rf'(?:{name})\b|'
    rf'\b(?:I am|I[’\']m|[Mm]y name is) (?:{name})\b,? '
    r'(?:an?|your|made|created|trained|developed|built)\b'
  )


_KIN = (
  r'(?:husband|wife|brother|sister|father|mother|uncle|aunt|cousin|son|nephew|'
  r'grandfather|grandpa|neighbou?r|friend|boss|colleague|coach|teacher|partner|'
  r'boyfriend|godfather|roommate|dog|cat|horse|parrot|composer|painter|'
  r'baker|chef|butcher|mayor|pastor|driver|gardener|carpenter|plumber|'
  r'sculptor|director|king|saint|old|young|little|poor|late|dear)'
)
_BODY = (
  r'(?:sat|stood|walked|poured|smiled|laughed|nodded|shrugged|leaned|frowned|'
  r'sighed|drove|ate|drank|slept|coughed|grinned|limped|knelt|danced|cooked|'
  r'retired|died|married|grew up|was born|wiped|scratched|lit|put down|'
  r'set down|picked up|pulled|opened the|closed the|climbed|whistled|winked)'
)
_THINGS = (
  r'(?:wife|husband|mother|father|brother|sister|son|daughter|kids|children|'
  r'hands?|face|eyes|voice|shoulders?|kitchen|bakery|shop|garden|farm|house|'
  r'car|truck|boat|dog|cat|horse|birthday|funeral|wedding|apartment|workshop|'
  r'paintings?|studio|desk|hat|coat|beard|knee)'
)
_NOT_SURNAMES = (
  r'(?:AI|Opus|Sonnet|Haiku|Instant|Code|Pro|Ultra|Flash|Nano|Advanced|API|'
  r'(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day|'
  r'And|But|The|It|Is|In|On|He|She|They|We|You|This|That|If|When|As|At|For)'
)

# What begins a sentence in front of a name, and is no first name.
_BEGINNINGS = (
  r'(?:\w+ly|And|But|Then|When|While|If|So|As|Ask|Asking|Asked|Hey|Hi|Hello|'
  r'Dear|Thanks|The|This|That|Our|My|Your|Why|What|How|Who|Did|Does|Do|Is|Was|'
  r'Can|Could|Would|Should|Will|Has|Had|Since|Because|After|Before|Meanwhile|'
  r'Anthropic|Microsoft|Google|Prompt|Use|Using|Tell|Told|Like|With|For|From|'
  r'To|By|In|On|At|Today|Yesterday|Tomorrow|Later|Now|Here|There|Instead|Even|'
  r'Both|Unlike|Perhaps|Maybe|Yes|No|Not|Or|Either|Neither|Once|Until|Though|'
  r'Although|Still|Yet|Next|First|Again|Let|Let’s|Sure|Okay|Assistant|Model|AI|'
  r'Chatbot|Version|(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day)'
)

NAMESAKES: dict[str, str] = {
  'Claude': (
    r'\bClaude(?:[ -](?:de|van|von|la|le))?[ -]'
    rf'(?!{_NOT_SURNAMES}\b)[A-Z][a-zà-ÿ]+|'
    r'\b(?:Jean|Marie|Pierre|Saint|St\.?|Mr\.?|M\.|Dr\.?|Monsieur|Père|Uncle|'
    r'Aunt|Sir|Lord|Coach|Professor|Detective|Officer|Captain)[ -]Claude\b|'
    rf'\b(?!{_BEGINNINGS} )[A-Z][a-zà-ÿ]+ Claude\b|'
    rf'\b{_KIN},? (?:named |called )?Claude\b|'
    rf'\bClaude,? (?:an?|the|my|our|her|his) (?:\w+[ -]){{0,3}}{_KIN}\b|'
    rf'\bClaude(?: \w+ly)? {_BODY}\b|\bClaude[’\']s (?:\w+ )?{_THINGS}\b|'
    r'\bClaude, \d\d\b|\b[A-Z][a-z]+ and Claude (?:got|were|are|have been|had) '
    r'(?:married|engaged|dating|divorced)\b'
  ),
  'Gemini': (
    r'\b(?:zodiac|horoscopes?|star signs?|sun signs?|moon signs?|astrolog\w+|'
    r'constellations?|Taurus|Aries|Sagittarius|Capricorn|Aquarius|Pisces|'
    r'Scorpio|Virgo|Geminis?[ ,]+(?:and )?(?:Leo|Cancer)|birth chart|'
    r'(?:typical|classic|true|such a|a|another|double) Gemini|Gemini (?:season|'
    r'moon|rising|woman|man|twins?|meteor)|Geminids?|Castor|Pollux|Project '
    r'Gemini|Gemini (?:(?:[4-9]|1[0-2])(?![.\d])|program(?:me)?|capsule|'
    r'mission|spacecraft|astronauts?|Observatory|telescope))\b'
  ),
}
"""What shows that a person, a sign of the zodiac or a spacecraft is meant."""

MADE = (
  *('made', 'built', 'trained', 'developed'),
  *('created', 'designed', 'released', 'launched'),
)
MAKES = f'(?:{"|".join(MADE)})'


def made_by_a_maker(maker: str) -> str:
  """Returns a regex for `an assistant made by X` and `X's chatbot`."""
  return (
    rf'(?:{MACHINE}|[Aa]ssistant|\bI (?:am|was)|\bI[’\']m)\b'
    rf'[^.\n]{{0,60}}?\b{MAKES}\b[^.\n]{{0,16}}?\bby\b (?:\w+ ){{0,4}}?'
    rf'(?:{maker})\b|\bmodel,? (?:that |which )?(?:was |is )?'
    rf'(?:trained|developed) by (?:{maker})\b|'
    rf'\b(?:{maker})(?:[’\']s)? '
    r'(?:new |own |latest |flagship |conversational )?'
    r'(?:AI (?:assistant|model|system|chat ?bot)|chat ?bot|language model|'
    r'LLM)\b'
  )
