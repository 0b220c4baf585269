"""`earshot history`: the Prefect runs of a workspace, as a list or in Prefect's own pages."""

from __future__ import annotations

from pathlib import Path

from earshot.cli import show


def show_history(workspace: Path, *, list_only: bool, json: bool) -> None:
    """Print the flow runs, then serve Prefect's pages until Ctrl-C unless a list was asked for."""
    from earshot.flows.history import check_history, list_flow_runs, open_history
    from earshot.store.workspace import Workspace

    root = Workspace.open(workspace).root
    check_history(root)
    if not list_only and not json:
        open_history(root, lambda url: show.console.print(f"{url}  (Ctrl-C ends it)"))
        return
    runs = list_flow_runs(root)
    if json:
        show.print_json({"flow_runs": [_to_json(run) for run in runs]})
        return
    table = show.new_table()
    for name in ("start", "flow", "run", "state", "seconds", "task runs"):
        table.add_column(name, overflow="fold")
    for run in runs:
        start = f"{run.start:%m-%d %H:%M}" if run.start else ""
        cells = (start, run.flow, run.name, run.state, f"{run.duration_s:.1f}", run.task_runs)
        table.add_row(*(str(cell) for cell in cells))
    show.console.print(table)


def _to_json(run: object) -> dict[str, object]:
    return {
        key: str(value) if key in ("flow_run_id", "start") else value
        for key, value in vars(run).items()
    }
