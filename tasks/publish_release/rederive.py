"""Derives every answer of a written release again, by SQL on its Parquet files alone.

Takes a folder, gives the questions whose stored answer is another; `rederive.sql` does the work and
uses nothing of ours, so that a mistake in our own code can't hide itself.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from earshot.tasks.publish_release.bounded import bounded

MEMORY_MB = 1024

# What "when" means (CONTRACTS 5): a pack asks in one of two readings, and in no other.
_OTHER = """
WITH found AS MATERIALIZED (SELECT * FROM rederived), fits AS (
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
    with bounded(MEMORY_MB) as connection:
        connection.execute("SET VARIABLE release = ?", [str(folder)])
        connection.execute(script)
        return connection.execute(_OTHER).fetchall()
