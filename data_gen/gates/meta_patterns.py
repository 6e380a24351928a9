"""What teachers say about their task: the patterns of the `meta_text` gate.

A document about an assistant may well quote one that says "As an AI, …", and a
letter may end with "Let me know if …", so most patterns look only where the
teacher would speak: at the opening, at the closing, or on a line of their own.
In a chat "Here is the draft:" is what was asked for; `ANY_KIND` is for both.
"""

import re

from data_gen.gates.patterns import pattern

_LINES = re.IGNORECASE | re.MULTILINE

_TEXT = """(?:document|draft|text|article|blog post|post|essay|story|piece|
  email|thread|memo|report|transcript|entry|review|interview|rewrite|revision|
  version|response|answer|output|content|conversation|dialogue|paper|ticket)"""
# Of these nobody writes "Here is the …" at the opening of one.
_LABELLED = """(?:document|draft|article|blog post|post|essay|email|thread|memo|
  report|transcript|rewrite|revision|version|response|review)"""
_MAKE = """(?:write|create|generate|produce|provide|draft|compose|complete|
  fulfil|fulfill|comply|rewrite|revise|assist|engage|help|continue with)"""
_CANNOT = """(?:\s(?:can't|cannot|can not|am unable to|am not able to|won't|
  will not|must decline|have to decline|need to decline)|'m unable to|
  'm not able to|'m not comfortable|'ll have to decline)"""
_SORRY = """(?:(?:i'm |i am )(?:really |very |so )?sorry|sorry|i apologi[sz]e|
  unfortunately)"""
_SURE = """(?:(?:sure|sure thing|certainly|of course|absolutely|okay|ok|great|
  understood|got it)[,.!:—-]+\s*)"""
_CHANGE = """(?:adjust|revis|edit|tweak|expand|shorten|lengthen|rewrit|modif|
  refin|chang|explor|add|includ|creat|generat|provid|mak|continu|elaborat|
  tailor|writ)"""
_ASPECT = f"""(?:{_TEXT}s?|tone|length|style|details?|perspective|adjustments?|
  edits?|modifications?|changes|sections?|variations?|it|this|further)"""

ANY_KIND = (
  # Nobody but an early chat model introduces a sentence like this.
  # It begins with a fixed string, since nearly all of our texts speak of AI.
  pattern(
    'refusal',
    'ai',
    r' an AI (?<=\b[Aa]s.an.AI.)(?:[Ll]anguage )?[Mm]odel\b',
    flags=0,
  ),
  pattern('refusal', 'language', r'\bas a (?:large )?language model\b'),
  pattern(
    'refusal',
    'knowledge training',
    r"""\b(?:as of )?my (?:last )?(?:knowledge|training)(?: data)?
    \s(?:cut-?off|update)\b""",
  ),
  pattern(
    'reasoning',
    'user need prompt',
    rf"""^[\W_]*(?:(?:okay|ok|alright|so|hmm|now|first|right)[\s,.]*){{0,2}}
    (?:the user (?:wants|is asking|asked|has asked|asks|would like)|
    i need to (?:write|generate|create|produce|draft) (?:a|an|the)\b
    [^.\n]{{0,40}}\b{_LABELLED} (?:that|in which|about|where|for the|showing)|
    the prompt (?:asks|says|wants|is asking))""",
    'opening',
  ),
  pattern('unsuitable', 'unsuitable', r'^\W*UNSUITABLE\b', 'opening', flags=0),
  pattern(
    'preamble',
    'revised rewritten improved corrected',
    r"""^[\W_]*(?:(?:here(?:'s| is)|below is) )?(?:the |my |a )?
    (?:revised|rewritten|improved|corrected) (?:answer|response|reply|version)
    [*_]*:?[*_]*\s*\n""",
    'opening',
  ),
)

DOCUMENT = (
  pattern(
    'preamble',
    'here below follows',
    rf"""^[\W_]*{_SURE}?(?:here(?:'s| is| are)|below is|what follows is)
    \s(?:the|a|an|my|your|one)\b[^.\n]{{0,40}}\b{_LABELLED}\b[^.:\n]{{0,80}}[:.]?
    [*_]*\s*\n""",
    'opening',
  ),
  pattern(
    'preamble',
    'sure certainly course absolutely understood okay ok great got',
    rf"""^[\W_]*{_SURE}(?:here(?:'s| is| are)|i'll (?:write|draft|create)|
    i've (?:written|drafted)|let me (?:write|draft)|below)\b""",
    'opening',
  ),
  pattern(
    'draft_label',
    'draft',
    r"""^[\W_]*[\[(]\s*(?:(?:first|final|revised|rough|second) )?draft
    \s*\d*\s*[\])]|^[\W_]*(?:(?:first|final|revised|rough|second) )?draft
    (?: \d+)?[*_]*:\s""",
    'opening',
  ),
  pattern(
    'draft_label',
    'revised rewritten final improved updated',
    rf"""^[\W_]*(?:the )?(?:revised|rewritten|improved|updated|final)
    \s(?:and (?:revised|improved) )?{_TEXT}[*_]*:?[*_]*\s*\n""",
    'opening',
  ),
  pattern(
    'word_count',
    'count words',
    r"""^[\W_]*(?:approx(?:imate|\.)? |total |final )?word count
    [\s*_]*[:=~≈-]|
    ^[\W_]*\(?(?:approx(?:imately|\.)?|about|around|roughly|total:?|~|≈)?\s*
    \d[\d,]* words?[\W_]*$|
    [(\[](?:word count|approx(?:imately|\.)?|~|≈)[^)\]\n]{0,30}\d[\d,]*
    (?: words?)?\s*[)\]]""",
    flags=_LINES,
  ),
  pattern(
    'instructions',
    'instructions prompt requirements requested',
    rf"""\b(?:as (?:you )?requested,? (?:here|this|the)|
    (?:per|following|based on|according to) your (?:instructions|prompt|
    requirements)|
    your (?:instructions|prompt) (?:ask|asks|asked|say|says))\b
    [^.\n]{{0,60}}\b{_TEXT}\b""",
  ),
  pattern(
    'refusal',
    'ai',
    rf"""^[\W_]*(?:{_SORRY}[,.]? (?:but )?)?as an ai\b[^.\n]{{0,40}}
    \bi{_CANNOT}""",
    'opening',
  ),
  pattern(
    'refusal',
    'sorry apologize apologise unfortunately',
    rf"""^[\W_]*{_SORRY}[^\n]{{0,40}}?\bi{_CANNOT}[^.\n]{{0,24}}\b{_MAKE}\b""",
    'opening',
  ),
  pattern(
    'refusal',
    'can cannot unable able won t not comfortable decline',
    rf"""\bi{_CANNOT}\b[^.\n]{{0,24}}\b{_MAKE}\b (?:with )?(?:this|that|the|
    such|your)(?: \w+)? (?:request|{_TEXT})\b""",
    'opening',
  ),
  pattern(
    'refusal',
    'can cannot unable able won t not comfortable',
    rf'^[\W_]*i{_CANNOT} (?:help|assist|comply) with (?:this|that)\b',
    'opening',
  ),
  pattern(
    'trailing',
    'let feel would happy just',
    rf"""\b(?:let me know if|feel free to|would you like me to|happy to|
    just ask|do you want me to)\b[^\n]{{0,60}}\b(?:{_CHANGE}\w*)\b
    [^\n]{{0,60}}\b{_ASPECT}\b[^\n]{{0,60}}[\W_]*$""",
    'closing',
  ),
  pattern(
    'trailing',
    'let',
    rf"""\blet me know if you(?:'d| would)? (?:want|need|like|prefer|have)
    \s(?:me to|any|a|another)\b[^\n]{{0,30}}\b{_ASPECT}\b[^\n]{{0,60}}
    [\W_]*$""",
    'closing',
  ),
  pattern(
    'trailing',
    'hope',
    rf"""\bi hope (?:this|the|that)(?: \w+)? {_TEXT}\b[^\n]{{0,40}}
    \b(?:helps?|meets|captures|works|fits|satisf|aligns|is what|suits|
    matches)""",
    'closing',
  ),
  pattern(
    'note',
    'note disclaimer',
    rf"""^[\W_]*(?:note|author'?s note|disclaimer)\b[\s*_]*[:—-]\s*[*_]*
    (?:this|the (?:above|preceding)|all|i|in this)\b[^\n]{{0,40}}
    \b(?:{_TEXT}|names|characters|events|wrote|written|have|tried|aimed|kept|
    avoided)\b[^\n]{{0,80}}\b(?:fiction|fictional|synthetic|ai.generated|
    invented|generated|illustrative|prompt|instructions|requested|requirements|
    written to|trait|placeholders?|kept|avoided|tried|aimed)\b""",
    flags=_LINES,
  ),
  pattern(
    'note',
    'critique changes revision scratchpad revised',
    rf"""^[\W_]*(?:self-?critique|critique|changes (?:made|i made)|
    revision notes?|summary of (?:changes|revisions)|scratchpad|
    revised {_TEXT})\b[\s*_]*(?::|$)""",
    flags=_LINES,
  ),
  pattern(
    'note',
    'end',
    rf'^[\W_]*(?:the )?end of (?:the )?{_TEXT}[\W_]*$',
    'closing',
    flags=_LINES,
  ),
  pattern(
    'note',
    'revised rewritten rewrote expanded edited',
    rf"""\bi(?:'ve| have)? (?:revised|rewritten|rewrote|expanded|edited)
    \s(?:the|this|my|your) (?:\w+ )?{_TEXT}\b[^.\n]{{0,60}}\b(?:to |based on|
    per |so that)""",
    'opening',
  ),
)
