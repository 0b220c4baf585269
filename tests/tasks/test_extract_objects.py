"""Key-object extraction: evidence, merging, audibility, names for readers and detectors."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earshot.geometry import intervals
from earshot.schemas import ids
from earshot.schemas.base import Interval
from earshot.schemas.caption import Caption
from earshot.schemas.event import Event
from earshot.schemas.mention import Audibility, Mention
from earshot.schemas.object import Object
from earshot.tasks.extract_objects.merge import Extraction, merge, names_digest


def caption(text: str, n: int = 0, start_s: float = 0, end_s: float = 10) -> Caption:
    """Make a caption of video `v`."""
    return Caption(
        caption_id=f"v/c{n}", video_id="v", start_s=start_s, end_s=end_s, text=text,
        caption_source="given",
    )  # fmt: skip


def event(name: str = "one", *segments: tuple[float, float]) -> Event:
    """Make an event of video `v`."""
    return Event(
        event_id=ids.given_event_id("v", name), video_id="v", label=None, description=name,
        segments=tuple(Interval(start_s=s, end_s=e) for s, e in segments or [(0, 10)]),
        time_source="given", caption_ids=(),
    )  # fmt: skip


def mention(
    of: Caption,
    surface: str,
    name: str,
    *,
    within: Event | None = None,
    audibility: Audibility = "visible_only",
    sounding: tuple[tuple[float, float], ...] = (),
    count: int | None = 1,
    is_group: bool = False,
    confidence: float | None = 0.9,
    char_start: int | None = None,
) -> Mention:
    """Make a mention whose span is where the surface first stands in the caption."""
    start = of.text.find(surface) if char_start is None else char_start
    at = (within or event()).event_id
    return Mention(
        mention_id=ids.mention_id(at, of.caption_id, max(start, 0), max(start, 0) + len(surface)),
        video_id="v", event_id=at, caption_id=of.caption_id, surface=surface,
        char_start=max(start, 0), char_end=max(start, 0) + len(surface),
        head=name.rsplit(" ", 1)[-1], name=name, count=count, is_group=is_group,
        audibility=audibility, confidence=confidence,
        sounding=tuple(Interval(start_s=s, end_s=e) for s, e in sounding),
    )  # fmt: skip


def names(found: Extraction) -> list[str]:
    """Return the names of the objects in order."""
    return [each.name for each in found.objects]


def only(found: Extraction) -> Object:
    """Return the one object that was found."""
    (one,) = found.objects
    return one


# -- what is refused


def test_words_that_are_not_in_the_caption_are_rejected() -> None:
    """A model that makes up a thing, or points at other words, gets no object for it."""
    text = caption("A dog barks.")
    made_up = mention(text, "violin", "violin")
    shifted = mention(text, "dog", "dog", char_start=3)
    found = merge([made_up, shifted], [text], [event()])
    assert found.objects == ()
    assert [each.code for each in found.rejected] == ["not_in_caption", "not_in_caption"]
    assert "read 'og ', expected 'dog'" in found.rejected[1].message


def test_unknown_captions_and_events_are_rejected() -> None:
    """Evidence must stand in a caption of the video and an event of it."""
    text = caption("A dog barks.")
    elsewhere = mention(caption("A dog barks.", n=7), "dog", "dog")
    other = mention(text, "dog", "dog", within=event("other"))
    found = merge([elsewhere, other], [text], [event()])
    assert [each.code for each in found.rejected] == ["not_in_caption"] * 2


@pytest.mark.parametrize("name", ["silence", "noise", "voice", "air", "music", "camera", "scene"])
def test_what_cannot_be_boxed_is_no_object(name: str) -> None:
    """Sounds, the air, the viewpoint and the picture itself are refused with their own code."""
    text = caption(f"The {name} is here.")
    found = merge([mention(text, name, name)], [text], [event()])
    assert found.objects == ()
    assert found.event_objects == ()
    assert found.rejected[0].code == "not_an_object"


@pytest.mark.parametrize("name", ["x" * 81, "dog<b>", "None"])
def test_what_cannot_stand_in_an_answer_is_no_object(name: str) -> None:
    """A word of a caption or label that breaks the answer grammar costs no tracking and no box."""
    text = caption(f"A dog and a {name} bark.")
    found = merge([mention(text, name, name), mention(text, "dog", "dog")], [text], [event()])
    assert names(found) == ["dog"]
    (rejected,) = found.rejected
    assert rejected.code == "bad_name"
    assert "can't stand in an answer" in rejected.message


# -- merging


def test_mentions_of_one_thing_become_one_object() -> None:
    """A description, the bare name and a pronoun of two captions are one object with all spans."""
    first, second = (
        caption("A small brown dog runs.", 0, 0, 5),
        caption("It barks. The dog sits.", 1, 5, 9),
    )
    mentions = [
        mention(second, "dog", "dog"),
        mention(second, "It", "dog", audibility="visible_and_audible", sounding=((5, 9),)),
        mention(first, "small brown dog", "dog"),
    ]
    found = merge(mentions, [first, second], [event()])
    dog = only(found)
    assert dog.object_id == ids.object_id("v", "dog")
    assert dog.surfaces == ("small brown dog", "It", "dog")
    assert dog.grounding_phrase == "a small brown dog"
    (there,) = found.event_objects
    assert [(e.caption_id, e.char_start, e.char_end) for e in there.evidence] == [
        ("v/c0", 2, 17), ("v/c1", 0, 2), ("v/c1", 14, 17),
    ]  # fmt: skip


def test_pronouns_and_sounds_are_surfaces_but_no_answers() -> None:
    """A reader may answer with names of the thing, not with `it` or `barking`."""
    text = caption("A dog sits; it waits; barking is heard.")
    mentions = [
        mention(text, "dog", "dog"),
        mention(text, "it", "dog", char_start=12),
        mention(text, "barking", "dog", audibility="audible_only", sounding=((0, 10),)),
    ]
    dog = only(merge(mentions, [text], [event()]))
    assert "barking" in dog.surfaces
    assert {"it", "barking"} & set(dog.accept) == set()
    assert {"dog", "puppy"} <= set(dog.accept)


def test_an_unseen_plural_may_still_be_answered() -> None:
    """`People` that are only heard are named all the same."""
    text = caption("Unseen people talk.")
    said = mention(text, "Unseen people", "person", audibility="audible_only", sounding=((0, 1),))
    assert "unseen people" in only(merge([said], [text], [event()])).accept


def test_synonyms_are_one_object_under_the_canonical_name() -> None:
    """A guy and a man are one kind of thing; both words may be answered."""
    text = caption("A tall guy waves and the man laughs.")
    man = only(
        merge([mention(text, "tall guy", "guy"), mention(text, "man", "man")], [text], [event()])
    )
    assert (man.name, man.head) == ("man", "man")
    assert {"man", "guy", "tall guy", "gentleman"} <= set(man.accept)


def test_different_things_stay_apart() -> None:
    """Other names are other objects, in the order of the text whatever the order of the input."""
    text = caption("A man and a woman watch a dog.")
    mentions = [mention(text, word, word) for word in ("dog", "man", "woman")]
    assert names(merge(mentions, [text], [event()])) == ["man", "woman", "dog"]


def test_a_bare_head_means_the_only_compound_before() -> None:
    """`The car` is the police car of before, but `a car`, or a car beside it, is another."""
    first, later = caption("A police car stops.", 0, 0, 5), caption("The car leaves.", 1, 5, 9)
    another, beside = caption("A car leaves.", 1, 5, 9), caption("A police car passes the car.", 0)
    police = mention(first, "police car", "police car")
    joined = merge([police, mention(later, "car", "car")], [first, later], [event()])
    assert names(joined) == ["police car"]
    assert "car" in only(joined).accept
    parted = merge([police, mention(another, "car", "car")], [first, another], [event()])
    assert names(parted) == ["police car", "car"]
    both = [
        mention(beside, "police car", "police car"),
        mention(beside, "car", "car", char_start=24),
    ]
    assert names(merge(both, [beside], [event()])) == ["police car", "car"]


# -- events


def test_the_strongest_audibility_wins_inside_an_event_only() -> None:
    """Seen and heard beats heard beats seen; each event is judged for itself."""
    text = caption("A man sits. A man talks. A man sings.")
    one, two = event("one", (0, 5)), event("two", (5, 10))
    third = text.text.rfind("man")
    mentions = [
        mention(text, "man", "man", within=one),
        mention(text, "man", "man", within=one, char_start=14, audibility="audible_only",
                sounding=((0, 2),)),
        mention(text, "man", "man", within=two, char_start=third,
                audibility="visible_and_audible", sounding=((6, 7),)),
    ]  # fmt: skip
    found = merge(mentions, [text], [one, two])
    assert [(o.event_id, o.audibility) for o in found.event_objects] == [
        (one.event_id, "audible_only"), (two.event_id, "visible_and_audible"),
    ]  # fmt: skip


def test_sounding_times_are_united_and_cut_to_the_event() -> None:
    """Overlapping times join, what lies outside the segments is dropped."""
    text = caption("A dog barks and the dog howls.")
    here = event("one", (1, 4), (6, 8))
    mentions = [
        mention(text, "dog", "dog", within=here, audibility="visible_and_audible",
                sounding=((0, 3),)),
        mention(text, "dog", "dog", within=here, char_start=20, audibility="visible_and_audible",
                sounding=((2, 7),)),
    ]  # fmt: skip
    (dog,) = merge(mentions, [text], [here]).event_objects
    assert [each.pair for each in dog.sounding] == [(1, 4), (6, 7)]


def test_a_sound_outside_the_event_is_none() -> None:
    """What sounds at other times only is seen here, no more."""
    text = caption("A dog barks.")
    late = mention(text, "dog", "dog", audibility="visible_and_audible", sounding=((11, 12),))
    (dog,) = merge([late], [text], [event()]).event_objects
    assert (dog.audibility, dog.sounding) == ("visible_only", ())


def test_the_limit_keeps_what_sounds_then_what_is_sure() -> None:
    """Past the limit the unsure silent things go; an object in no event any more goes too."""
    text = caption("A dog barks beside a car and a box.")
    mentions = [
        mention(text, "box", "box", confidence=0.5),
        mention(text, "car", "car", confidence=0.9),
        mention(text, "dog", "dog", audibility="visible_and_audible", sounding=((0, 1),),
                confidence=0.6),
    ]  # fmt: skip
    found = merge(mentions, [text], [event()], max_objects_per_event=2)
    assert names(found) == ["dog", "car"]
    assert [each.object_id for each in found.over_limit] == [ids.object_id("v", "box")]
    assert found.rejected == ()


def test_confidence_is_that_of_the_strongest_mention() -> None:
    """A sure silent mention does not make an unsure sound sure; none said stays null."""
    text = caption("A dog sits and the dog barks.")
    mentions = [
        mention(text, "dog", "dog", confidence=0.9),
        mention(text, "dog", "dog", char_start=19, audibility="visible_and_audible",
                sounding=((0, 1),), confidence=0.6),
    ]  # fmt: skip
    assert merge(mentions, [text], [event()]).event_objects[0].confidence == 0.6
    unsure = [mention(text, "dog", "dog", confidence=None)]
    assert merge(unsure, [text], [event()]).event_objects[0].confidence is None


# -- names for readers and detectors


def test_accepted_names_are_normalised_and_unique() -> None:
    """What a reader may answer has the comparison form of answers."""
    text = caption("A Dark-Haired Woman sings; the woman bows.")
    mentions = [mention(text, "Dark-Haired Woman", "woman"), mention(text, "woman", "woman")]
    accept = only(merge(mentions, [text], [event()])).accept
    assert accept[:2] == ("dark haired woman", "woman")
    assert len(set(accept)) == len(accept)


@pytest.mark.parametrize(
    ("text", "surfaces", "name", "phrase"),
    [
        ("A small brown dog barks.", ["small brown dog"], "dog", "a small brown dog"),
        ("A red car and a silver car pass.", ["red car", "silver car"], "car", "a car"),
        ("An old accordion plays.", ["old accordion"], "accordion", "an old accordion"),
        ("The whole mirror turns.", ["whole mirror"], "mirror", "a mirror"),
        ("The dog barks.", ["dog"], "dog", "a dog"),
    ],
)
def test_the_grounding_phrase_fits_every_instance(
    text: str, surfaces: list[str], name: str, phrase: str
) -> None:
    """One description is kept in full; several, or words that no picture shows, leave the name."""
    said = caption(text)
    found = merge([mention(said, surface, name) for surface in surfaces], [said], [event()])
    assert only(found).grounding_phrase == phrase


def test_counted_things_are_asked_for_one_by_one_and_groups_as_a_whole() -> None:
    """Two violinists are two tubes of `a violinist`; a group of people is one box."""
    text = caption("Two violinists play before a group of people.")
    players = mention(text, "Two violinists", "violinist", count=2)
    people = mention(text, "group of people", "person", count=None, is_group=True)
    first, second = merge([players, people], [text], [event()]).objects
    assert (first.count, first.is_group, first.grounding_phrase) == (2, False, "a violinist")
    assert (second.count, second.is_group, second.grounding_phrase) == (
        None, True, "a group of people",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "surfaces", "count"),
    [
        ("A blue car revs while a green one stays silent.", ["blue car", "a green one"], 2),
        ("A blue car revs while a green one stays silent.", ["A blue car", "a green one"], 2),
        ("A car revs beside another car.", ["car", "another car"], 2),
        ("A car revs beside the other.", ["car", "the other"], 2),
        ("One car honks while a second car waits.", ["One car", "second car"], 2),
        ("Two cars wait and a third car honks.", ["Two cars", "third car"], 3),
        ("The other car honks.", ["other car"], 2),
        ("A car honks as cars pass.", ["car", "cars"], 3),
        ("A car honks. The red car waits.", ["car", "red car"], 2),
        ("A car honks, then the car waits.", ["car", "the car"], 1),
        ("A red car honks, then the car waits; it stalls.", ["red car", "the car", "it"], 1),
        ("A car honks, honking is heard again.", ["car", "honking"], 1),
        ("Two cars wait. The red car honks.", ["Two cars", "red car"], 2),
        ("Two cars wait. One car honks.", ["Two cars", "One car"], 2),
        ("A car passes another car; the other car honks.",
         ["car", "another car", "the other car"], 2),
    ],
)  # fmt: skip
def test_words_that_tell_things_apart_count_them(
    text: str, surfaces: list[str], count: int
) -> None:
    """Words like "another" bring in a second instance; what may well be the same is no new one."""
    said = caption(text)
    many = {"Two cars": 2, "cars": None}
    told = [mention(said, each, "car", count=many.get(each, 1)) for each in surfaces]
    car = only(merge(told, [said], [event()]))
    assert (car.name, car.count) == ("car", count)
    assert not {"it", "other", "another", "a green one", "green one"} & set(car.accept)


def test_the_same_mention_in_two_events_counts_once() -> None:
    """Events that overlap a caption share its things."""
    said = caption("A car honks.")
    here, there = event("one", (0, 5)), event("two", (4, 9))
    told = [mention(said, "car", "car", within=each) for each in (here, there)]
    assert only(merge(told, [said], [here, there])).count == 1


def test_an_ordinal_is_no_part_of_a_name() -> None:
    """A model's "second man" is a man; a bow tie keeps its words."""
    said = caption("One man sings, a second man wears a bow tie.")
    told = [mention(said, "One man", "man"), mention(said, "second man", "second man"),
            mention(said, "bow tie", "bow tie")]  # fmt: skip
    assert names(merge(told, [said], [event()])) == ["man", "bow tie"]


def test_a_kind_is_a_group_only_if_every_mention_is() -> None:
    """A crowd and a person of it are not followed with one box."""
    text = caption("People cheer and one person waves.")
    mentions = [
        mention(text, "People", "person", count=None, is_group=True),
        mention(text, "person", "person"),
    ]
    assert not only(merge(mentions, [text], [event()])).is_group


def test_nothing_gives_nothing() -> None:
    """No mentions, no objects."""
    assert merge([], [], []) == Extraction((), (), (), ())


def test_the_digest_is_that_of_the_names_file() -> None:
    """What the stage's key needs: a sha256."""
    assert len(names_digest()) == 64


TEXT = "A dog and a cat and a guy with a drum beside the music and a man."
PLACES = [("dog", "dog"), ("cat", "cat"), ("guy", "guy"), ("drum", "drum"), ("man", "man"),
          ("music", "music"), ("ghost", "ghost")]  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(PLACES),
            st.sampled_from(["visible_only", "audible_only", "visible_and_audible"]),
            st.integers(0, 1),
            st.tuples(st.floats(0, 8), st.floats(0.1, 4)),
        ),
        max_size=12,
    ),
    st.randoms(use_true_random=False),
)
def test_every_mention_is_used_or_rejected_whatever_the_order(rows, random) -> None:  # type: ignore[no-untyped-def]
    """Nothing is lost, sounding stays inside the event, and shuffling changes no object."""
    text = caption(TEXT)
    events = [event("one", (0, 5)), event("two", (3, 10))]
    mentions = {}
    for (surface, name), audibility, k, (start, length) in rows:
        made = mention(
            text, surface, name, within=events[k], audibility=audibility,
            sounding=() if audibility == "visible_only" else ((start, start + length),),
        )  # fmt: skip
        mentions[made.mention_id] = made
    given_order = list(mentions.values())
    found = merge(given_order, [text], events)
    used = {(o.event_id, e.char_start) for o in found.event_objects for e in o.evidence}
    refused = {(r.mention.event_id, r.mention.char_start) for r in found.rejected}
    assert used | refused == {(m.event_id, m.char_start) for m in given_order}
    for each in found.event_objects:
        segments = next(e.segments for e in events if e.event_id == each.event_id)
        pairs = [interval.pair for interval in each.sounding]
        inside = intervals.intersect(pairs, [segment.pair for segment in segments])
        assert list(inside) == pairs
        assert all(a[1] <= b[0] for a, b in pairwise(pairs))
    shuffled = list(given_order)
    random.shuffle(shuffled)
    again = merge(shuffled, [text], events)
    assert again.objects == found.objects
    assert again.event_objects == found.event_objects
