"""What a flow run shows on its page: progress, a table of counts, a summary, links."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast
from uuid import UUID

from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)

from earshot.store.ledger import StageCount
from earshot.tasks.build import Report
from earshot.tasks.pipeline import Run

# An update is a request to the server; nobody reads faster.
_UPDATE_S = 5.0


@contextmanager
def progress() -> Iterator[Callable[[float, str], None]]:
    """Put a bar on the page of the flow run; what is given takes the share done and a sentence.

    The bar is full only where the block ends without an error.
    """
    # Its type allows for a coroutine, which it gives in asynchronous flows alone.
    bar = cast("UUID", create_progress_artifact(0.0, key="progress"))
    shown = time.monotonic()

    def show(share: float, said: str) -> None:
        nonlocal shown
        if time.monotonic() - shown > _UPDATE_S:
            update_progress_artifact(bar, round(100 * share, 1), said)
            shown = time.monotonic()

    yield show
    update_progress_artifact(bar, 100.0, "done")


def show_counts(run: Run, counts: list[StageCount]) -> None:
    """Put the table of stages on the page of the flow run."""
    rows = []
    for count in counts:
        row = count.to_json()
        reasons = ", ".join(f"{code} {n}" for code, n in row.pop("reasons").items())
        rows.append({**row, "reasons": reasons})
    create_table_artifact(rows, key="stages", description=f"build {run.session.build.build_id}")


def show_report(run: Run, report: Report) -> None:
    """Put the summary and the link to the release on the page of the flow run."""
    lines = [f"# Build {report.build_id}", "", f"- input: `{run.session.build.input_uri}`"]
    lines += [f"- {line}" for line in report.lines()]
    create_markdown_artifact("\n".join(lines), key="summary", description="what the build made")
    if report.publication:
        place = report.publication.folder
        link = place if "://" in place else Path(place).as_uri()
        create_link_artifact(link, key="release", link_text=place.rsplit("/", 1)[-1])
