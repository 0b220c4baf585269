"""Rows of states in memory: what is asked of the columns is what the states say one by one."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from earshot.schemas.base import sha256_hex
from earshot.store.parts import Part
from earshot.store.state_rows import NOTHING, StateRows, Texts, VideoNumbers, rows_of, table_of

VIEWS = ("", "videos:duration_s", "captions:text videos:duration_s")
DIGESTS = ("key", "input_digest", "view_digests")


def state(rng: random.Random, video_id: str) -> dict[str, Any]:
    """A made-up state as a part's file has it."""
    views = rng.choice(VIEWS)
    return {
        "video_id": video_id,
        "key": sha256_hex(rng.randbytes(4)),
        "input_digest": sha256_hex(rng.randbytes(4)),
        "view_digests": rng.randbytes(16 * len(views.split())).hex(),
        "n_items": rng.randrange(9),
        "attempts": 1,
        "seconds": rng.random(),
        "reason_code": rng.choice([None, "too_short"]),
        "prompt_digest": None,
        "model_digest": None,
        "views": views,
        **{
            name: rng.choice("ab")
            for name in ("stage_version", "config_digest", "status", "item_counts", "run_id")
        },
    }


def test_rows_are_linked_in_the_order_of_commits_however_late_a_part_is_seen() -> None:
    """As two processes that number their parts alike see each other's."""
    rng = random.Random(7)
    numbers, texts = VideoNumbers("bca"), Texts()
    parts = [Part(f"{at:08d}-0", "probe", Path()) for at in range(40)]
    rng.shuffle(parts)
    rows, committed = StateRows(), {}
    for at, part in enumerate(parts):
        states = [state(rng, video_id) for video_id in rng.sample("abcdef", rng.randint(1, 4))]
        new = rows_of(pa.Table.from_pylist(states), numbers, texts)
        rows.extend(new, np.full(len(new), at, np.int32), parts)
        for one in states:
            committed[part, one["video_id"]] = one["key"]
    for video_id in "abcdef":
        expected = [key for (_, video), key in sorted(committed.items()) if video == video_id]
        at, found = int(rows.last(numbers.of([video_id]))[0]), []
        while at != NOTHING:
            found.append(rows.array["key"][at].tobytes().hex())
            at = int(rows.array["before"][at])
        assert found[::-1] == expected


def test_a_table_of_rows_gives_the_rows_again() -> None:
    """With digests of several views, of one and of none, and with nulls."""
    rng = random.Random(3)
    states = [state(rng, f"v{at}") for at in range(50)]
    numbers, texts = VideoNumbers(()), Texts()
    rows = rows_of(pa.Table.from_pylist(states), numbers, texts)
    told = table_of(rows, numbers, texts)
    again = table_of(rows_of(told, numbers, texts), numbers, texts).to_pylist()
    for one, found in zip(states, again, strict=True):
        raw = {name: bytes.fromhex(one[name]) for name in DIGESTS}
        raw["view_digests"] = raw["view_digests"].ljust(32, b"\0")
        assert found == {**one, **raw}


def test_numbers_of_videos_sort_as_the_ids_of_the_manifest_do() -> None:
    """So that many videos are put in order without looking at their ids."""
    numbers = VideoNumbers(["c", "a", "b"])
    assert numbers.of(["x", "b", "a", "x"]).tolist() == [3, 1, 0, 3]
    assert (numbers.entries, len(numbers)) == (3, 4)
    assert numbers.ids(np.array([2, 3])) == ["c", "x"]
