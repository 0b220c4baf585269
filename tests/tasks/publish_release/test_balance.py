"""Quotas hold, the most questions stay, and each that is left out says why."""

from __future__ import annotations

import re
from collections import Counter
from itertools import product
from pathlib import Path

import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from earshot.schemas.config import Quota, ReleaseConfig
from earshot.schemas.event import Event
from earshot.schemas.video import Video
from earshot.tasks.publish_release.balance import Traits, over_quota, read_traits
from earshot.tasks.publish_release.publish import publish

TASK, CATEGORY = Quota(by="task", max_share=0.5), Quota(by="category", max_share=0.4)


def _config(*quotas, seed=0):
    return ReleaseConfig(name="yard", quotas=quotas, quota_seed=seed)


def _traits(values, split="train"):
    return [Traits(f"q{n}", split, each) for n, each in enumerate(values)]


CELLS = st.lists(
    st.tuples(
        st.sampled_from([("t",), ("s",), ("b",), ()]), st.sampled_from([("x",), ("y", "z"), ("z",)])
    ),
    max_size=7,
)


@given(CELLS)
@settings(max_examples=40, deadline=None)
def test_no_larger_choice_keeps_the_quotas(values):
    """Against all subsets of up to seven questions."""
    traits, config = _traits(values), _config(TASK, CATEGORY)
    out, _ = over_quota(traits, config)

    def holds(chosen):
        for nth, quota in enumerate(config.quotas):
            having = [each for each in chosen if each.values[nth]]
            counts = Counter(value for each in having for value in each.values[nth])
            if any(n > quota.max_share * len(having) + 1e-9 for n in counts.values()):
                return False
        return True

    kept = [each for each in traits if each.question_id not in out]
    assert holds(kept)
    subsets = product((False, True), repeat=len(traits))
    best = max(
        sum(mask)
        for mask in subsets
        if holds([each for each, stays in zip(traits, mask, strict=True) if stays])
    )
    assert len(kept) == best


def test_the_choice_depends_on_seed_and_ids_not_on_the_order():
    """Equal questions are told apart by the hash of seed and id."""
    values = [(("t",),)] * 20 + [(("s",),)] * 5
    traits = _traits(values)
    first, _ = over_quota(traits, _config(TASK))
    assert len(first) == 15
    assert over_quota(traits[::-1], _config(TASK))[0] == first
    assert over_quota(traits, _config(TASK, seed=1))[0].keys() != first.keys()


def test_each_split_is_held_to_the_quotas_by_itself():
    """Much of one task in train is no excuse for test."""
    traits = [
        *(Traits(f"a{n}", "train", (("t",),)) for n in range(4)),
        *(Traits(f"b{n}", "train", (("s",),)) for n in range(4)),
        *(Traits(f"c{n}", "test", (("t",),)) for n in range(4)),
        Traits("d", "test", (("s",),)),
    ]
    out, fared = over_quota(traits, _config(TASK))
    assert sorted(each[0] for each in out) == ["c"] * 3
    (why,) = set(out.values())
    assert why == ("quota", "task 't' may be 0.5 of test and is 1 of 2")
    row = next(each for each in fared if (each.split, each.value) == ("test", "t"))
    assert (row.made, row.published, row.of) == (4, 1, 2)


def test_traits_are_read_from_the_tables(world):
    """All eight; what a question does not have is no value."""
    rows = world.rows(2, interval=(2.0, 6.0))
    rows = world.change(rows, Video, 0, duration_s=20.0)
    rows = world.change(rows, Video, 1, duration_s=20.5)
    tables = world.source(rows).tables
    names = ("task", "branch", "duration_group", "events", "category", "start", "length",
             "answer_position")  # fmt: skip
    quotas = [Quota(by=name, max_share=1) for name in names]
    found = read_traits(tables["questions"], tables["videos"], tables["events"], quotas)
    assert found[0].values == (
        ("temporal",), (), ("0-20 s",), ("1",), ("dog barking",), ("10-20 %",), ("20-30 %",), (),
    )  # fmt: skip
    assert found[4].values == (
        ("spatial",), ("sounding",), ("20-40 s",), ("1",), ("dog barking",), (), (), (),
    )  # fmt: skip


def test_a_release_says_what_its_quotas_left_out_and_why(world, tmp_path):
    """A row a question in `dropped`, the count in the ledger, shares in the card."""
    rows = world.rows(8)
    rows[Event] = [
        event.model_copy(update={"label": "cat" if n % 4 == 1 else "dog"})
        for n, event in enumerate(rows[Event])
    ]
    config = _config(Quota(by="category", max_share=0.5), Quota(by="task", max_share=0.5))
    config = config.model_copy(update={"limits": {"rederived": 0}})
    only_train = {k: [r for r in v if r.record_id[:4] in {"v000", "v001", "v004"}]
                  for k, v in rows.items()}  # fmt: skip
    folder = Path(publish(world.source(only_train), tmp_path, config).folder)
    dropped = pq.read_table(folder / "dropped.parquet").to_pylist()
    assert len(dropped) == 3
    assert {row["reason_code"] for row in dropped} == {"quota"}
    assert {row["message"].split(";")[0] for row in dropped} == {
        "category 'dog' may be 0.5 of train and is 3 of 6"
    }
    card = (folder / "README.md").read_text()
    assert "| release | question | `quota` | 3 |" in card
    assert re.search(r"\| train \| category \| dog \| 6 \| 3 \| 0\.500 \| 0\.5 \|", card)
