"""The one Prefect task: a stage on a batch of videos. And how flows hand batches to it.

Tasks take ids and return counts; nothing is cached by Prefect, since the workspace is the truth.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar, cast

from prefect import Flow, State, Task, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import TaskRun
from prefect.futures import PrefectFuture
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.utilities.annotations import quote

from earshot.errors import EarshotError
from earshot.flows.artifacts import progress
from earshot.flows.open_runs import shared_run
from earshot.schemas.request import BuildRequest
from earshot.store.runner import Receipt
from earshot.tasks.pipeline import Run

T = TypeVar("T")


async def _is_infrastructure(
    _task: Task[..., object], _task_run: TaskRun, state: State[object]
) -> bool:
    """Retry what may be gone in a minute; what earshot says on purpose will not be."""
    error = await state.aresult(raise_on_failure=False)
    return isinstance(error, OSError | MemoryError) and not isinstance(error, EarshotError)


@task(
    name="stage-batch",
    task_run_name="{stage}-{number}",
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=2,
    retry_delay_seconds=[10, 60],
    retry_jitter_factor=0.5,
    retry_condition_fn=_is_infrastructure,
)
def stage_batch(request: BuildRequest, stage: str, number: int, videos: Sequence[str]) -> Receipt:
    """Run a stage on some videos and commit; finished videos are found in the workspace."""
    del number  # names the task run
    return shared_run(request).execute(stage, videos)


def run_in_prefect(run: Run, names: Sequence[str], videos: Sequence[str]) -> None:
    """Run stages over a shard, every batch as a task run of the flow that calls this."""
    chosen = run.stages(names)

    def execute(stage: str, work: Sequence[Sequence[str]]) -> Iterator[Receipt]:
        before = chosen.index(stage)
        futures: list[PrefectFuture[Receipt]] = [
            stage_batch.submit(_whole(run.request), stage, number, _whole(batch))
            for number, batch in enumerate(work, start=1)
        ]
        for done, future in enumerate(futures, start=1):
            yield future.result()
            share = (before + done / len(futures)) / len(chosen)
            show(share, f"{stage}: {done} of {len(futures)} batches of the shard")

    with progress() as show:
        run.run_stages(names, videos, execute)


def _whole(value: T) -> T:
    """Mark a parameter in which Prefect need not look for futures: in each setting, in each id."""
    return cast("T", quote(value))


def with_workers(flow: Flow[..., None], run: Run) -> Flow[..., None]:
    """Return the flow with as many batches at a time as the build's config says."""
    workers = run.session.build.config.run.workers
    # Prefect's own class does not fit its own annotation.
    return flow.with_options(task_runner=ThreadPoolTaskRunner(max_workers=workers))  # type: ignore[arg-type]
