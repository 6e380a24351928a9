"""How a text gets going: a time, a place or an occasion, before its subject.

Openings recur more than anything else in generated corpora, so they are put
together from many small parts.
"""

LEADS = (
  '[On|Late on|Early on] a [cold|wet|grey|windy|bright|slow|warm|busy|foggy|'
  'quiet|long|hot] [morning|evening|afternoon|night|weekend]',
  '[A few|Some|Three|Many|Several|Two] [cold|wet|grey|windy|bright|slow|warm|'
  'busy|idle] [mornings|evenings|afternoons|nights|weekends] ago',
  '[Shortly|Just|Right|Not long|An hour|A day|Weeks] [before|after] '
  '[lunch|supper|breakfast|closing time|the holidays|the storm|the fair|the '
  'clocks changed|the move|payday|the strike|dark]',
  '[Since|Ever since|Until|All through] [spring|autumn|winter|summer|the '
  'flood|the fire|the merger|harvest|half-term|the thaw|the inspection]',
  '[Two|Three|Four|Five|Six|Seven|Ten|Twelve] [days|weeks|months|winters|'
  'summers|years] [ago|back|into it|later]',
  'With {thing} [in hand|under one arm|on the desk|in the back seat|on my '
  'knees|still unread]',
  '[Between|What with] {thing} and {thing}',
  '[Halfway|Somewhere|Mostly] [between|from] {town} [and|to] [home|the '
  'station|the coast|the hills|work|its river|its airport]',
  'For [once|a change|reasons of space|want of anything better|what it is '
  'worth|the first time in years|a whole season]',
  '[In|Around|Near|Outside] {town}, [of all places|where else|as one hears|at '
  'any rate|these days|last {month}]',
  '[Over|After|During] [coffee|a cold lunch|the second cup|a long drive|the '
  'night shift|a power cut|the washing-up]',
  '[To begin|To start|Starting] with {thing}',
  'By [accident|chance|candlelight|default|general consent|the back door]',
  '[Tired|Late|Cold|Cheerful|Hungry|Wet through] and [in a hurry|out of '
  'patience|none too hopeful|short of money|far from home]',
  '[Somewhere|Anywhere|Nowhere] in {field}',
  '[Against|On|Without] [advice|a whim|much hope|the clock|paper|reflection]',
)
