"""Derives every answer of a written release again, by SQL on its Parquet files alone.

Takes a folder, gives the questions whose stored answer is another; `rederive.sql` does the work and
uses nothing of ours, so that a mistake in our own code can't hide itself.
"""

from __future__ import annotations

import tempfile
from importlib import resources
from pathlib import Path

from earshot.tasks.publish_release.bounded import bounded

MEMORY_MB = 512
PART_ROWS = 10_000
"""Questions whose answers are derived at a time: some 100 MB."""

# What "when" means (CONTRACTS 5): a pack asks in one of two readings, and in no other.
_OTHER = """
WITH fits AS (
  SELECT pack, count_if(by_segment = answer) >= count_if(by_stretch = answer) AS is_segment
  FROM found GROUP BY pack
), chosen AS (
  SELECT question_id, answer, CASE WHEN is_segment THEN by_segment ELSE by_stretch END AS derived
  FROM found JOIN fits USING (pack)
)
SELECT question_id, answer, derived FROM chosen WHERE derived <> answer ORDER BY question_id
"""


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
    with tempfile.TemporaryDirectory(prefix="earshot-answers-") as place:
        for number, (first, last) in enumerate(_parts(folder)):
            with bounded(MEMORY_MB) as sql:
                for name, value in (
                    ("release", folder),
                    ("first_video", first),
                    ("last_video", last),
                ):
                    sql.execute(f"SET VARIABLE {name} = ?", [str(value)])
                sql.execute(script)
                sql.table("rederived").write_parquet(f"{place}/{number}.parquet")
        with bounded() as sql:
            sql.read_parquet(f"{place}/*.parquet").create_view("found")
            return sql.execute(_OTHER).fetchall()


def _parts(folder: Path) -> list[tuple[str, str]]:
    """Return the first and last videos of parts that have some `PART_ROWS` questions each."""
    parts: list[tuple[str, str]] = []
    first, last, rows = "", "", 0
    with bounded() as sql:
        questions = sql.read_parquet(f"{folder}/data/*/*.parquet")
        counted = questions.aggregate("video_id, count(*) AS n", "video_id").order("video_id")
        for batch in counted.to_arrow_reader(10_000):
            for last, count in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                first = first or last
                rows += count
                if rows >= PART_ROWS:
                    parts.append((first, last))
                    first, rows = "", 0
    return [*parts, (first, last)] if rows else parts
