"""Texts of many questions at once have the bytes that each would have had alone."""

from __future__ import annotations

import random

import numpy as np
import pyarrow as pa
import pytest

from earshot.prompts.packs import load_pack
from earshot.schemas import ids
from earshot.tasks.bulk_text import number_texts, question_ids, question_texts


def test_questions_are_worded_as_a_pack_words_them():
    """Every wording of the pack, in any order, with and without names to fill in."""
    pack = load_pack("earshot")
    templates = ["What happens?", *(text for each in pack.templates for text in each.question)]
    rng = random.Random(3)
    which = np.array([rng.randrange(len(templates)) for _ in range(400)])
    names = [f"dog {rng.randrange(9)}" for _ in which]
    starts, ends = ([f"{rng.random() * 50:.1f}" for _ in which] for _ in range(2))
    fields = {"object": pa.array(names), "start": pa.array(starts), "end": pa.array(ends)}
    fields["options"] = pa.array(["a dog or a cat"] * len(which))
    expected = [
        templates[w].format(object=o, start=s, end=e, options="a dog or a cat")
        for w, o, s, e in zip(which, names, starts, ends, strict=True)
    ]
    assert question_texts(templates, which, fields).to_pylist() == expected
    with pytest.raises(KeyError):
        question_texts(["{nobody}"], np.array([0]), fields)
    assert len(question_texts(templates, np.array([], int), fields)) == 0


def test_ids_are_those_of_single_questions():
    """With no branch, no event, one and several."""
    kinds = [("temporal", None, "earshot", "t-1"), ("spatial", "sounding", "r-avst", "s")]
    events = [[f"v{i}/e-{i:08x}" for i in range(i % 3)] for i in range(50)]
    objects = [[f"v{i}/o-{i:08x}"] for i in range(50)]
    which = np.arange(50) % 2
    videos = pa.array([f"v{i}" for i in range(50)])
    made = question_ids(videos, kinds, which, pa.array(events), pa.array(objects)).to_pylist()
    assert made == [
        ids.question_id(f"v{i}", *kinds[i % 2], events[i], objects[i]) for i in range(50)
    ]


@pytest.mark.parametrize("units", [[0, 5, 10, 123], [7], [0, 9_000_000]])
def test_numbers_have_their_decimals(units):
    """By a table, or by their distinct values where they lie far apart."""
    assert number_texts(np.array(units), 1).to_pylist() == [f"{u / 10:.1f}" for u in units]
    assert number_texts(np.array(units), 0).to_pylist() == [str(u) for u in units]
