"""Near duplicates are found by what their frames show, and joined into one split."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from earshot.tasks.publish_release.leaks import join_near
from earshot.tasks.publish_release.near import MAX_BITS, near_duplicates

HASH = st.integers(0, 2**256 - 1)
SPLIT = st.sampled_from(("train", "validation", "test"))


def _text(values):
    return " ".join(f"{value:064x}" for value in values)


def _bits(a, b):
    return (a ^ b).bit_count()


@given(
    st.dictionaries(
        st.sampled_from("abcde"),
        st.lists(st.tuples(st.sampled_from([0, 2**200 - 1, 2**128 - 1]), st.integers(0, 2**34)),
                 min_size=1, max_size=9),
        min_size=2,
    )
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_pairs_are_those_that_a_plain_count_finds(drawn):
    """Half of the frames of the one with fewer, each within 31 bits of some frame of the other."""
    frames = {name: {base ^ low for base, low in pairs} for name, pairs in drawn.items()}
    expected = []
    for a in sorted(frames):
        for b in sorted(frames):
            few, many = sorted((frames[a], frames[b]), key=len)
            if a >= b or len(few) < 4:
                continue
            sides = [(few, many)] if len(few) < len(many) else [(frames[a], frames[b])]
            hits = sum(any(_bits(x, y) <= MAX_BITS for y in sides[0][1]) for x in sides[0][0])
            if hits >= len(few) / 2:
                expected.append((a, b))
    found = near_duplicates({name: _text(values) for name, values in frames.items()})
    assert list(found) == expected


def test_without_a_fingerprint_nothing_is_near():
    """None, and too few frames that can be told apart."""
    few = _text([1, 2, 3])
    assert near_duplicates({"a": None, "b": few, "c": few}) == ()


VIDEOS = st.sampled_from("abcdefgh")


@given(
    st.lists(st.tuples(VIDEOS, VIDEOS).filter(lambda p: p[0] < p[1]), max_size=9),
    st.dictionaries(VIDEOS, SPLIT, min_size=1),
    st.dictionaries(VIDEOS, SPLIT),
)
@settings(max_examples=200, deadline=None)
def test_no_pair_is_left_in_two_splits_unless_both_were_published(near, drawn, published):
    """Published videos stay; a bridge is new, and was near to more than one split."""
    drawn = {**drawn, **{v: s for v, s in published.items() if v in drawn}}
    joined = join_near(near, [], drawn, published)
    final = {v: joined.splits.get(v, s) for v, s in drawn.items() if v not in joined.bridges}
    for a, b in near:
        if a in final and b in final and not (a in published and b in published):
            assert final[a] == final[b]
    assert all(final[v] == s for v, s in published.items() if v in final)
    assert not joined.bridges.keys() & published.keys()
    if len(set(published.values())) < 2:
        assert not joined.bridges
