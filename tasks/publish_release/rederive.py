"""Derives every answer of a written release again, by SQL on its Parquet files alone.

Takes a folder, gives the questions whose stored answer is another; `rederive.sql` does the work and
uses nothing of ours, so that a mistake in our own code can't hide itself.
"""

from __future__ import annotations

from collections import Counter
from importlib import resources
from pathlib import Path

import duckdb

READINGS = ("by_segment", "by_stretch")
"""What "when" means (CONTRACTS 5): a pack asks in one of these ways, and in no other."""


def other_answers(folder: Path) -> list[tuple[str, str, str]]:
    """Return (question id, stored answer, derived answer) where the two differ, by id.

    A pack does not say in its release which reading it asks in: the one that fits more of its
    questions is taken, for all of them.

    Args:
        folder: a release as far as its Parquet files are written.
    """
    if not any((folder / "data").glob("*/*.parquet")):
        return []
    script = resources.files(__package__).joinpath("rederive.sql").read_text(encoding="utf-8")
    with duckdb.connect() as connection:
        connection.execute("SET VARIABLE release = ?", [str(folder)])
        connection.execute(script)
        rows = connection.sql(
            "SELECT question_id, pack, answer, by_segment, by_stretch FROM rederived "
            "ORDER BY question_id"
        ).fetchall()
    fits: dict[str, Counter[int]] = {}
    for _, pack, answer, *derived in rows:
        fits.setdefault(pack, Counter()).update(
            nth for nth, text in enumerate(derived) if text == answer
        )
    chosen = {
        pack: max(range(len(READINGS)), key=counts.__getitem__) for pack, counts in fits.items()
    }
    return [
        (question_id, answer, derived[chosen[pack]])
        for question_id, pack, answer, *derived in rows
        if derived[chosen[pack]] != answer
    ]
