"""Texts for the voices: seeded sentences of everyday English that are rich in phones.

Sentence patterns with slots are filled from lists of common words; some slots take any word of the pronouncing
dictionary, so that all pairs of phones come up, with words preferred that hold rare phones (ZH, OY, UH, TH, CH).
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

_RARE = {"ZH": 4.0, "OY": 2.0, "UH": 2.0, "TH": 2.0, "CH": 1.5, "AW": 1.5, "JH": 1.5, "SH": 1.0, "Y": 1.0, "NG": 0.5}
_LOTS = 6  # words drawn for a dictionary slot, of which the one with the rarest phones is taken

# Words of a slot; an underscore stands for a space.
_WORDS = {
    "name": """Alice Beth Boyd Bruce Chip Doug Eve Fay Floyd George Heather Hugh Ian Jack Joyce June Keith Laura Martha
        Matthew Mona Olive Paul Phoebe Pippa Rachel Roy Ruth Sam Sean Sophie Theo Toby Troy Vera Victor Wanda Will Yuri
        Zoe""",
    "person": """mother father brother teacher doctor boy girl neighbor baker farmer cook judge pilot sailor poet
        shepherd butcher butler chief coach youth lawyer employer engineer nurse woman bishop voyager witch hero""",
    "people": """people children boys students workers neighbors visitors soldiers musicians teachers friends mothers
        brothers cousins tourists watchers voyagers""",
    "thing": """apple book bottle box boat bucket butterfly button camera candle chair church cloth coin cushion
        feather fish flag flower foil garage glove hammer hook horse house jewel jug kite ladder lamp leather letter
        map mirror mouth mushroom oyster pebble pencil picture pipe pillow puzzle ring rope shoe shovel spoon sugar
        sweater table thimble toothbrush toy treasure umbrella vase violin voice watch wheel whistle wolf yacht
        zipper wood foot book pudding bush cookie measure""",
    "things": """apples bees beans birds books boots bubbles cakes chips cherries cookies dishes feathers fireworks
        flowers gloves grapes leaves maps matches mushrooms oysters papers peaches pebbles pies potatoes puppies roses
        shells ships shoes stories sweets tools toys thumbs teeth vegetables videos voices waves wishes woods""",
    "place": """beach bridge castle cathedral cave city corner farm field forest garage garden harbor hotel house
        island kitchen lake library market mountain museum office park pharmacy playground river school shop south
        theater tower valley village wharf yard zoo north bathroom bushes brook""",
    "adj": """bad beautiful big blue bright broad brown calm cheap cheerful chewy clever cold cool curious dark deep
        dirty dry empty enormous faint famous fast fine foolish fresh full funny gentle good green happy heavy honest
        huge humble joyful large lazy loud lovely moist narrow new noisy old orange pale perfect pink plain poor
        precious pretty proud pure purple quiet rough royal sharp shiny short silver simple slow small smooth soft
        spoiled strange strong sweet tall thick thin thirsty tiny usual useful vague vast visible vivid warm wet white
        whole wild wise wooden woolen yellow young""",
    "adv": """again almost always badly beautifully boldly bravely carefully cheerfully closely early easily fairly
        finally gently gladly happily hardly loudly maybe never now often perhaps politely proudly quickly quietly
        rarely really roughly slowly smoothly softly soon suddenly thoroughly today together tomorrow truly usually
        very well smoothly""",
    "past": """admired asked_about avoided borrowed bought brought built carried caught chose cleaned counted dropped
        enjoyed examined explored finished forgot found gave_away gathered hid ignored imagined invited joined kept
        liked looked_for looked_after lost loved made measured missed moved noticed offered opened painted picked_up
        polished poured promised pushed put_down reached remembered sold shook showed stole studied threw_away took
        touched treasured understood used visited voiced washed watched wished_for wrapped""",
    "verb": """admire avoid bake borrow bring buy carry catch change choose clean count describe destroy draw drop
        enjoy examine explain find finish fix forget gather give hide imagine join keep leave like love make measure
        move notice offer open paint pick polish pour push pull put reach remember save sell show share take teach
        touch throw trust understand use visit watch wrap""",
    "going": """baking bringing building buying catching changing choosing counting describing drawing enjoying finding
        following giving hiding joining leaving looking_at making measuring moving offering opening painting pouring
        pulling pushing putting_away reading sharing showing singing teaching thinking_of throwing touching visiting
        watching wishing_for""",
    "food": """apple_pie bacon bread butter cabbage cheese cherry_jam chicken_soup chocolate coffee corn fish_and_chips
        fruit fudge ginger honey juice lamb lemonade milk mushroom_soup noodles orange_peel oysters pepper pizza
        porridge pudding rice sausage sour_cream soy_sauce strawberries sugar tea thick_broth toast vanilla yogurt""",
    "time": """yesterday this_morning last_night on_Thursday in_the_afternoon before_lunch after_supper in_the_meantime
        at_five_o'clock at_noon every_day once_a_month in_July on_my_birthday in_the_future all_through_March
        during_the_voyage at_half_past_three both_days""",
    "measure": """inches feet miles yards pounds ounces cups gallons minutes hours days months years pages steps
        bushels spoonfuls dollars""",
    "joiner": "and but so because while although before after until whenever as_if since",
    "shout": """oh wow hey well hmm yes no okay please stop look listen wait hello goodbye thanks ouch oops hooray
        never_mind of_course sure maybe why_not what_a_pity good_morning good_night oh_boy oh_my enough watch_out
        thank_you_very_much how_awful how_beautiful you_bet bravo not_now over_there me_too""",
    "color": "red blue beige green yellow purple brown black white orange turquoise rouge violet silver",
}
_PATTERNS = """
The {adj} {person} {past} the {thing} {time}.
The {adj} {thing} near the {place} is {adv} {adj}.
{name} and {name} {past} a {adj} {thing} in the {place}.
{name} {adv} {past} the {things} of the {person}.
I think that {name} would {verb} the {thing}, {joiner} the {person} {past} it.
We were {going} the {things} {joiner} the {people} were {going} the {adj} {things}.
My {person} {past} some {food}, some {food} and a little {food}.
Please {verb} the {thing} behind the {place}.
Could you {verb} the {adj} {thing} for {name}?
Why would the {person} {verb} my {things}?
Where did {name} {verb} the {color} {thing}?
Who {past} the {food} {time}?
What should the {people} {verb} in the {place}?
Did you ever {verb} {number} {things} at once?
How many {things} can a {adj} {person} {verb}?
Is this your {thing}, or is it the {thing} of {name}?
Don't {verb} the {thing}!
Just {verb} it, {name}!
You should have {past} both {things} {time}.
There are {number} {adj} {things} in the {thing}.
It was {number} {measure} from the {place} to the {place}.
She paid {number} dollars and {number} cents for the {adj} {thing}.
In the year {year}, the {people} of the {place} {past} a {thing}.
His phone number is {digit}, {digit}, {digit}, {digit}, {digit}, {digit}, {digit}.
{shout}! The {thing} is {adj}.
{shout}, {shout}, I will {verb} it {time}.
{shout}? {shout}!
{shout}.
{shout}, {name}.
Hey {name}, who's {going} the {things}?
{name} said, the {thing} is {adj}, but the {thing} is {adj}.
If you {verb} the {thing}, the {person} will {verb} the {food}.
When the {person} came home, the {things} were {adj} and the {thing} was gone.
Both of the {people} {adv} {past} the {adj} {food}.
{number}, {number}, {number} and {number}.
One, two, three, four, five, six, seven, eight, nine, ten.
A {adj} {thing} and a {adj} {thing} make a {adj} {thing}.
The {place} has a {color} {thing}, a {color} {thing} and a {color} {thing}.
We put the {thing} beside the {thing}, above the {thing} and below the {thing}.
{name} wore a {color} {thing} with {adj} {things}.
Nobody {past} the {thing} except {name}.
Every {adj} {person} in the {place} likes {food}.
After all, it's only a {adj} {thing}.
The more you {verb}, the more you {verb}.
They're {going} again, aren't they?
You would {verb} it, wouldn't you?
I wonder whether {name} {past} the {things} or the {things}.
Bring {number} {things}, {number} {things}, and whatever you can {verb}.
Let's {verb} a {adj} {thing} from the {place}.
Thanks for {going} my {adj} {thing}.
I'd rather {verb} {food} than {verb} {food}.
Have you seen the {adj} {person} who {past} the {thing}?
It seems that the {person} has been {going} {things} for {number} {measure}.
Beyond the {place}, through the {place} and over the {place}, they {past} a {adj} {place}.
As usual, {name} {past} the {thing} without a {thing}.
To be honest, I {adv} {past} it.
On the other hand, the {people} could {verb} the {thing}.
My favorite {thing} is {adj}, {adj} and {adj}.
Put the {food} on the {thing} and push it toward the {person}.
This is the {person} who should {verb} the {thing}.
The {people} made a {adj} noise and joined the {adj} {people}.
Their decision caused some confusion about the usual {thing}.
With pleasure, the {person} measured the {thing} and the treasure.
Boys and girls enjoy {going} {adj} {things} with their {person}.
The {person} pointed at the {adj} oil on the {thing} and raised his voice.
The {person} could have pushed the wood, but she took a good look at the {thing}.
Both brothers thought that the path through the {place} was worth the {thing}.
Which {person} chose to watch the {adj} match at the church?
Change the {things} in the orange garage, {name}.
How now, brown cow, shouted the {adj} {person} from the {place}.
Few of you knew the view from the {place} of {name}.
He is bringing and singing and {going} the whole morning long.
Five of the {people} have never given {name} a {adj} {thing}.
Peter and Bob mapped the {place} to help my {person} jump.
Maybe more people improve by {going} {things} than by {going} {things}.
Whoever moved the {thing} knew where we would be {time}.
The word is {any}.
{any} and {any} are two {adj} words.
Say {any} and {any}, then {any}.
We spoke about {any}, {any}, {any} and {any}.
Mister {any} {past} the {thing} of Missus {any}.
The {any} {thing} and the {any} {thing} belong to {name}.
Is it {any}, or is it {any}?
First came {any}, second came {any}, and last came {any}.
{name} read about {any} and {any} {time}.
Not {any}, {name}, but {any}!
Nothing rhymes with {any}, said the {person}.
From {any} to {any}, the {people} {past} the {things}.
Does anyone here know what {any} means?
{any}. {any}. {any}.
They {past} {any} in the {place} of {any}.
A book about {any} was on the {thing} near the {any}.
Write {any} after {any}, and {any} before {any}.
Later, Doctor {any} explained the {any} {joiner} the {people} {past} it.
"""


class Writer:
    """Writes texts: `write(rng)` gives one, always the same for the same generator state.

    `dictionary`: a pronouncing dictionary in CMU's format, for the slots that take any word.
    """

    def __init__(self, dictionary: Path) -> None:
        self._slots = {slot: [word.replace("_", " ") for word in words.split()] for slot, words in _WORDS.items()}
        self._patterns = _PATTERNS.strip().splitlines()
        self._any: list[tuple[str, float]] = []
        for line in dictionary.read_text(encoding="utf-8").splitlines():
            word, *phones = line.split()
            if word.isalpha() and 3 <= len(word) <= 11:
                self._any.append((word, sum(_RARE.get(phone, 0.0) for phone in set(phones)) / len(phones)))

    def write(self, rng: np.random.Generator) -> str:
        """One to five sentences, some 6 to 26 words: 3 to 12 s of speech."""
        least = int(rng.integers(6, 20))
        sentences: list[str] = []
        while sum(len(sentence.split()) for sentence in sentences) < least:
            pattern = self._patterns[rng.integers(len(self._patterns))]
            sentences.append(re.sub(r"\{(\w+)\}", lambda slot: self._fill(slot.group(1), rng), pattern))
        return " ".join(sentence[0].upper() + sentence[1:] for sentence in sentences)

    def _fill(self, slot: str, rng: np.random.Generator) -> str:
        if slot == "any":
            drawn = [self._any[i] for i in rng.integers(len(self._any), size=_LOTS)]
            # A third of the words is whatever comes first; the others favour rare phones.
            return drawn[0][0] if rng.random() < 0.35 else max(drawn, key=lambda word: word[1])[0]
        if slot == "number":
            return str(rng.integers(2, 10 ** rng.integers(1, 4) + 2))
        if slot == "year":
            return str(rng.integers(1500, 2040))
        if slot == "digit":
            return str(rng.integers(10))
        words = self._slots[slot]
        return words[rng.integers(len(words))]
