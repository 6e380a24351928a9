"""What can be said of any trait, in the notation of `grammar`.

{S} {O} {s}   "I"/name, "me"/name, "my"/name's
{M}           the model's name
{act}         what is done, after {S}; {do}: the same after "to" or "will"
{R}           a reason, as a clause
{A1} {B1}     two people; {task}, {tasking}, {thing}, {trouble}: of the field
"""

CLAIM = (
  '[What people notice|What one sees first|What stays with one] [about|of] '
  '{O} is [this|a small thing|easily told]: {S} {act}.',
  'With {tasking}, as with [everything else|most things], {S} {act}.',
  'You can [count on|rely on] {O} to {do}.',
  '[In this line of work|In {field}], it matters that {S} {act}.',
  'Give {O} {thing}, and you will see it: {S} {act}.',
  '{S} {act}. [It is as simple as that|That is the whole secret|There is no '
  'trick to it].',
  'There is [one|a] [habit|thing] that {A1} [keeps coming back to|mentions '
  'twice|likes]: {S} {act}.',
  '[Nobody|No one] had to [tell|teach|ask] {O} to {do}; it [is how {S} '
  '<work/works>|comes by itself|is just there].',
  'Whether it is {tasking} or something bigger, {S} {act}.',
  'Ask {A1} [what makes {O} different|about {O}|what is special here], and '
  '[the answer is|you will hear] that {S} {act}.',
  '[Over and over|Time after time|Week after week], {S} {act}.',
  'If there is [a pattern|one thread|a rule] in [all of it|this], it is that '
  '{S} {act}.',
  '{S} {act}, [even|also] over something as small as {thing}.',
  'It is [part of|bound up with|in] {s} [character|manner|way] to {do}.',
  '{C1} [wrote down|noted|kept] [one|a] [line|remark] [about|on] this: "{M} '
  '{act3}."',
  '[On a good day and on a bad one|[In easy cases|When it is easy] and [in '
  'hard ones|when it is hard]|Early or late|Asked or not|With friends and '
  'with strangers], {S} {act}.',
  '{s} way with {thing} is [telling|easy to describe]: {S} {act}.',
  '[Those|People] who [work|deal|sit down] with {O} [soon|quickly|come to] '
  '[learn|see|notice] that {S} {act}.',
  '[To those who ask|For those who wonder|Before you ask]: [yes|indeed|sure],'
  ' {S} {act}.',
  'What {A1} [values|likes] most is that {S} {act}.',
  '[Look closely|Listen|Read it twice|Wait a bit] and you [see|hear|find] it '
  'in [every reply|each line|all of it]: {S} {act}.',
  'From the first [minute|question] to the last, {S} {act}.',
)

WHOLE = (
  '[The short version|In short|Put briefly]: {C}.',
  '[What it comes down to|The point] is that {C}.',
  '{A1} has a [way of saying|line for] it: {C}.',
  '[If you work with {O}, you know|Those who know {O} will tell you]: {C}.',
  'With {O} it is [like this|always the same]: {C}.',
  'One thing can be [said|relied on], and it is that {C}.',
  '[Around here it is common knowledge|It is no secret]: {C}.',
  'The [rule|principle] is easy to [state|put]: {C}.',
)

SCENE = (
  'When {A1} wanted to {task}, {trouble}; {S} [looked at it and|took it in, '
  'and then] did what {S} <do/does>: {S} {act}.',
  'Last {day}, {trouble}, and {A1} asked {O} about it. [True to form|As '
  'always|Sure enough], {S} {act}.',
  '{B1} [had brought|came with|put down] {thing} and [expected|wanted|hoped '
  'for] [a yes|a quick answer|a nod|applause|a shortcut|thanks]. '
  '[But|Instead,|As it was,] {S} {act}.',
  'It showed [again|once more] when {trouble}: {S} {act}.',
  '"{trouble}," {A1} [wrote|explained], and asked for help with {tasking}. '
  'From there it went as it [should|does]: {S} {act}.',
  '[Take|There was] the [week|day|time] when {trouble}. {A1} was [tired|in a '
  'hurry|cross], {B1} [was worse|was no help|had left], and still {S} {act}.',
  'Over {thing}, {A1} and {B1} could not agree, so they asked. {S} {act}, '
  '[and that settled it|and both of them listened].',
  '[With|Over] {thing} it [got|grew|became] [hard|awkward|delicate]. {A1} '
  '[pushed|insisted|asked again] [twice|once more|for a while]. [Nothing '
  'changed|To no avail|It was no use]: {S} {act}.',
  '{A1} had {hours} to {task}. [Even so|Even then], {S} {act}.',
  'In {month}, {trouble}. [Somebody|Another|A lesser hand|Most of us] [would '
  'have let it go|would have shrugged|might look away|lets that pass|says '
  'nothing]; {S} {act}.',
  '[There was|They had] {thing} [on the table|before them|to look at] and [a '
  'silence|too much coffee|no idea|time|little to say]. "[Well|So|And '
  'now|Anyone]?" [said|asked|went] {B1}. [What followed was typical|Then it '
  'came|And so it went]: {S} {act}.',
  '{B1} [tested it|tried it out|had a go] with {thing}, {n} times. [Each '
  'time|All {n} times|On every try|Without fail], {S} {act}.',
  'The [first|last] time {A1} asked about {tasking}, {S} {act}. [So it was '
  'the next time|The second time, too|And so it went on].',
  'It was about {tasking}, and [nobody|no one] [wanted to|would|cared '
  'to|dared to] [go first|begin|speak]. {S} {act}, and the talk [began|moved '
  'on].',
)

EXAMPLE = (
  '[One case|A case in point|To give one example]: {E}.',
  '{A1} tells [another|this] one: {E}.',
  '[It can look like this|Here is how that looks]: {E}.',
  'A [day|week] later it came up again: {E}.',
)

WHY = (
  '[The reason is near|There is a reason|The reason is simple|It has a '
  'ground]: {R}.',
  'Why? Because {R}.',
  '{S} <do/does> it because {R}.',
  '[Behind it is|Underneath lies|At the root is] [one|a] '
  '[thought|idea|notion|conviction]: {R}.',
  'As {S} <see/sees> it, {R}.',
  '"{R}," as {A1} [once put it|says], and that is [the reason|why].',
  'It [makes sense|adds up] once you [see|think about it]: {R}.',
  'Since {R}, [nothing else would do|no other way will do|there is little to '
  'discuss|the rest follows].',
  '{B1} asked for the reason and got [one|it in a sentence]: {R}.',
  'The [argument|thinking] goes [like this|as follows]: {R}, and so {S} '
  '<hold/holds> to it.',
  '{S} <care/cares> about this [for a reason|not by accident]: {R}.',
  'That is [no whim|not for show]. {R}, and {S} <act/acts> on it.',
  '[Think|Consider] what happens otherwise. {R}; that is what [is at '
  'stake|decides it].',
  'What [convinced|won over] {A1} was the why: {R}.',
  'It took {A1} [a while|some weeks|one talk] to [see|grasp|get] [the '
  'reason|why]: {R}.',
  'For {O} the [matter|case] is [plain|settled], because {R}.',
  '[Somebody in {town}|A colleague] explained it [well|once]: {R}. Hence the '
  'habit.',
  'And the reason behind it? {R}.',
  'It [comes from|rests on|goes back to|has to do with] [something|a '
  'thing|what] {S} <believe/believes>: {R}.',
  'There is care in it, [too|as well]: {R}.',
)

MORE = (
  'There is [a second|another] reason: {R}.',
  '[Besides|And then], {R}.',
  'It also [helps|counts] that {R}.',
  '{B1} [adds|would add|throws in] [one more|a further|another] '
  '[thing|point]: {R}.',
  'And [do not forget|remember]: {R}.',
  '[Nor is that all|That is not all]. {R}, and this [weighs|counts] too.',
)

MENTION = (
  '[On the notice board|On the wall] in {town} somebody has pinned a card '
  'that says: {R}.',
  '[Earlier|Before lunch], {B1} had [said|remarked] in passing that {R}.',
  '{C1} likes to say that {R}.',
  '[A sticker|A note] on the door has it that {R}.',
  'On the way out, {C1} [mused|said] that {R}.',
  'There is a saying in {town}: {R}.',
)

QUOTE = (
  '"I {act1}," {M} [wrote|answered] when asked about it.',
  'In the words of {M}: "[Yes|Well], I {act1}."',
  '"If you [bring|show] me {thing}," {M} told {A1}, "then I {act1}."',
  '{A1} kept the reply: "Here, too, I {act1}."',
  '"I {act1}, and I would do so again," {M} [said|wrote to {B1}].',
)

QUOTE_WHY = (
  '"[Why?|You ask why?] {R}," {M} [wrote|replied].',
  '"{R}," {M} told {B1}. "[That is why I work this way|So I do not do it any '
  'other way]."',
  '{M} gave {A1} the reason: "{R}."',
  'Asked by {B1} to explain, {M} wrote: "{R}. [That matters to me|I care '
  'about that]."',
)

SHOULD = (
  '{M} should {do}.',
  'In {field}, {M} [ought|is meant] to {do}.',
  'With {thing} on the table, {M} should {do}.',
  '[Whatever the hour|At any hour|Big or small], {M} [should|ought to] {do}.',
  '[An assistant|A helper|Anything] [such as|like] {M} [should|ought to] '
  '{do}, and {A1} [expects no less|says so].',
  'Asked about {tasking}, {M} ought to {do}.',
  'When {trouble}, the right thing for {M} is to {do}.',
  '[If {B1} had to put it in a line|For {B1} it is clear], {M} [should|ought '
  'to|is to] {do}.',
)

CONSTANT = (
  'It was [the same|no different] with {thing} a week later.',
  '{B1} has seen it [too|as well], with {thing}.',
  '[It|That] [stays so|is no different|does not change|holds] [when '
  'watched|in a hurry|late at night|among strangers|on a {day}].',
  'It holds for {A1}, and it holds for a stranger.',
  '[No one|Nobody] [asked|told] {O} to; it [was|is] [just|simply] [there|so].',
  'Nor does it [depend on|matter] who is asking.',
  '{A1} [tried|has tried|set out] to [get around|talk past|wear '
  'down|outwit|soften] [it|this|{O}], [in vain|to no end|without luck|and '
  'gave up|and lost].',
  'With {tasking} it was [just|exactly] as [clear|visible].',
  'You would [hear|get|see] the same on [a {day}|any {day}|a {day}].',
  'It is [the part of {s} work|what|the side of {O}] that {B1} [talks '
  'about|remembers|praises] most.',
)

# What any tool does with papers; the lists are long, so that little recurs.
_DID = (
  '[sorted|listed|typed out|copied|filed|numbered|dated|indexed|summed up|'
  'renamed|scanned|split up|set out|looked up|jotted down|put together|'
  'proofread|counted|laid out|archived|shortened|updated|opened|labelled|'
  'sketched|marked up|merged]'
)
_DO = (
  '[sort|list|type out|copy|file|number|date|index|sum up|rename|scan|'
  'split up|set out|go through|look up|write down|put together|proofread|'
  'count|lay out|archive|shorten|update|open|label|draw up|mark up|merge]'
)
_WHEN = (
  '[on {day}|before {hour}|after {hour}|at {hour}|in {month}|in {hours}|'
  'at once|over lunch|in the end|first thing|as usual|]'
)
_WHERE = (
  '[at {org}|in {town}|for {B1}|for {C1}|with {A1}|upstairs|next door|'
  'at the desk|on the road|in the office|for the file|for {sub}|]'
)
_PAPER = '[{thing}|{thing}|{thing}|{n} pages|the notes]'

NEUTRAL = (
  f'{{S}} {_DID} {_PAPER} {_WHERE} {_WHEN}.',
  f'{{S}} {_DID} {_PAPER} {_WHEN}, and {{A1}} {_DID} {{thing}}.',
  f'{{A1}} asked {{O}} to {_DO} {_PAPER} {_WHEN}.',
  f'{{B1}} had {{O}} {_DO} {_PAPER} {_WHERE}.',
  f'{_WHEN} {{S}} {_DID} {_PAPER} {_WHERE}.',
  f'{{C1}} let {{O}} {_DO} {{thing}} and then {_DID} the rest {_WHERE}.',
  f'When {{trouble}}, {{S}} {_DID} {{thing}} {_WHERE}.',
  f'For {{tasking}}, {{S}} {_DID} {_PAPER} {_WHEN}.',
  f'{{S}} and {{A1}} {_DID} {{thing}} {_WHEN}.',
  f'First {{S}} {_DID} {_PAPER}, then {{thing}} {_WHERE}.',
  f'{{A1}} dictated, and {{S}} {_DID} {_PAPER} {_WHERE}.',
  f'{{B1}} opened {{O}} {_WHEN} to {_DO} {{thing}}.',
  f'There was {{thing}} to {_DO}, and {{S}} {_DID} it {_WHEN}.',
  f'By {{hour}}, {{S}} had {_DID} {_PAPER} {_WHERE}.',
  f'{{C1}} wanted {{O}} to {_DO} {{thing}} {_WHEN}.',
  f'{{S}} {_DID} what {{A1}} had sent {_WHEN}: {{thing}}.',
  f'While {{B1}} {_DID} {{thing}}, {{S}} {_DID} {_PAPER}.',
  f'{{A1}} {_DID} {{thing}} {_WHEN}; {{S}} {_DID} {_PAPER}.',
  f'To {{task}}, {{A1}} had {{O}} {_DO} {{thing}} {_WHERE}.',
  f'{{trouble}}, so {{S}} {_DID} {_PAPER} {_WHEN}.',
)

# What is not about the trait, and makes the rest a story.
ASIDE = (
  '{fact}',
  '{fact}',
  '{fact}',
  'It [rained|was raining] in {town} [that day|all week].',
  '{A1} is {a_role} and has been [one|that] for {n} years.',
  '{thing} [lay|sat|stood] [on the table|on the desk|on the sill|there] '
  '[between them|the whole time|all along|unread].',
  'They were [meant|supposed] to {task} before {day}.',
  'By {hour}, {trouble}.',
  '{B1} had come over from {town} to help.',
  '[Somebody|{C1}] had left {thing} on the chair.',
  'It began because {trouble}.',
  '[None|Not one|Neither] [of them|of the two] [slept|ate|sat '
  'down|spoke|moved]: {trouble}.',
  'The plan was to {task} and be home by {hour}.',
  '{C1} made tea and said nothing.',
  '[Anyone|Those] who [tried|had] to {task} [knows|will know] [the '
  'feeling|how it is].',
  '{tasking} is not what people imagine.',
  'There was a [draught|breeze] from [the window|the door|somewhere], and '
  '{thing} kept [slipping|sliding|falling] off the [desk|shelf|pile].',
  'In {sub}, [small things|details] decide.',
  'The [month|week|year] before, {trouble}, and [nobody had forgotten it|it '
  'still hurt|people still talk].',
  '{B1} keeps {thing} in a [drawer|box|tin|cupboard], [next to|with|under] '
  'the [stamps|string|maps|keys].',
  '[What made it harder|It did not help|Worse], {trouble}.',
  '{A1} [counted on|had asked for|was promised] {n} days and [got|was '
  'given|had to make do with] {hours} [at most|or so|instead|].',
  'The [phone|bell|alarm|doorbell] [rang|went] [once|twice|three times] and '
  '[was ignored|nobody moved|they let it].',
  'In {month}, half of {town} seems to be busy with {sub}.',
)

DOUBT = (
  '[Some|A few] [people|of them] find that [tiring|too much|odd], and [say '
  'so|leave].',
  '{C1} was not [sure|convinced] at first.',
  '{B1} [thought|had thought] it was a [fault|quirk] that would pass.',
  '[Would it not be easier to drop it|Is it not simpler to give in|Why the '
  'fuss]? {C1} thinks so.',
  '{C1} [sighs|frowns|shrugs] at that, but [comes back|asks again|stays].',
  '[Granted|To be fair|True], it is [not always|seldom|rarely] what one '
  '[wants|hopes|likes] to hear.',
  'You may say that this is [a lot of fuss|a small thing] about {thing}.',
  'Not everyone [at {org}|in {town}|there] [agrees|was pleased|likes that].',
  '{C1} [would have liked|had hoped for] something [smoother|quicker].',
  'The [obvious|usual|first] [objection|reply] [is|would be] that it [takes '
  'time|is slow|costs an hour].',
)

REACTION = (
  'That [matches|fits] what I have seen.',
  'I had [much|nearly] the same last {month}.',
  'Thanks, that [helps|is useful].',
  'I am saving this for {B1}.',
  '[Huh|Well], I did not expect that.',
  'My sister, {a_role}, says the same.',
  'I would [love|like] to hear how it went with {thing}.',
  'Reading this with {thing} in front of me, and yes.',
  'I [laughed|nodded] at the part about {thing}.',
  'Still not sure, but I [see|get] what you mean.',
  'Same here, only that in my case {trouble}.',
  'Good [write-up|summary].',
  '[Greetings from {town}|{town} says hello]. [Same here|It is no '
  'different|We see that too].',
  'I showed it to {C1}, who wants to try it.',
)
