#!/usr/bin/env python3
"""Write the demo's text: short scenes drawn from a grammar with planted patterns.

Every document depends on (seed, index) alone, so a text can be made again, extended or split without changing
the documents it already has. Only the standard library is used.

    make_text.py --seed 7 --documents 4000 > text.jsonl     one {"text": ...} a line
    make_text.py --patterns patterns.json                   the list of planted patterns
    make_text.py --seed 7 --documents 4000 --count          how often each pattern occurs in that text
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
from collections.abc import Iterable, Iterator

# --- words ------------------------------------------------------------------------------------------------------

GIRLS = """Anna Mary Rose Clara Emma Lucy Nora Ellen Grace Helen Julia Martha Ruth Alice Sarah Daisy Ivy Olga
Paula Greta Stella Wanda""".split()
BOYS = """Tom Jack Ben Peter Oscar Henry Arthur David Frank George Hugo Ivan Leo Martin Noah Oliver Paul Simon
Victor Walter Max Felix""".split()
TITLES = {"girl": ["Mrs", "Dr", "Miss"], "boy": ["Mr", "Dr", "Mr"]}
TOWNS = """Oakford Millbrook Ashby Dunmore Redhill Stonebridge Larkton Wexley Harrow Norwich Bristol London Paris
Dublin Vienna Lisbon Boston Chester Falmouth Greenfield Kingsport Winterton""".split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = """January February March April May June July August September October November December""".split()
COLOURS = "red blue green white black yellow brown grey purple orange pink golden silver".split()
NUMBERS = """two three four five six seven eight nine ten eleven twelve fifteen twenty thirty forty fifty sixty
ninety""".split()
TIMES, LENGTHS = "minutes hours days weeks years months".split(), "miles metres steps inches".split()
UNITS = [*TIMES, *LENGTHS, "pounds", "pages"]
COMPARATIVES = """bigger smaller taller older younger faster slower stronger louder warmer colder brighter darker
heavier lighter longer shorter richer happier cleverer kinder braver sweeter deeper""".split()
JOBS = {  # job: where it is done, what it makes or mends, the tool
    "baker": ("bakery", "bread", "oven"), "farmer": ("farm", "hay", "tractor"),
    "nurse": ("hospital", "medicine", "needle"), "teacher": ("school", "chalk", "book"),
    "miller": ("mill", "flour", "wheel"), "sailor": ("harbour", "rope", "compass"),
    "smith": ("forge", "iron", "hammer"), "tailor": ("shop", "cloth", "scissors"),
    "painter": ("studio", "paint", "brush"), "cook": ("kitchen", "soup", "spoon"),
    "gardener": ("garden", "seeds", "spade"), "judge": ("court", "law", "gavel"),
    "miner": ("mine", "coal", "lamp"), "clerk": ("office", "ink", "pen"),
    "fisher": ("pier", "herring", "net"), "carpenter": ("workshop", "wood", "saw"),
    "singer": ("theatre", "music", "microphone"), "pilot": ("airfield", "fuel", "radio"),
}
ANIMALS = {  # animal: the sound it makes
    "dog": "barked", "cat": "purred", "horse": "neighed", "cow": "mooed", "duck": "quacked", "wolf": "howled",
    "lion": "roared", "mouse": "squeaked", "owl": "hooted", "pig": "grunted", "snake": "hissed", "crow": "cawed",
    "bear": "growled", "frog": "croaked", "sheep": "bleated", "hen": "clucked", "parrot": "screeched",
    "bee": "buzzed", "donkey": "brayed", "fox": "yelped", "goat": "bleated", "goose": "honked",
}
WORDS = {name: words.split() for name, words in {
    "food": """apples bread cheese soup honey plums pears carrots onions beans rice fish butter eggs potatoes jam
        biscuits cherries mushrooms pies sausages nuts grapes milk porridge""",
    "thing": """lamp kettle ladder basket hammer key letter map coat hat umbrella clock violin bell knife blanket box
        chair candle bucket rope mirror boot ring book drum kite broom bottle suitcase camera piano""",
    "kit": """ropes candles boots maps matches blankets nails buttons cups spoons coats pencils shells stones feathers
        marbles bottles ribbons lanterns hooks""",
    "animals": "dogs cats horses cows ducks wolves lions mice owls pigs frogs hens foxes goats geese rabbits",
    "spot": """market river forest station church library bakery harbour garden school bridge field hill tower barn
        beach castle museum inn kitchen cellar attic valley lake meadow orchard""",
    "adj": """old small quiet strange heavy little broken huge dusty gentle narrow cheap shiny empty lovely crooked
        famous ancient wooden ugly soft rusty tiny simple clever wet dry round sharp plain""",
    "mood": "happy sad angry proud afraid lonely curious calm nervous cheerful sleepy hungry thirsty tired silent",
    "adverb": """slowly quickly quietly carefully happily sadly suddenly softly loudly gently bravely politely
        angrily eagerly""",
    "sky": "cold warm windy foggy cloudy stormy icy mild rainy sunny snowy dull",
    "moved": """walked hurried wandered marched climbed jumped crawled rushed travelled sailed danced limped raced
        stepped returned""",
    "went": "ran went rode drove came swam flew fled rose",
    "handled": """cleaned painted carried opened dropped mended lifted polished pushed pulled wrapped borrowed
        counted washed repaired covered admired measured""",
    "took": "took found lost broke sold bought held hid stole kept gave drew",
    "saying": "said whispered answered replied added explained cried laughed muttered",
    "kin": "mother father sister brother uncle aunt cousin grandmother grandfather neighbour",
    "part": "hand arm foot head knee shoulder back ear nose finger",
    "tree": "oak elm pine willow birch apple cherry maple",
    "colour": " ".join(COLOURS), "day": " ".join(DAYS), "month": " ".join(MONTHS), "num": " ".join(NUMBERS),
    "hour": " ".join(NUMBERS[:11]), "times": " ".join(TIMES), "lengths": " ".join(LENGTHS),
    "bigger": " ".join(COMPARATIVES), "animal": " ".join(ANIMALS), "place": " ".join(TOWNS),
    "job": " ".join(JOBS),
}.items()}

# --- grammar ----------------------------------------------------------------------------------------------------
# {name} is a word list, a rule, or a name bound for the document: A and B are two people (opposite sex), T a person
# with a title, X the pet; he/his/him stand for A, bhe/bhis/bhim for B. {list:name} is an enumeration.
# "3* ..." makes a production three times as likely.

RULES: dict[str, list[str]] = {
    "S": ["{A}", "3* {he}"],
    "noun": ["2* {thing}", "{adj} {thing}", "2* {colour} {thing}", "{adj} {colour} {thing}"],
    "beast": ["2* {animal}", "{adj} {animal}", "{colour} {animal}"],
    "acted": ["{handled}", "{took}"],
    "when": ["on {day}", "on {day} morning", "last {day}", "at {hour} o'clock", "in the morning", "after lunch",
             "in {month}", "every {day}", "before dinner", "that night", "at noon", "on {day} evening"],
    "span": ["{num} {times}"],
    "reach": ["{num} {lengths}"],
    "goal": ["to the {spot}", "2* to {place}", "past the {spot}", "through the {spot}", "towards {place}"],
    "list": ["{list:food}", "{list:kit}", "{list:food}", "{list:animals}"],

    # What may happen in a scene.
    "beat": ["6* {walk}", "5* {handle}", "3* {compare}", "7* {idiom}", "3* {bank}", "3* {listing}", "4* {pet_beat}",
             "3* {person}", "3* {weather}", "3* {measure}", "6* {speech}", "2* {stop}", "2* {negation}", "2* {paint}",
             "2* {if}", "2* {origin}", "2* {moon_literal}", "2* {own}", "3* {work}", "5* {linked}", "1* {price}",
             "1* {year}"],
    "walk": ["2* {S} {moved} {goal}.", "{S} {went} {goal}.", "{when}, {he} {moved} {goal}.",
             "{S} {moved} {adverb} {goal} with {B}.", "{AB} {moved} {goal}.", "then {he} {went} {goal} {when}.",
             "{B} {moved} after {him} {goal}.", "{S} {moved} over the bridge and {went} {goal}."],
    "handle": ["{S} {acted} the {noun}.", "{S} {acted} a {noun} and {handled} the {noun}.",
               "{B} {acted} {bhis} {noun}.",
               "{S} {adverb} {handled} the {noun} {when}.", "the {noun} was under the {thing}.",
               "{S} looked at the {noun} near the {spot}.", "{S} put the {noun} on the {thing}."],
    "compare": ["2* the {animal} was {bigger} than the {animal}.", "{A} was {bigger} than {B}.",
                "this {thing} is {bigger} than that {thing}.", "the {spot} looked {bigger} than before.",
                "the {thing} was more {dear} than the {thing}.", "{S} would walk rather than ride.",
                "{S} bought {food} rather than {food}.", "the {bigger} {animal} {slept} near the {spot}.",
                "{B} was the {bigger} one."],
    "dear": ["expensive", "beautiful", "useful", "dangerous", "famous"],
    "slept": ["slept", "waited", "rested", "sat", "played"],
    "idiom": ["2* {moon}", "3* {cake}", "3* {under}", "3* {cats}", "3* {beans}", "2* {blue}", "2* {arm}"],
    "moon": ["{S} was over the moon.", "{B} passed the test and was over the moon.",
             "when {he} got the {thing}, {he} was over the moon.", "the whole family was over the moon {when}."],
    "cake": ["the test was a piece of cake.", "for {him} the climb was a piece of cake.",
             "mending the {thing} was a piece of cake.", "{S} thought the work was a piece of cake.",
             "{S} ate a slice of cake.", "{B} baked a cake for {him}.", "{S} gave {bhim} a piece of bread.",
             "a piece of paper lay on the {thing}."],
    "under": ["2* {S} felt under the weather.", "{B} was under the weather and stayed in bed.",
              "on {day} {he} was a bit under the weather.", "the {animal} hid under the bridge.",
              "the {thing} lay under the table."],
    "cats": ["2* it was raining cats and dogs.", "soon it was raining cats and dogs in {place}.",
             "{S} saw cats and dogs near the {spot}.", "{S} fed the cats and dogs."],
    "beans": ["2* {B} spilled the beans about the {thing}.", "nobody knew who had spilled the beans.",
              "{S} cooked the beans.", "{S} bought the beans {when}."],
    "blue": ["{S} came home once in a blue moon.", "once in a blue moon {he} {moved} {goal}.",
             "{S} saw the {spot} once in a blue moon.", "a {colour} moon rose over the {spot}."],
    "arm": ["the {thing} cost an arm and a leg.", "{S} paid an arm and a leg for the {thing}.",
            "{S} hurt {his} {part} and {his} leg."],
    "moon_literal": ["the moon shone over the {spot}.", "a bird flew over the {spot}.", "clouds hid the moon.",
                     "the moon looked bigger than a coin.", "they looked at the moon {when}."],
    "bank": ["2* the boat on the river drifted to the bank.", "the river was deep and the fish hid near the bank.",
             "{S} swam across the river and rested on the bank.", "{S} fished in the river from the bank.",
             "by the river a {beast} {slept} on the bank.",
             "2* {S} took the money to the bank.", "{S} needed a loan and asked the bank.",
             "{S} carried the coins to the bank.", "{B} put all {bhis} savings in the bank.",
             "{S} had no money left in the bank."],
    "listing": ["2* {S} bought {list}.", "there were {list} in the {spot}.", "{B} packed {list:kit} for the trip.",
                "{S} saw {list:animals} near the {spot}.", "on the table lay {list:kit}.",
                "{S} ate {list:food} {when}.", "in {place} they sold {list}.", "{S} ate {food} and {food}."],
    "pet_beat": ["{X} the {pet} {sound} at the {animal}.", "{X} {sound} and {moved} {goal}.",
                 "the {pet} {sound} {adverb}.",
                 "{S} fed {X} some {food}.", "a {beast} {moved} out of the {spot}.", "{X} {slept} under the {thing}.",
                 "the {animal_sound} in the {spot}.", "the {animal_sound} {when}."],
    "person": ["2* {T} {moved} {goal}.", "{T} was a {adj} {job}.", "{S} met {T} at the {spot}.",
               "{T} gave {him} a {noun}.", "{A} asked {T} about the {thing}.", "the {job} waved at {T}.",
               "{his} {kin} knew {T} well."],
    "weather": ["2* the day was {sky} and the sky was {colour}.", "the weather in {place} was {sky}.",
                "the weather was {sky} {when}.", "a {sky} wind blew over the {spot}.",
                "it was a {sky} {day}.", "the rain ran down the {colour} roof."],
    "measure": ["2* {S} waited {span}.", "the {spot} was {reach} away.", "after {span}, {he} {moved} {goal}.",
                "{B} read {num} pages.",
                "the {animal} was {num} years old.", "the {thing} weighed {num} pounds.",
                "{num} {animals} {slept} near the {spot}.", "{S} counted {num} {kit}.", "there were {num} of them."],
    "stop": ["\"please don't stop,\" {B} begged.", "\"I won't stop,\" {A} {saying}.",
             "\"{he_c} won't stop now,\" {B} {saying}.",
             "\"don't stop the music!\" cried {B}.", "the noise wouldn't end.", "{A} had to stop at the {spot}.",
             "the bus came to a stop near the {spot}.", "\"stop!\" shouted {B}.",
             "\"don't {base} it,\" {B} {saying}.",
             "\"I won't {base} it,\" {A} {saying}."],
    "base": ["open", "touch", "sell", "break", "eat", "lose"],
    "negation": ["{S} didn't see anyone in the {spot}.", "{S} couldn't find anything in the {thing}.",
                 "{B} didn't tell anyone about the {thing}.", "{S} didn't go anywhere {when}.",
                 "{S} saw someone in the {spot}.", "{S} found something in the {thing}.",
                 "anyone could see the {spot}.",
                 "{S} never {handled} the {noun}."],
    "paint": ["{S} painted the {thing} {colour}.", "the {thing} was {colour}.", "{his} {thing} turned {colour}.",
              "{B} wore a {colour} coat and a {colour} hat.", "a {colour} bird sat in the {tree}.",
              "the leaves of the {tree} were {colour}."],
    "if": ["if {A} had a {thing}, {he} would go {goal}.", "if the {animal} came back, {bhe} would be {mood}.",
           "if it rained, they would stay in the {spot}.", "{S} would often sit near the {spot}."],
    "origin": ["2* {B} came from {place}.", "{his} {kin} lived in {place}.",
               "a {job} from {place} {handled} the {noun}.",
               "they spent {span} in {place}.", "{place} was a {adj} town.", "the road to {place} was {adj}.",
               "a train left for {place} {when}.", "{S} dreamed of {place}."],
    "own": ["{A_s} {thing} was {adj}.", "{S} {acted} {B_s} {noun}.", "{B_s} {kin} was {mood}.", "it's {B_s} {thing}.",
            "{S} {handled} {T_s} {thing}.", "the {animal}'s {part} was {adj}."],
    "work": ["the {job_where}.", "the {job_made}.", "the {job_tool}.", "{S} {was_job}.",
             "{B} was {mood} because the {thing} was {adj}.",
             "{S} felt {mood} {when}."],
    "price": ["the {thing} cost ${dollars}.", "{S} paid ${dollars} for the {noun}.",
              "\"that is ${dollars},\" {T} {saying}.",
              "{S} had only ${dollars} left."],
    "year": ["the {spot} was built in {anno}.", "{S} moved to {place} in {anno}.", "{his} {kin} was born in {anno}.",
             "on the {nth} of {month} {he} {moved} {goal}."],
    "speech": ["4* {statement}", "3* {question}", "2* {shout}", "{reported}"],
    "statement": ["\"I {acted} the {noun},\" {A} {saying}.", "\"the {thing} is {adj},\" {saying} {B}.",
                  "\"we must go {goal},\" {B} {saying}.", "\"I feel {mood},\" {A} {saying} {adverb}.",
                  "\"my {kin} lives in {place},\" {saying} {A}.", "\"let's meet on {day},\" {B} {saying}.",
                  "\"it's {reach} {goal},\" {saying} {T}.", "\"your {thing} is {bigger} than mine,\" {A} {saying}.",
                  "\"thank you, {T},\" {A} {saying}.", "\"good morning, {B},\" {A} {saying}.",
                  "\"I like {food} and {food},\" {saying} {B}.", "\"that's a piece of cake,\" {B} {saying}."],
    "question": ["\"where is the {noun}?\" asked {B}.", "\"did you see the {beast}?\" {A} asked.",
                 "\"why are you so {mood}?\" {B} asked.", "\"who {acted} my {thing}?\" {A} asked.",
                 "\"how far is {place}?\" asked {T}.", "\"can you come on {day}?\" asked {A}.",
                 "\"do you want some {food}?\" {B} asked.", "\"what is in the {thing}?\" asked {A}.",
                 "where was the {thing}?", "who was in the {spot}?", "why was {B} so {mood}?"],
    "shout": ["\"{LOUD}!\" shouted {B}.", "\"{LOUD}!\" {A} shouted.", "the sign said {LOUD}.",
              "\"{LOUD}!\" cried {T}.",
              "\"look out!\" shouted {B}.", "\"help!\" {A} shouted."],
    "LOUD": ["STOP", "GO AWAY", "HELP", "COME BACK", "NO", "LOOK OUT", "FIRE", "WAIT FOR ME", "GET OUT", "BE QUIET",
             "RUN", "DANGER", "KEEP OUT"],
    "reported": ["{B} said that the {thing} was {adj}.", "{T} said that {bhe} {acted} the {noun}.",
                 "{S} thought that the {spot} was {adj}."],

    "linked": ["while {B} {slept}, {he} {acted} the {noun}.",
               "when the {animal} {moved} {goal}, {B} {acted} the {thing}.",
               "because the {thing} was {adj}, {he} {handled} it {adverb}.",
               "before {he} {went} {goal}, {he} {acted} the {noun}.",
               "{S} {acted} the {thing}, but {B} wanted the {food}.",
               "the {noun} that {B} {took} was {bigger} than the {animal}.",
               "{S} {moved} {goal} because it was {sky}.", "although the {spot} was {adj}, {B} {slept} there {when}.",
               "{S} knew the {job} who {acted} the {noun}.", "as soon as the {animal} {slept}, {bhe} {moved} {goal}.",
               "{B} was {mood}, so {he} gave {bhim} the {noun}.",
               "{S} tried to {base} the {thing}, but it was too {adj}.",
               "neither {B} nor the {job} liked the {food}.", "both the {animal} and the {animal} {moved} {goal}.",
               "there was no sign of {food} in the {spot}, so {bhe} {acted} some {food}.",
               "{S} told {bhim} a story about a {beast}.",
               "at last {he} reached the {spot}, where the {animal} {slept}.",
               "{B} laughed, for the {thing} was {colour}.",
               "nobody in {place} had seen such a {beast}.", "{his} {part} was sore after {reach}."],

    # Frames of the kinds of document.
    "open": ["3* once upon a time there was a {job} called {A} in {place}.", "2* {when}, {A} {moved} {goal}.",
             "{A} lived in {place} with a {adj} {pet} called {X}.", "{AB} were in the {spot} {when}.",
             "it was {day} and {A} was {mood}.", "{A} was a {job} from {place}.", "once {A} {acted} a {noun}.",
             "the time had come for {A} to go {goal}."],
    "close": ["in the end {he} was {mood}.", "{S} {moved} home and {slept}.",
              "and they all lived happily ever after.",
              "that was the end of the {thing}.", "{S} was over the moon.", "they never saw the {animal} again."],
    "greet": ["\"hello, {B},\" {A} said.", "\"good evening, {T},\" said {A}.", "{A} met {B} {when}.",
              "{AB} sat in the {spot}."],
    "turn": ["3* {statement}", "4* {question}", "{shout}", "{stop}", "\"yes,\" {B} {saying}.",
             "\"no,\" {A} {saying} {adverb}.",
             "\"I don't know,\" {B} {saying}.", "\"of course,\" {saying} {A}."],
    "wish": ["I hope you are well.", "thank you for the {noun}.", "please send {list}.", "I miss {place}.",
             "write to me {when}."],
    "news": ["{num} {animals} were seen near the {spot} in {place} {when}.",
             "the price of {food} rose to ${dollars}.",
             "{T} opened a new shop in {place}.", "police looked for a {colour} {thing}.",
             "the mayor said that the {spot} was built in {anno}.", "a {job} from {place} won ${dollars}.",
             "the {spot} will be shut on {day}.", "the storm lasted {num} hours."],
    "step": ["wash the {food} and cut the {food}.", "mix {list:food}.", "wait {num} minutes.", "don't stop stirring.",
             "add {num} spoons of {food}.", "put it in the oven for {num} minutes.",
             "it should be {bigger} than before.",
             "stop when it is {colour}.", "serve it with {food} and {food}."],
}

# --- patterns ---------------------------------------------------------------------------------------------------


def one_of(words: Iterable[str]) -> str:
    """A regex group that matches any of the words."""
    return "(?:" + "|".join(sorted(set(words))) + ")"


OTHER_PAST = """asked baked begged cooked dreamed drifted fished lasted lived looked needed opened packed painted passed
played reached rested shouted spilled stayed tried turned waited wanted waved weighed worked""".split()


def planted_patterns() -> list[dict[str, str]]:
    """The planted patterns; the group `pivot` marks the characters at which a latent for the pattern should fire."""
    names, towns, numbers = one_of(GIRLS + BOYS), one_of(TOWNS), one_of(NUMBERS)
    verbs = [*WORDS["moved"], *WORDS["handled"], *WORDS["saying"], *ANIMALS.values(), *OTHER_PAST]
    past = one_of(verb for verb in verbs if verb.endswith("ed"))
    rows = [
        ("over the moon", "The idiom \"over the moon\" (delighted); not the moon in the sky.",
         r"\bover the (?P<pivot>moon)\b"),
        ("blue moon", "The idiom \"once in a blue moon\" (rarely).", r"\b[Oo]nce in a blue (?P<pivot>moon)\b"),
        ("piece of cake",
         "The idiom \"a piece of cake\" (easy); not cake that is eaten, not a piece of bread or paper.",
         r"\ba piece of (?P<pivot>cake)\b"),
        ("under the weather", "The idiom \"under the weather\" (ill); not the weather itself.",
         r"\bunder the (?P<pivot>weather)\b"),
        ("cats and dogs", "The idiom \"raining cats and dogs\"; not the animals.",
         r"\braining (?P<pivot>cats and dogs)\b"),
        ("arm and a leg", "The idiom \"an arm and a leg\" (expensive).", r"\ban arm (?P<pivot>and a leg)\b"),
        ("spill the beans", "The idiom \"spilled the beans\" (told a secret); not beans that are cooked.",
         r"\bspilled the (?P<pivot>beans)\b"),
        ("don't stop", "\"stop\" after \"don't\" or \"won't\"; not \"to stop\", \"a stop\" or \"stop\" as an order.",
         r"\b(?:[Dd]on't|won't) (?P<pivot>stop)\b"),
        ("comparative than", "\"than\" after a comparative; not \"rather than\".",
         r"\b(?:" + one_of(COMPARATIVES) + r"|more [a-z]+) (?P<pivot>than)\b"),
        ("name after title", "A first name after Mr, Mrs, Miss or Dr; not the same name alone.",
         r"\b(?:Mr|Mrs|Miss|Dr) (?P<pivot>[A-Z][a-z]+)\b"),
        ("inside quotation", "The words between quotation marks.", r"\"(?P<pivot>[^\"\n]+)\""),
        ("closing quotation mark", "The quotation mark that ends direct speech.", r"[,.!?](?P<pivot>\")"),
        ("speech verb", "The verb of saying right after direct speech.",
         r"[,.!?]\" (?P<pivot>" + one_of(WORDS["saying"] + ["asked", "shouted", "begged"]) + r")\b"),
        ("unit after number", "A unit of measure after a number word; not other things counted.",
         r"\b" + numbers + r" (?P<pivot>" + one_of(UNITS) + r")\b"),
        ("day after on", "A day of the week after \"on\"; not after \"last\", \"every\" or \"a\".",
         r"\b[Oo]n (?P<pivot>" + one_of(DAYS) + r")\b"),
        ("colour before noun",
         "A colour word right before a noun; not a colour that ends the phrase (\"painted it red\").",
         r"\b(?P<pivot>" + one_of(COLOURS) + r") " + one_of([*WORDS["thing"], *ANIMALS, "bird", "roof"]) + r"\b"),
        ("past tense -ed", "A regular past-tense verb, which ends in -ed.", r"\b(?P<pivot>" + past + r")\b"),
        ("place after in or from", "A town's name after \"in\" or \"from\"; not after \"to\" or as a subject.",
         r"\b(?:[Ii]n|from) (?P<pivot>" + towns + r")\b"),
        ("question", "The words of a question, up to its question mark.",
         r"(?:^|[\n\"]|[.!?] )(?P<pivot>(?:Where|Who|Why|How|What|Did|Do|Can) [^.!?\"\n]*\?)"),
        ("list and", "\"and\" before the last item of an enumeration of three or more; not \"and\" between two.",
         r"\b[a-z]+, [a-z]+ (?P<pivot>and) [a-z]+\b"),
        ("river bank", "\"bank\" as the edge of a river.", r"\b[Rr]iver\b[^.!?\"\n]* (?P<pivot>bank)\b"),
        ("money bank", "\"bank\" as the place that keeps money.",
         r"\b(?:money|loan|coins|savings)\b[^.!?\"\n]* (?P<pivot>bank)\b"),
        ("shouting", "Words in capitals.", r"\b(?P<pivot>[A-Z]{2,}(?: [A-Z]{2,})*)\b"),
        ("once upon a time", "The opening of a tale; not other uses of \"time\".",
         r"\b[Oo]nce upon a (?P<pivot>time)\b"),
        ("o'clock", "\"o'clock\" after the hour.", r"\b" + numbers + r" (?P<pivot>o'clock)\b"),
        ("price", "The figures of a price in dollars.", r"\$(?P<pivot>[0-9]+)\b"),
        ("year", "A year in figures after \"in\".", r"\bin (?P<pivot>[0-9]{4})\b"),
        ("any after negation", "\"anyone\", \"anything\", \"anywhere\" licensed by didn't or couldn't.",
         r"\b(?:didn't|couldn't)\b[^.!?\"\n]* (?P<pivot>any(?:one|thing|where))\b"),
        ("name's", "The possessive 's of a person's name; not the 's of \"it's\" or \"let's\".",
         r"\b" + names + r"(?P<pivot>'s)\b"),
        ("would after if", "\"would\" in the second half of a sentence that begins with \"if\".",
         r"\bIf\b[^.!?\"\n]*, [^.!?\"\n]*(?P<pivot>would)\b"),
        ("letter greeting", "The name after \"Dear\" at the head of a letter.",
         r"\bDear (?P<pivot>[A-Z][a-z]+(?: [A-Z][a-z]+)?),"),
    ]
    return [{"name": n, "description": d, "pivot_regex": r} for n, d, r in rows]


# --- expansion --------------------------------------------------------------------------------------------------

Production = list[tuple[str, str]]  # (literal before, symbol after)


def parse(production: str) -> tuple[int, Production]:
    """'3* a {b} c' -> (3, [('a ', 'b'), (' c', '')])."""
    weight, text = re.fullmatch(r"(?:(\d+)\* )?(.*)", production, re.S).groups()
    pieces = re.split(r"\{([^}]+)\}", text) + [""]
    return int(weight or 1), list(zip(pieces[::2], pieces[1::2]))


def table() -> dict[str, list[Production]]:
    """Every rule's productions, each repeated by its weight."""
    parsed = {name: [parse(p) for p in productions] for name, productions in RULES.items()}
    return {name: [tree for weight, tree in rows for _ in range(weight)] for name, rows in parsed.items()}


TABLE = table()


class Scene:
    """One document: a random stream, the people bound to it, and the expansion of rules."""

    def __init__(self, seed: int, index: int) -> None:
        self.random = random.Random(f"{seed}:{index}").random
        self.last: dict[str, str] = {}
        self.bound: dict[str, str] = {}
        self.own = {name: self.fresh(name) for name in ("thing", "spot", "animal", "place", "food", "adj", "colour")}
        self.bind_people()

    def below(self, n: int) -> int:
        return int(self.random() * n)

    def word(self, name: str) -> str:
        """A word of a list: words near its head are likelier, so are the document's own words; never twice in a row."""
        drawn = self.last.get(name)
        while drawn == self.last.get(name):
            drawn = self.own[name] if name in self.own and self.random() < 0.45 else self.fresh(name)
        self.last[name] = drawn
        return drawn

    def fresh(self, name: str) -> str:
        return WORDS[name][int(len(WORDS[name]) * self.random() ** 1.4)]

    def enumeration(self, name: str) -> str:
        items: list[str] = []
        size = 3 + self.below(2)
        while len(items) < size:
            if (drawn := self.word(name)) not in items:
                items.append(drawn)
        return ", ".join(items[:-1]) + " and " + items[-1]

    def bind_people(self, diary: bool = False) -> None:
        """Draws the document's people: A and B of opposite sex, T with a title, the pet X."""
        first, second = ("girl", "boy") if self.random() < 0.5 else ("boy", "girl")
        pronouns = {"girl": ("she", "her", "her"), "boy": ("he", "his", "him")}
        pool = {"girl": GIRLS, "boy": BOYS}
        names = [pool[sex][self.below(len(pool[sex]))] for sex in (first, second)]
        titled = ("girl", "boy")[self.below(2)]
        third = next(n for n in iter(lambda: pool[titled][self.below(len(pool[titled]))], "") if n not in names)
        title = TITLES[titled][self.below(3)] + " " + third
        pet = self.fresh("animal")
        a = ("I", "my", "me") if diary else pronouns[first]
        self.bound = {
            "A": "I" if diary else names[0], "A_s": "my" if diary else names[0] + "'s",
            "AB": names[1] + " and I" if diary else names[0] + " and " + names[1], "he": a[0], "his": a[1], "him": a[2],
            "he_c": "he" if first == "boy" else "she", "B": names[1], "B_s": names[1] + "'s",
            "bhe": pronouns[second][0], "bhis": pronouns[second][1], "bhim": pronouns[second][2],
            "T": title, "T_s": title + "'s", "pet": pet, "sound": ANIMALS[pet],
            "X": ["Biscuit", "Shadow", "Pepper", "Rusty", "Daffy", "Bruno", "Misty", "Coco"][self.below(8)],
        }

    def made(self, symbol: str) -> str | None:
        """Symbols that are computed: facts that go together, and figures."""
        if symbol == "animal_sound":
            animal = self.word("animal")
            return f"{animal} {ANIMALS[animal]}"
        if symbol.startswith("job_"):
            job = self.word("job")
            where, product, tool = JOBS[job]
            return {"job_where": f"{job} worked in the {where}", "job_made": f"{job} had plenty of {product}",
                    "job_tool": f"{job} reached for the {tool}"}[symbol]
        if symbol == "was_job":
            job = self.word("job")
            return f"was a {job} in the {JOBS[job][0]}"
        if symbol == "dollars":
            return str((2 + self.below(18)) * (1, 5, 10)[self.below(3)])
        if symbol == "anno":
            return str(1850 + self.below(150))
        if symbol == "nth":
            day = 1 + self.below(28)
            return str(day) + ("th" if 10 < day < 20 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th"))
        return None

    def expand(self, symbol: str) -> str:
        if symbol in self.bound:
            return self.bound[symbol]
        if symbol in WORDS:
            return self.word(symbol)
        if symbol.startswith("list:"):
            return self.enumeration(symbol[5:])
        if symbol not in TABLE:
            return self.made(symbol) or sys.exit(f"make_text: no symbol {symbol}")
        rows = TABLE[symbol]
        row = rows[self.below(len(rows))]
        return "".join(literal + (self.expand(inner) if inner else "") for literal, inner in row)

    def sentences(self, symbol: str, low: int, high: int) -> list[str]:
        """Between low and high expansions, none twice."""
        found: list[str] = []
        size = low + self.below(high - low + 1)
        while len(found) < size:
            if (drawn := self.expand(symbol)) not in found:
                found.append(drawn)
        return found

    # The kinds of document.

    def story(self) -> str:
        return " ".join([self.expand("open"), *self.sentences("beat", 6, 15), self.expand("close")])

    def dialogue(self) -> str:
        return "\n".join([self.expand("greet"), *self.sentences("turn", 4, 11)])

    def diary(self) -> str:
        self.bind_people(diary=True)
        head = f"{self.word('day')}, {self.expand('nth')} of {self.word('month')}."
        return " ".join([head, *self.sentences("beat", 5, 12)])

    def letter(self) -> str:
        self.bind_people(diary=True)
        reader = self.bound["B"] if self.random() < 0.6 else self.bound["T"]
        writer = (GIRLS + BOYS)[self.below(len(GIRLS + BOYS))]
        body = [self.expand("wish"), *self.sentences("beat", 4, 9), self.expand("wish")]
        return f"Dear {reader},\n" + " ".join(body) + f"\nYours, {writer}"

    def report(self) -> str:
        return f"News from {self.word('place')}. " + " ".join(self.sentences("news", 3, 7))

    def recipe(self) -> str:
        head = f"How to make {self.word('food')} with {self.word('food')}:\n"
        return head + "\n".join(self.sentences("step", 4, 8))

    def text(self) -> str:
        kinds = ([self.story] * 10 + [self.dialogue] * 4 + [self.diary] * 3 + [self.letter] * 2 + [self.report] * 2
                 + [self.recipe])
        return tidy(kinds[self.below(len(kinds))]())


def tidy(text: str) -> str:
    """Capitals at the head of sentences, and "an" before a vowel."""
    text = re.sub(r"\b([Aa]) (?=[aeiou])", r"\1n ", text)
    return re.sub(r"(^|\n|(?<!\.)[.!?:] |(?<![^\s])\")([a-z])", lambda m: m[1] + m[2].upper(), text)


def documents(seed: int, count: int) -> Iterator[str]:
    """The first `count` documents of a seed."""
    return (Scene(seed, index).text() for index in range(count))


def main() -> None:
    parser = argparse.ArgumentParser(description="Text for gloss's demo, from a grammar with planted patterns.")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--documents", type=int, default=4000)
    parser.add_argument("--patterns", metavar="FILE", help="write the list of planted patterns and stop")
    parser.add_argument("--count", action="store_true", help="count the planted patterns in the text, not write it")
    options = parser.parse_args()
    patterns = planted_patterns()
    if options.patterns:
        with open(options.patterns, "w", encoding="utf-8") as file:
            file.write(json.dumps(patterns, indent=2, ensure_ascii=False) + "\n")
    elif options.count:
        texts = list(documents(options.seed, options.documents))
        for pattern in patterns:
            print(f"{sum(len(re.findall(pattern['pivot_regex'], t)) for t in texts):7d}  {pattern['name']}")
    else:
        for text in documents(options.seed, options.documents):
            print(json.dumps({"text": text}, ensure_ascii=False))


if __name__ == "__main__":
    main()
