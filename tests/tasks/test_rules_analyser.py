"""The `rules` analyser: words, clauses, who sounds, events and mentions."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earshot.errors import InputError
from earshot.schemas import ids
from earshot.schemas.base import Interval
from earshot.schemas.caption import Caption, CaptionSource
from earshot.schemas.event import Event
from earshot.tasks.analyse_captions.labels import read_label
from earshot.tasks.analyse_captions.lexicon import lexicon, lexicon_digest
from earshot.tasks.analyse_captions.morphology import singulars, verb_forms
from earshot.tasks.analyse_captions.protocol import Analyser, Analysis
from earshot.tasks.analyse_captions.rules import RulesAnalyser
from earshot.tasks.analyse_captions.sounding import Reading, read
from earshot.tasks.analyse_captions.tagger import tag
from earshot.tasks.analyse_captions.vocabulary import word_of


def reading(text: str) -> Reading:
    """Read one caption with the packaged lexicon."""
    return read(text, lexicon())


def sounding(text: str) -> set[str]:
    """Return the names of what a caption says to sound."""
    return {thing.name for thing in reading(text).things if thing.sounds}


def silent(text: str) -> set[str]:
    """Return the names of what a caption names without a sound."""
    return {thing.name for thing in reading(text).things if not thing.sounds}


def caption(
    text: str, start_s: float = 0, end_s: float = 5, n: int = 0, source: CaptionSource = "given"
) -> Caption:
    """Make a caption of video `v`."""
    return Caption(
        caption_id=ids.caption_id("v", n),
        video_id="v",
        start_s=start_s,
        end_s=end_s,
        text=text,
        caption_source=source,
    )


def event(
    label: str | None, segments: list[tuple[float, float]], captions: tuple[str, ...] = ()
) -> Event:
    """Make an event of video `v` whose times are given."""
    return Event(
        event_id=ids.given_event_id("v", f"{label}{segments}"),
        video_id="v",
        label=label,
        description=label or "",
        segments=tuple(Interval(start_s=s, end_s=e) for s, e in segments),
        time_source="given",
        caption_ids=captions,
    )


def analyse(*captions: Caption, events: tuple[Event, ...] = ()) -> Analysis:
    """Run the analyser over one video."""
    return RulesAnalyser().analyse(captions, events, ())


# -- words


@pytest.mark.parametrize(
    ("plural", "expected"),
    [
        ("puppies", "puppy"), ("brushes", "brush"), ("horses", "horse"), ("women", "woman"),
        ("people", "person"), ("knives", "knife"), ("wolves", "wolf"), ("buses", "bus"),
        ("glass", "glass"), ("sheep", "sheep"), ("blorps", "blorp"), ("dishes", "dish"),
    ],
)  # fmt: skip
def test_nouns_are_made_singular(plural: str, expected: str) -> None:
    """Plurals are undone by rule, exceptions by the lexicon, unknown words by the regular guess."""
    assert lexicon().singular(plural) == expected


def test_words_that_are_no_plurals_stay() -> None:
    """A word in -ss, -us or -is has no other singular."""
    assert singulars("grass") == ("grass",)
    assert singulars("tennis") == ("tennis",)


@pytest.mark.parametrize(
    ("base", "forms"),
    [
        ("clap", ("claps", "clapping", "clapped", "clapped")),
        ("cry", ("cries", "crying", "cried", "cried")),
        ("screech", ("screeches", "screeching", "screeched", "screeched")),
        ("play", ("plays", "playing", "played", "played")),
        ("make", ("makes", "making", "maked", "maked")),
        ("tie", ("ties", "tying", "tied", "tied")),
    ],
)
def test_regular_verbs_are_bent(base: str, forms: tuple[str, str, str, str]) -> None:
    """The four regular forms follow spelling; irregular ones are the lexicon's business."""
    assert verb_forms(base) == forms


def tags(text: str) -> list[str]:
    """Return the parts of speech of a text."""
    return [token.tag for token in tag(text, lexicon())]


def test_context_tells_nouns_from_verbs() -> None:
    """`barks` and `drums` are nouns or verbs by what stands around them."""
    assert tags("The dog barks.") == ["DET", "NOUN", "VERB", "STOP"]
    assert tags("The barks are loud.") == ["DET", "NOUN", "AUX", "ADJ", "STOP"]
    assert tags("He plays the drums.") == ["PRON", "VERB", "DET", "NOUN", "STOP"]
    assert tags("A man drums on a box.")[2] == "VERB"


def test_unknown_words_degrade_sensibly() -> None:
    """An unseen word is a noun behind a determiner, a verb in -s behind it, an adverb in -ly."""
    assert tags("A wugger flibbers zonkly across the table.") == [
        "DET", "NOUN", "VERB", "ADV", "PREP", "DET", "NOUN", "STOP",
    ]  # fmt: skip
    assert silent("A wugger flibbers across the table.") == {"wugger", "table"}


# -- who sounds


def test_the_subject_of_a_sound_verb_sounds() -> None:
    """Nouns of prepositions and objects between subject and verb do not take its place."""
    assert sounding("A man in a dark suit and a tie speaks to an audience.") == {"man"}
    assert sounding("A small brown dog barks at a cat.") == {"dog"}
    assert sounding("A woman holding a sitar sings to the child.") == {"woman"}


def test_what_is_played_or_struck_sounds_in_the_players_stead() -> None:
    """A man who plays the guitar is seen and the guitar heard; a band without one is heard."""
    assert sounding("A man plays the guitar.") == {"guitar"}
    assert sounding("He hits the drum with two sticks.") == {"drum"}
    assert sounding("A boy slams the door.") == {"door"}
    assert sounding("A woman knocks on a window.") == {"window"}
    assert sounding("The band plays a song.") == {"band"}
    assert sounding("The bell is rung by a monk.") == {"bell"}


def test_play_and_hit_are_no_sounds_by_themselves() -> None:
    """Games, toys and balls make no sound by being played with or hit."""
    assert not reading("Two girls play tennis in the yard.").audible
    assert not reading("A boy hits the ball with a bat.").audible
    assert not reading("Children are playing with a kite.").audible


def test_clauses_share_and_change_subjects() -> None:
    """A subject holds over `and`, commas and gerunds, and ends with the next clause."""
    assert sounding("The dog jumps up, barks and runs away.") == {"dog"}
    assert sounding("A girl dances while a boy plays drums and sings.") == {"drum", "boy"}
    assert sounding("A dog barking and a man speaking.") == {"dog", "man"}
    assert sounding("Walking across the stage the man goes on speaking.") == {"man"}
    assert sounding("A dog and a cat fight while a small bird chirps.") == {"bird"}
    assert sounding("Two men who are sitting on a bench laugh.") == {"man"}
    assert sounding("The woman, laughing, hugs a dog.") == {"woman"}


def test_participles_take_the_nearest_thing_that_can_do_it() -> None:
    """A suit does not sing and a chair does not play: the man before them does."""
    assert sounding("A man in a red shirt singing on stage.") == {"man"}
    assert sounding("A man sits beside a dog barking at the gate.") == {"dog"}
    assert sounding("A wide shot shows two violinists in bright dresses playing.") == {"violinist"}


def test_participles_before_a_noun_say_what_it_does() -> None:
    """A barking dog barks and a washing machine does not wash aloud."""
    assert sounding("A barking dog and a crying baby.") == {"dog", "baby"}
    assert sounding("Chirping birds and ringing bells.") == {"bird", "bell"}
    assert sounding("A washing machine stands there.") == set()
    assert sounding("Birds chirping and bees buzzing.") == {"bird", "bee"}
    assert {t.name: t.verbs for t in reading("Birds chirping and bees buzzing.").things} == {
        "bird": {"chirp"}, "bee": {"buzz"},
    }  # fmt: skip


def test_machines_that_run_are_heard_and_pushes_are_not() -> None:
    """A running engine is noise; knocking something down and being cheered are none."""
    assert sounding("A lawn mower is running.") == {"lawn mower"}
    assert sounding("A ball knocks down the pins.") == set()
    assert sounding("The singer is cheered by the crowd.") == {"crowd"}
    assert not reading("A title says the name.").audible


def test_relative_clauses_end_where_the_main_verb_comes() -> None:
    """The verb behind a relative clause belongs to the antecedent again."""
    assert sounding("The woman who is holding a cat sings.") == {"woman"}
    assert sounding("A black dog that comes close barks twice.") == {"dog"}


@pytest.mark.parametrize(
    "text",
    [
        "The dog does not bark.",
        "A man stops talking and turns away.",
        "A woman walks in without speaking.",
        "A boy tries to sing.",
        "The parked cars stand silent.",
        "The dog never barks.",
        "The clip has no audible sound.",
        "A man opens his mouth to speak.",
    ],
)
def test_denied_stopped_and_intended_sounds_are_none(text: str) -> None:
    """Negation, `stop`, `without` and intentions leave the thing silent."""
    assert sounding(text) == set()


def test_begun_and_kept_up_sounds_count() -> None:
    """`starts to`, `keeps` and `continues` are sounds."""
    assert sounding("A baby starts to cry.") == {"baby"}
    assert sounding("The woman keeps singing.") == {"woman"}
    assert sounding("The guitar goes on.") == {"guitar"}


def test_named_sounds_go_to_their_makers() -> None:
    """`engine noise`, `the sound of` and `the man's voice` make the maker sound, not the noise."""
    assert sounding("The engine noise grows.") == {"engine"}
    assert sounding("The sound of a bell fills the hall.") == {"bell"}
    assert sounding("The man's voice echoes.") == {"man"}
    assert sounding("The engine makes a loud noise.") == {"engine"}
    assert sounding("A dog sits there and its barking is loud.") == {"dog"}


def test_sounds_of_nobody_are_heard_without_a_thing() -> None:
    """Wind, music and a voice make a caption audible but name nothing that could be boxed."""
    for text in ("Wind howls.", "Music plays in the background.", "A voice is heard."):
        assert reading(text).audible
        assert reading(text).things == ()


def test_unseen_things_are_heard_only() -> None:
    """Off-screen words take the sight away, and so does hearing without seeing."""
    for text in (
        "An off-screen person talks.",
        "The unseen person keeps talking.",
        "A person talks off camera.",
        "A person talks out of view.",
        "The person who talks is not visible.",
        "A person is heard talking.",
    ):
        assert [(t.name, t.seen, t.sounds) for t in reading(text).things] == [
            ("person", False, True)
        ], text


def test_a_sound_without_a_maker_in_sight_names_its_usual_maker() -> None:
    """`Barking is heard` speaks of a dog that is not seen, or of the only dog there is."""
    (bark, child) = reading("Loud barking is heard while a child sleeps.").things
    assert (bark.surface, bark.name, bark.seen, bark.sounds) == ("barking", "dog", False, True)
    assert not child.sounds
    (dog,) = reading("A dog stands there, then a bark is heard.").things
    assert (dog.surface, dog.seen, dog.sounds) == ("dog", True, True)


def test_hidden_and_denied_things_are_not_there() -> None:
    """What is hidden and silent, or said not to be there, is no mention; half hidden is seen."""
    assert silent("The dog outside is hidden by the red chair.") == {"chair"}
    assert silent("No violin is visible beside the table.") == {"table"}
    assert silent("The boy is half hidden by the girl.") == {"boy", "girl"}


def test_clothes_bodies_places_and_the_camera_are_no_things() -> None:
    """What is worn, a part of a body, a place or the viewpoint is never followed."""
    assert silent("A child in a red helmet raises a hand on the stage and faces the camera.") == {
        "child"
    }
    assert silent("A man holds a camera.") == {"man", "camera"}


# -- attachment, parts, named sounds, silence


def test_a_relative_clause_speaks_of_what_is_there_not_of_its_place() -> None:
    """`There is X by the Y that ...` is about X, and so is `an X by the Y that ...`."""
    assert sounding("There is a wooden gong by the curtain that booms.") == {"gong"}
    assert sounding("There is a parrot on a bench that squawks.") == {"parrot"}
    assert sounding("A kettle by the window that whistles is red.") == {"kettle"}
    assert sounding("A woman watches the dog that barks.") == {"dog"}
    assert sounding("A man stands beside the boy who sings.") == {"boy"}


def test_the_part_that_sounds_is_the_whole_and_no_thing_of_its_own() -> None:
    """Of `a lorry honks its horn` the lorry sounds; a man's horn is a thing that he holds."""
    (lorry,) = reading("A lorry by the brick wall honks its horn.").things
    assert (lorry.name, lorry.sounds) == ("lorry", True)
    assert sounding("An old tractor is revving its engine.") == {"tractor"}
    assert silent("An old tractor is revving its engine.") == set()
    assert sounding("A man honks his horn.") == {"horn"}
    assert silent("A green truck rocks on its wheels.") == {"truck"}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("The clanking of a rusty green tram carries far.", "tram"),
        ("The yowling of a thin black tomcat is loud.", "tomcat"),
        ("The rattle of a wooden bongo is heard in the yard.", "bongo"),
        ("The plucking of a lute fills the room.", "lute"),
        ("A man waits, and the hoot of an owl drifts across the field.", "owl"),
        ("Humming from a fridge.", "fridge"),
        ("From behind the house comes the whinnying of a pony.", "pony"),
    ],
)
def test_a_named_sound_is_its_makers_and_no_thing(text: str, name: str) -> None:
    """`The X-ing of a Y` and `the rattle of a Y` make Y sound; X is nothing that could be boxed."""
    assert sounding(text) == {name}
    assert silent(text) <= {"man", "house"}


def test_an_ing_form_without_a_sound_names_none() -> None:
    """`The painting of a house` is no sound."""
    assert not reading("The painting of a house hangs there.").audible
    assert not reading("The folding of a napkin is shown.").audible


def test_words_that_look_like_their_sound_are_sounds() -> None:
    """A verb that no dictionary here has sounds if it echoes; any other unknown verb does not."""
    assert sounding("A small box blonks three times.") == {"box"}
    assert sounding("A red clock is tick-tocking on the shelf.") == {"clock"}
    assert sounding("A small box flibbers three times.") == set()


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("A goose can be heard honking.", False),
        ("A white goose can be heard honking.", True),
        ("We see and hear a goose honking.", True),
        ("We hear a goose honking.", False),
        ("Off-screen, a goose honks.", False),
        ("Heard but never seen, a goose honks.", False),
        ("From outside the frame comes the honking of a goose.", False),
        ("A goose honks, goes out of sight for a while and comes back.", True),
        ("A goose honks, hidden for a moment by a tree.", True),
    ],
)
def test_what_is_heard_is_seen_where_its_looks_or_its_sight_are_told(text: str, seen: bool) -> None:
    """A thing with a colour was looked at; going away for a while is no absence."""
    goose = next(thing for thing in reading(text).things if thing.name == "goose")
    assert (goose.sounds, goose.seen) == (True, seen)


@pytest.mark.parametrize(
    "text",
    [
        "A tambourine shakes and rattles without any sound.",
        "In complete silence a phone rattles about on the table.",
        "Nothing is heard: a gong sways and clatters.",
        "A tin can rattles along nearby but stays silent.",
        "A drum rattles on its stand, making no noise.",
        "A bell rings; the scene is mute.",
        "A cart silently rattles past.",
    ],
)
def test_a_rattle_that_is_said_to_be_silent_is_a_movement(text: str) -> None:
    """Silence that is said of a thing, or of the scene, goes before the noise of its movement."""
    assert sounding(text) == set()


def test_stopping_later_does_not_silence_what_sounded_before() -> None:
    """A bell that rings and then is silent has been heard."""
    assert sounding("A bell rings, then it is silent.") == {"bell"}
    assert sounding("The bell rings and then stops ringing.") == {"bell"}


def test_times_are_no_objects_of_a_verb() -> None:
    """`Plays four times` names nothing that is played."""
    assert sounding("A guitar plays four times.") == {"guitar"}
    assert sounding("A bell tolls time after time.") == {"bell"}
    assert silent("A bell tolls time after time.") == set()


def test_scenery_is_where_things_are() -> None:
    """A hedge and an unknown word that only say where are no things; what is acted on is one."""
    assert silent("A dog sits near the hedge.") == {"dog"}
    assert silent("A man stands by the wainscot.") == {"man"}
    assert silent("A man cuts a hedge.") == {"man", "hedge"}
    assert silent("A man sits at the table.") == {"man", "table"}


def test_words_of_the_vocabulary_are_told_apart_by_place() -> None:
    """`Rocks` behind a singular noun is a verb, `paper` before a colour an adjective."""
    assert tags("A green car rocks on its wheels.")[3] == "VERB"
    assert tags("He throws rocks.")[2] == "NOUN"
    assert tags("A paper green kite dips.")[1] == "ADJ"
    assert tags("A squat lamp wobbles.")[1:4] == ["ADJ", "NOUN", "VERB"]
    assert tags("The runabout jitters.")[1:3] == ["NOUN", "VERB"]
    assert tags("One notices a frog.")[:2] == ["PRON", "VERB"]
    assert tags("They go over and over.")[2:5] == ["ADV", "ADV", "ADV"]
    assert silent("A tabby and a chaffinch sit on a davenport.") == {
        "tabby", "chaffinch", "davenport",
    }  # fmt: skip


def test_a_word_without_an_end_is_not_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The model's time grows with a word's square: 5,000 letters would stop a build for minutes."""
    asked: list[str] = []

    class Model:
        def tag_word(self, word: str, casesensitive: bool) -> list[tuple[str, float]]:
            asked.append(word)
            return []

    monkeypatch.setattr("earshot.tasks.analyse_captions.vocabulary._model", Model)
    assert word_of.__wrapped__("y" * 5000).noun
    assert asked == []
    word_of.__wrapped__("y" * 59)
    assert asked == ["y" * 59]


def test_a_motor_that_passes_is_heard_among_other_sounds_only() -> None:
    """A passing lorry is heard where the caption tells of sounds, else it is only seen."""
    assert sounding("A man talks as a lorry drives by.") == {"man", "lorry"}
    assert sounding("A lorry drives by.") == set()
    assert sounding("A man talks as a bicycle passes by.") == {"man"}


@pytest.mark.parametrize("name", sorted(lexicon().categories))
def test_every_category_maps_to_itself(name: str) -> None:
    """A caption that is a category's name becomes an event of that label."""
    assert analyse(caption(name)).events[0].label == name


# -- phrases


@pytest.mark.parametrize(
    ("text", "surface", "name", "count", "is_group"),
    [
        ("A small brown dog barks.", "small brown dog", "dog", 1, False),
        ("The two young men talk.", "two young men", "man", 2, False),
        ("A group of people clap.", "group of people", "person", None, True),
        ("A couple of girls laugh.", "couple of girls", "girl", 2, False),
        ("The crowd cheers.", "crowd", "crowd", None, True),
        ("A hair dryer buzzes.", "hair dryer", "hair dryer", 1, False),
        ("Parked cars honk.", "Parked cars", "car", None, False),
        ("A grey and white dog barks.", "grey and white dog", "dog", 1, False),
        ("One of the men laughs.", "One of the men", "man", 1, False),
    ],
)
def test_phrases_have_span_head_and_number(
    text: str, surface: str, name: str, count: int | None, is_group: bool
) -> None:
    """A phrase keeps its words without the article; compounds, groups and numbers are read."""
    (thing,) = reading(text).things
    assert (thing.surface, thing.name, thing.count, thing.is_group) == (
        surface, name, count, is_group,
    )  # fmt: skip
    assert thing.sounds


@pytest.mark.parametrize(
    ("text", "surface", "name", "sounds"),
    [
        ("A blue car revs while a green one stays silent.", "a green one", "car", False),
        ("A dog sleeps. Another barks.", "Another", "dog", True),
        ("A man holds a red guitar and a woman plays a blue one.", "a blue one", "guitar", True),
        ("One man waits, the other sings.", "the other", "man", True),
        ("A car passes by and then a second one honks.", "a second one", "car", True),
        ("A man waits and a second man sings.", "second man", "man", True),
    ],
)
def test_one_and_another_are_things_of_a_kind_that_was_named(
    text: str, surface: str, name: str, sounds: bool
) -> None:
    """What stands for a further thing is a mention of its own, with its own sound or silence."""
    (found,) = [each for each in reading(text).things if each.surface == surface]
    assert (found.name, found.count, found.sounds) == (name, 1, sounds)


def test_one_that_stands_for_people_or_nothing_before_is_no_thing() -> None:
    """In "all one sees" it is the viewer; "another" with nothing before it stays open."""
    (seen,) = reading("All one sees is a balloon.").things
    assert seen.name == "balloon"
    assert reading("Another barks.").things == ()


# -- events and mentions


def test_each_audible_caption_becomes_an_event() -> None:
    """The event has the caption's interval, text and category; silent captions make none."""
    found = analyse(
        caption("A dog barks.", 0, 2, 0), caption("The road is empty.", 2, 4, 1),
        caption("Wind rumbles over a parked car.", 4, 6, 2),
    )  # fmt: skip
    assert [(e.label, e.segments[0].pair, e.time_source) for e in found.events] == [
        ("dog barking", (0, 2), "caption"),
        (None, (4, 6), "caption"),
    ]
    assert found.events[0].description == "A dog barks."
    assert found.events[0].event_id == ids.event_id("v", ["v/c0"], "dog barking", 0)
    assert found.empty_caption_ids == ("v/c1",)


def test_labels_are_taken_from_the_categories_asked_for() -> None:
    """A category that is not asked for is no label; its given spelling is kept."""
    captions = [caption("A dog barks.")]
    assert RulesAnalyser().analyse(captions, (), ("Dog Barking",)).events[0].label == "Dog Barking"
    assert RulesAnalyser().analyse(captions, (), ("playing flute",)).events[0].label is None


def test_two_kinds_of_sound_have_no_label() -> None:
    """Where the category is not clear the label is null."""
    (found,) = analyse(caption("A dog barks and a man laughs.")).events
    assert found.label is None


def test_silent_captions_add_their_things_to_events_that_they_overlap() -> None:
    """What an overlapping caption only shows is a silent mention of the event."""
    found = analyse(caption("A dog barks.", 0, 4, 0), caption("A cat sits on a chair.", 2, 6, 1))
    assert [(m.name, m.audibility, m.caption_id) for m in found.mentions] == [
        ("dog", "visible_and_audible", "v/c0"),
        ("cat", "visible_only", "v/c1"),
        ("chair", "visible_only", "v/c1"),
    ]
    assert found.empty_caption_ids == ()


def test_given_events_stand_and_take_overlapping_captions() -> None:
    """Times and labels are untouched; sounding is caption and segments in common."""
    given = event("dog barking", [(1, 3), (8, 9)])
    found = analyse(
        caption("A dog barks beside a car.", 2, 8.5, 0), caption("A cat meows.", 20, 22, 1),
        events=(given,),
    )  # fmt: skip
    assert found.events == (given,)
    assert [(m.name, [i.pair for i in m.sounding]) for m in found.mentions] == [
        ("dog", [(2, 3), (8, 8.5)]),
        ("car", []),
    ]
    assert found.empty_caption_ids == ("v/c1",)


def test_a_given_label_says_what_sounds_where_the_caption_does_not() -> None:
    """The label gives the sound, the caption the evidence; an explicit sounder needs no label."""
    given = event("male singing", [(0, 5)])
    (man, _) = analyse(caption("A man stands beside a woman."), events=(given,)).mentions
    assert (man.surface, man.audibility) == ("man", "visible_and_audible")
    clapping = event("people clapping", [(0, 5)])
    found = analyse(caption("A man watches a woman who claps."), events=(clapping,))
    assert [(m.name, bool(m.sounding)) for m in found.mentions] == [("man", False), ("woman", True)]


def test_a_label_that_stands_as_caption_names_what_sounds() -> None:
    """`car passing by` has no sound word, but a label names a sound; it serves its event only."""
    label = caption("car passing by", 0, 5, 0, "label")
    own = event("car passing by", [(0, 5)], ("v/c0",))
    other = event("dog barking", [(2, 4)], ("v/c7",))
    found = analyse(label, events=(own, other))
    assert [(m.event_id, m.surface, m.audibility) for m in found.mentions] == [
        (own.event_id, "car", "visible_and_audible")
    ]


def test_every_category_can_be_read_as_a_label() -> None:
    """Whatever a category names is a verbatim part of it and sounds; most name something."""
    categories = lexicon().categories
    read_all = {name: read_label(name, lexicon()).things for name in categories}
    assert len(categories) == 100
    for name, things in read_all.items():
        assert all(name[t.char_start : t.char_end] == t.surface and t.sounds for t in things)
    assert sum(bool(things) for things in read_all.values()) > 80


def test_pronouns_mean_the_last_thing_that_fits_also_of_a_caption_before() -> None:
    """`He` is a mention of the man before; in his own caption he is not named twice."""
    found = analyse(
        caption("A man stands beside a dog.", 0, 2, 0), caption("He speaks.", 2, 4, 1),
        caption("A woman smiles and she sings.", 4, 6, 2),
    )  # fmt: skip
    assert [(m.surface, m.name, m.audibility) for m in found.mentions] == [
        ("He", "man", "visible_and_audible"),
        ("woman", "woman", "visible_and_audible"),
    ]


def test_ids_do_not_depend_on_the_order_of_captions_in_time() -> None:
    """Mentions and events of captions given in another order are the same records."""
    captions = [caption("A dog barks.", 3, 5, 0), caption("A cat meows.", 0, 2, 1)]
    first = RulesAnalyser().analyse(captions, (), ())
    second = RulesAnalyser().analyse(captions[::-1], (), ())
    assert first.events == second.events
    assert first.mentions == second.mentions


def test_captions_of_two_videos_are_refused() -> None:
    """One call is one video."""
    other = caption("A dog barks.").model_copy(update={"video_id": "w"})
    with pytest.raises(InputError, match=r"\['v', 'w'\].*once a video"):
        analyse(caption("A cat meows."), other)


def test_the_backend_has_a_name_a_version_and_a_digest_of_its_words() -> None:
    """What the stage's key needs is there, and the digest is that of the file."""
    backend: Analyser = RulesAnalyser()
    assert backend.name == "rules"
    assert backend.version
    assert len(lexicon_digest()) == 64


WORDS = [
    *sorted(lexicon().tags), *sorted(lexicon().verb_forms)[::7], *sorted(lexicon().noun_class)[::7],
    "'s", ",", ".", ";", "zorblax", "7", "dog", "bark", "barking", "of", "the", "who",
]  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(
    st.one_of(
        st.text(max_size=80),
        st.lists(st.sampled_from(WORDS), max_size=25).map(" ".join),
    )
)
def test_any_text_is_read_without_an_error_and_spans_are_verbatim(text: str) -> None:
    """No text breaks the reader, and every surface stands in the text where it is said to."""
    first = reading(text)
    assert first == reading(text)
    for thing in first.things:
        assert text[thing.char_start : thing.char_end] == thing.surface != ""
        assert thing.seen or thing.sounds
        assert thing.count is None or thing.count >= 1
    if text:
        analyse(caption(text))


def test_real_captions_give_the_expected_events(shared_data: Path) -> None:
    """On the shared clips silent videos give no event, and the barking dog is found in its clip."""
    lines = (shared_data / "input.jsonl").read_text(encoding="utf-8").splitlines()
    found: dict[str, Analysis] = {}
    for line in lines:
        video = json.loads(line)
        captions = [
            caption(c["text"], c["start_s"], c["end_s"], n) for n, c in enumerate(video["captions"])
        ]
        found[video["video_id"]] = analyse(*captions)
    assert not found["intel_car-detection"].events
    assert not found["sam2_01_dog"].events
    barks = found["llp_BjCEufrlXm4"]
    assert barks.events[0].label == "dog barking"
    assert {(m.name, m.audibility) for m in barks.mentions} == {
        ("dog", "visible_and_audible"), ("dog", "visible_only"), ("person", "audible_only"),
    }  # fmt: skip
