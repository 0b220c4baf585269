"""The kinds of things in the sample world: their words, sizes and ways to move.

Takes nothing, gives a closed set of frozen records; draws nothing and sounds nothing itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

RGB = tuple[int, int, int]


@dataclass(frozen=True)
class Verb:
    """A word for making one's sound: third person, -ing form, noun of the sound."""

    third: str
    ing: str
    noun: str


@dataclass(frozen=True)
class Kind:
    """A kind of thing.

    `strike_s` is the length of one sound, `period_s` the usual time between two onsets, `hop_s`
    the length of one movement, `jump` and `shake` how far it moves, in heights of the thing, and
    `tilt_deg` how far it leans. A kind without verbs never sounds; one without colours is never
    seen.
    """

    name: str
    nouns: tuple[str, ...]
    label: str
    silent_label: str
    verbs: tuple[Verb, ...]
    moves: tuple[str, ...]
    colours: tuple[tuple[str, RGB], ...]
    adjectives: tuple[str, ...]
    stands: Literal["ground", "air"] = "ground"
    height: float = 0.34
    strike_s: float = 0.3
    period_s: float = 0.8
    hop_s: float = 0.3
    jump: float = 0.0
    shake: float = 0.0
    shake_hz: float = 3.0
    tilt_deg: float = 0.0
    texture: Literal["fur", "wood", "metal", "plain"] = "plain"
    roams: bool = False

    @property
    def can_sound(self) -> bool:
        """Whether the kind has a sound of its own."""
        return bool(self.verbs)


BROWN, WHITE, BLACK = ("brown", (146, 94, 52)), ("white", (236, 232, 222)), ("black", (62, 60, 66))
RED, BLUE, GREEN = ("red", (208, 52, 44)), ("blue", (52, 102, 196)), ("green", (62, 150, 72))
YELLOW, ORANGE = ("yellow", (240, 196, 48)), ("orange", (232, 134, 42))
GREY, PINK, PURPLE = (
    ("grey", (146, 150, 158)),
    ("pink", (232, 130, 168)),
    ("purple", (130, 76, 170)),
)
GOLDEN, SILVER = ("golden", (222, 172, 54)), ("silver", (190, 198, 208))

SOUNDERS = (
    Kind(
        "dog", ("hound", "pup", "terrier"), "dog barking", "dog hopping",
        (Verb("barks", "barking", "barking"), Verb("is barking", "barking", "bark"),
         Verb("yaps", "yapping", "yapping"), Verb("woofs", "woofing", "woofing")),
        ("hops up and down", "keeps jumping on the spot", "bobs up and down"),
        (BROWN, WHITE, BLACK, GREY), ("small", "shaggy", "young", "stocky"),
        height=0.38, strike_s=0.24, period_s=0.7, hop_s=0.3, jump=0.2, texture="fur", roams=True,
    ),
    Kind(
        "cat", ("tomcat", "tabby", "kitten"), "cat meowing", "cat stretching",
        (Verb("meows", "meowing", "meowing"), Verb("is meowing", "meowing", "meow"),
         Verb("mewls", "mewling", "mewling"), Verb("yowls", "yowling", "yowling")),
        ("stretches up and settles again", "bobs its head", "rears up again and again"),
        (ORANGE, GREY, BLACK, WHITE), ("striped", "slender", "plump", "fluffy"),
        height=0.37, strike_s=0.62, period_s=1.25, hop_s=0.65, jump=0.13, shake=0.03,
        shake_hz=1.5, texture="fur", roams=True,
    ),
    Kind(
        "bird", ("songbird", "finch"), "bird chirping", "bird flapping",
        (Verb("chirps", "chirping", "chirping"), Verb("is singing", "singing", "song"),
         Verb("twitters", "twittering", "twittering"), Verb("trills", "trilling", "trilling")),
        ("flaps its wings", "flutters and settles", "bounces about"),
        (BLUE, YELLOW, RED, GREEN), ("little", "bright", "tiny", "round"),
        height=0.3, strike_s=0.32, period_s=0.75, hop_s=0.36, jump=0.16, shake=0.03, shake_hz=4,
        texture="fur", roams=True,
    ),
    Kind(
        "frog", ("bullfrog", "toad"), "frog croaking", "frog leaping",
        (Verb("croaks", "croaking", "croaking"), Verb("is croaking", "croaking", "croak"),
         Verb("ribbits", "ribbiting", "ribbiting")),
        ("leaps in place", "keeps hopping", "squats and springs up"),
        (GREEN, BROWN, YELLOW), ("fat", "spotted", "large", "glossy"),
        height=0.3, strike_s=0.36, period_s=0.9, hop_s=0.4, jump=0.26, roams=True,
    ),
    Kind(
        "drum", ("snare drum", "tom-tom"), "drum beating", "drum lying idle",
        (Verb("beats", "beating", "beating"), Verb("booms", "booming", "booming"),
         Verb("thuds", "thudding", "thudding"), Verb("rat-a-tats", "rat-a-tatting", "rattle")),
        ("shakes on its stand", "jolts up and down", "wobbles in place"),
        (RED, BLUE, GREEN, PURPLE), ("wooden", "painted", "deep", "round"),
        height=0.36, strike_s=0.22, period_s=0.5, hop_s=0.24, jump=0.05, shake=0.02, shake_hz=5,
        texture="wood",
    ),
    Kind(
        "bell", ("handbell", "brass bell"), "bell ringing", "bell swinging",
        (Verb("rings", "ringing", "ringing"), Verb("tolls", "tolling", "tolling"),
         Verb("clangs", "clanging", "clanging"), Verb("peals", "pealing", "pealing")),
        ("swings to and fro", "sways back and forth", "rocks from side to side"),
        (GOLDEN, SILVER, BROWN), ("heavy", "polished", "old", "big"),
        height=0.42, strike_s=0.95, period_s=1.1, hop_s=1.0, shake_hz=0.9, texture="metal",
    ),
    Kind(
        "guitar", ("acoustic guitar", "six-string"), "guitar strumming", "guitar rocking",
        (Verb("is strummed", "strumming", "strumming"), Verb("plays", "playing", "playing"),
         Verb("jangles", "jangling", "jangling"), Verb("twangs", "twanging", "twanging")),
        ("rocks from side to side", "tips left and right", "sways to a beat"),
        (ORANGE, BROWN, RED, BLACK), ("acoustic", "worn", "shiny", "large"),
        height=0.48, strike_s=0.7, period_s=0.85, hop_s=0.4, shake=0.02, shake_hz=2.4, tilt_deg=7,
        texture="wood",
    ),
    Kind(
        "car", ("hatchback", "runabout"), "car revving", "car rocking",
        (Verb("revs its engine", "revving its engine", "revving"),
         Verb("is revving", "revving", "engine"), Verb("growls", "growling", "growling"),
         Verb("vrooms", "vrooming", "vrooming")),
        ("rocks on its wheels", "lurches in place", "shudders"),
        (RED, BLUE, YELLOW, GREEN), ("small", "rusty", "parked", "shiny"),
        height=0.38, strike_s=0.75, period_s=1.0, hop_s=0.8, jump=0.05, shake=0.03, shake_hz=7,
        texture="metal", roams=True,
    ),
    Kind(
        "phone", ("telephone", "rotary phone"), "phone ringing", "phone shaking",
        (Verb("rings", "ringing", "ringing"), Verb("is ringing", "ringing", "ring"),
         Verb("shrills", "shrilling", "shrilling"), Verb("jingles", "jingling", "jingling")),
        ("rattles about", "shakes on the spot", "jitters"),
        (BLACK, RED, GREEN, PINK), ("old-fashioned", "heavy", "shiny", "bulky"),
        height=0.3, strike_s=0.72, period_s=1.15, hop_s=0.75, jump=0.04, shake=0.03, shake_hz=6,
        tilt_deg=6,
    ),
    Kind(
        "robot", ("toy robot", "android"), "robot beeping", "robot waving",
        (Verb("beeps", "beeping", "beeping"), Verb("is beeping", "beeping", "beep"),
         Verb("bleeps", "bleeping", "bleeping"), Verb("blips", "blipping", "blipping")),
        ("waves its arms", "bounces up and down", "jigs about"),
        (SILVER, BLUE, RED, GREEN), ("toy", "boxy", "squat", "tin"),
        height=0.42, strike_s=0.26, period_s=0.6, hop_s=0.3, jump=0.12, texture="metal", roams=True,
    ),
)  # fmt: skip

SILENT = (
    Kind(
        "ball", ("beach ball", "rubber ball"), "", "ball bouncing", (),
        ("bounces up and down", "keeps bouncing", "leaps and drops again"),
        (RED, BLUE, YELLOW, GREEN), ("striped", "large", "soft", "rubber"),
        height=0.24, period_s=0.75, hop_s=0.62, jump=1.1, shake=0.05, shake_hz=0.7, tilt_deg=40,
        roams=True,
    ),
    Kind(
        "balloon", ("party balloon",), "", "balloon bobbing", (),
        ("bobs up and down", "jerks on its string", "dips and rises"),
        (PINK, RED, PURPLE, YELLOW), ("big", "shiny", "round", "light"), "air",
        height=0.36, period_s=1.0, hop_s=0.7, jump=0.22, shake=0.06, shake_hz=0.8, roams=True,
    ),
    Kind(
        "kite", ("paper kite",), "", "kite fluttering", (),
        ("dips and climbs", "swoops about", "flutters in the wind"),
        (ORANGE, BLUE, PINK, GREEN), ("paper", "colourful", "patched", "large"), "air",
        height=0.4, period_s=0.9, hop_s=0.6, jump=0.16, shake=0.08, shake_hz=1.1, tilt_deg=12,
        roams=True,
    ),
    Kind(
        "pinwheel", ("toy windmill",), "", "pinwheel turning", (),
        ("twirls in bursts", "turns in the breeze", "whirls round"),
        (YELLOW, RED, BLUE, PURPLE), ("paper", "tall", "gaudy", "spotted"),
        height=0.42, period_s=0.8, hop_s=0.6, shake_hz=0.8,
    ),
)  # fmt: skip

UNSEEN = (
    Kind(
        "siren", ("alarm siren",), "siren wailing", "",
        (Verb("wails", "wailing", "wailing"), Verb("blares", "blaring", "blaring")),
        (), (), ("distant", "shrill"), strike_s=1.6, period_s=1.6,
    ),
    Kind(
        "thunder", ("rolling thunder",), "thunder rumbling", "",
        (Verb("rumbles", "rumbling", "rumbling"), Verb("rolls", "rolling", "rolling")),
        (), (), ("distant", "heavy"), strike_s=2.2, period_s=2.0,
    ),
    Kind(
        "train", ("steam train", "locomotive"), "train whistling", "",
        (Verb("whistles", "whistling", "whistling"), Verb("toots", "tooting", "tooting")),
        (), (), ("distant", "passing"), strike_s=1.2, period_s=1.7,
    ),
    Kind(
        "helicopter", ("chopper",), "helicopter flying", "",
        (Verb("thrums", "thrumming", "thrumming"), Verb("clatters", "clattering", "clattering")),
        (), (), ("distant", "circling"), strike_s=1.5, period_s=1.45,
    ),
)  # fmt: skip

PILLARS = (
    Kind("pillar", ("column",), "", "pillar standing", (), ("stands still",),
         (GREY, WHITE), ("stone", "tall"), height=1.0, texture="plain"),
    Kind("tree trunk", ("trunk",), "", "tree trunk standing", (), ("stands still",),
         (BROWN,), ("thick", "mossy"), height=1.0, texture="wood"),
)  # fmt: skip
