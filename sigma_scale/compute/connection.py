"""Where work is sent: threads, processes, a scheduler's address, SLURM jobs or GPUs."""

from __future__ import annotations

import json
import logging
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from sigma_scale.compute.clusters import (
    close_jobs,
    gpu_cluster,
    local_processes,
    returning_workers,
    slurm_jobs,
)
from sigma_scale.compute.memory import size_in_bytes
from sigma_scale.compute.patience import seconds_of, worker_timeout
from sigma_scale.errors import ClusterError, ParameterError, SourceNotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

__all__ = ["Connection", "connect"]

_LOGGER = logging.getLogger(__name__)

_STARTED = ("threads", "processes", "slurm", "gpus")
_ANSWER_SECONDS = 10.0
_START_SECONDS = 60.0
_REMIND_SECONDS = 60.0
_CLOSE_SECONDS = 5.0
_SILENT = ("distributed", "asyncio", "tornado.application")
"""Loggers that tell of each worker that leaves; what matters becomes an error."""

_CHOICES = "threads, processes:4, slurm:4, gpus, tcp://host:8786, or the path of a scheduler's file"


class Connection:
    """
    Workers that work is sent to, until it is closed.

    Made by :func:`connect`; closes itself at the end of a ``with`` block.

    Parameters
    ----------
    client : distributed.Client or None
        Connected; None for threads of this process.
    resources : contextlib.ExitStack
        What :meth:`close` ends.

    Attributes
    ----------
    client : distributed.Client or None
        As given.
    """

    def __init__(self, client: Any, resources: ExitStack) -> None:
        self.client = client
        self._resources = resources

    @property
    def dashboard_link(self) -> str | None:
        """Address of the page that shows what the workers do; None if there is none."""
        if self.client is None or not self.client.scheduler_info()["services"].get("dashboard"):
            return None  # the client would guess one
        return str(self.client.dashboard_link)

    def close(self) -> None:
        """End what was started; closing twice does no harm."""
        self._resources.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def connect(
    scheduler: str | Path = "threads",
    *,
    n_workers: int | None = None,
    threads_per_worker: int | None = None,
    memory: str | int | None = None,
    timeout: str | float | None = None,
    **options: Any,
) -> Connection:
    """
    Choose where work is done from now on.

    Parameters
    ----------
    scheduler : str or path, default: "threads"
        ``"threads"`` of this process; ``"processes"`` of this machine, ``"processes:4"`` for
        four; ``"slurm:4"`` for four jobs of SLURM, by way of dask-jobqueue; ``"gpus"`` of this
        machine, by way of dask-cuda; the address of a scheduler that runs, such as
        ``"tcp://host:8786"``, or the path of the file that it has written. From then on its
        workers neither pause nor spill for want of memory, which could stop a step for ever; one
        that takes too much is ended by its nanny, and that is told.
    n_workers : int, optional
        Number of threads, processes, jobs or GPUs, if ``scheduler`` doesn't say it. Of a scheduler
        that runs: how many workers to wait for; None: one.
    threads_per_worker : int, optional
        Threads of each process or job. None: as many as there are cores for them; of SLURM jobs,
        what Dask's configuration says.
    memory : str or int, optional
        Memory of each worker, such as ``"8GB"``; one that takes more is ended. None: its share of
        the option ``memory_limit``, or of what is free; of SLURM jobs, what Dask's configuration
        says.
    timeout : str or float, optional
        How long to wait for workers, such as ``"1h"``. None: the option ``worker_timeout``; for
        the answer of a scheduler that runs, 10 seconds.
    **options
        For ``distributed.LocalCluster``, ``dask_jobqueue.SLURMCluster``,
        ``dask_cuda.LocalCUDACluster`` or ``distributed.Client``, whichever it is. An address
        ``tls://`` takes ``tls_ca_file``, ``tls_client_cert`` and ``tls_client_key``.

    Returns
    -------
    Connection
        A context manager; its ``dashboard_link`` shows what happens.

    Raises
    ------
    ParameterError
        If there is no such scheduler, or an option doesn't fit it.
    ClusterError
        If nobody answers, no worker comes, or workers don't have this version of the package.
    EngineUnavailableError
        If a library, SLURM or a GPU is missing.
    SourceNotFoundError
        If there is no such scheduler file.

    Examples
    --------
    >>> with connect("threads", n_workers=2) as connection:
    ...     connection.dashboard_link is None
    True
    """
    kind, number = _kind_of(str(scheduler), n_workers)
    for name, value in (("n_workers", number), ("threads_per_worker", threads_per_worker)):
        if value is not None and value < 1:
            raise ParameterError(f"{name} must be at least 1, got {value}.")
    target = _Target(
        kind,
        str(scheduler),
        number,
        threads_per_worker,
        None if memory is None else size_in_bytes(memory, name="memory"),
        None if timeout is None else seconds_of(timeout, name="timeout"),
    )
    _check_fit(target, options)
    with ExitStack() as stack:
        if target.kind == "threads":
            if target.number is not None:
                import dask.config

                stack.enter_context(dask.config.set(num_workers=target.number))
            return Connection(None, stack.pop_all())
        stack.enter_context(_silence())
        client = _client_of(target, options, stack)
        _wait_for_workers(client, target)
        _prepare(client, target)
        connection = Connection(client, stack.pop_all())
    _LOGGER.info("%s", _described(client, connection.dashboard_link))
    return connection


class _Target(NamedTuple):
    kind: str
    name: str
    """As the user wrote it."""
    number: int | None
    n_threads: int | None
    memory: int | None
    patience: float | None


def _kind_of(scheduler: str, n_workers: int | None) -> tuple[str, int | None]:
    if "://" in scheduler:
        return "address", n_workers
    kind, colon, number = scheduler.partition(":")
    if kind not in _STARTED:
        if scheduler.endswith(".json") or Path(scheduler).is_file():
            return "file", n_workers
        raise ParameterError(f"There is no scheduler {scheduler!r}; choose {_CHOICES}.")
    if not colon:
        return kind, n_workers
    if not number.isdecimal():
        raise ParameterError(f"{scheduler!r} must end in a whole number, such as {kind}:4.")
    if n_workers not in {None, int(number)}:
        raise ParameterError(f"{scheduler!r} and {n_workers} workers don't agree; say it once.")
    return kind, int(number)


def _check_fit(target: _Target, options: dict[str, Any]) -> None:
    """Refuse what would be ignored."""
    given = {"threads_per_worker": target.n_threads, "memory": target.memory}
    refused = [name for name, value in given.items() if value is not None]
    if target.kind in {"address", "file"} and refused:
        raise ParameterError(
            f"The workers of {target.name} run already: {' and '.join(refused)} can't be set."
        )
    if target.kind == "threads" and (refused or options):
        raise ParameterError(
            f"Threads of this process have no {', '.join([*refused, *options])}; the option "
            "memory_limit bounds what a step takes."
        )


def _client_of(target: _Target, options: dict[str, Any], stack: ExitStack) -> Any:
    from distributed import Client

    if target.kind in {"address", "file"}:
        address = target.name if target.kind == "address" else _address_in(Path(target.name))
        return _answering(address, target.patience or _ANSWER_SECONDS, options, stack)
    if target.kind in {"gpus", "processes"}:
        stack.enter_context(returning_workers())
    if target.kind == "gpus":
        more = {"threads_per_worker": target.n_threads, "memory_limit": target.memory}
        chosen = {name: value for name, value in more.items() if value is not None}
        return stack.enter_context(gpu_cluster(target.number, **(chosen | options)))
    if target.kind == "processes":
        cluster = local_processes(target.number, target.n_threads, target.memory, options)
        stack.callback(cluster.close)
    else:
        cluster = slurm_jobs(target.number, target.n_threads, target.memory, options)
        stack.callback(close_jobs, cluster)
    client = Client(cluster, timeout=_START_SECONDS)
    stack.callback(client.close, timeout=_CLOSE_SECONDS)
    return client


def _address_in(file: Path) -> str:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return str(content["address"])
    except FileNotFoundError as error:
        raise SourceNotFoundError(
            f"There is no file {file}; 'dask scheduler --scheduler-file {file}' writes it."
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise ParameterError(
            f"{file} is no scheduler file: it has no address. "
            f"'dask scheduler --scheduler-file {file}' writes one."
        ) from error


def _answering(address: str, seconds: float, options: dict[str, Any], stack: ExitStack) -> Any:
    from distributed import Client, Security

    options = dict(options)
    files = {name: options.pop(name) for name in list(options) if name.startswith("tls_")}
    try:
        if files:
            options["security"] = Security(**files, require_encryption=True)
        client = Client(address, timeout=seconds, **options)
    except OSError as error:  # which timeouts are
        raise ClusterError(
            f"No scheduler answers at {address} within {seconds:g} seconds ({error}). See whether "
            "it runs, whether the address is right, and whether a firewall is between."
        ) from error
    except (TypeError, ValueError, RuntimeError) as error:
        raise ParameterError(f"{address} can't be connected to so: {error}") from error
    stack.callback(client.close, timeout=_CLOSE_SECONDS)
    return client


def _wait_for_workers(client: Any, target: _Target) -> None:
    """Wait for the first worker; of a scheduler that runs, for as many as are asked for."""
    from sigma_scale.compute.faults import asking_cluster

    given = target.kind in {"address", "file"}
    needed = (target.number or 1) if given else 1
    limit = worker_timeout() if target.patience is None else target.patience
    started = reminded = time.monotonic()
    hint = (
        "'squeue --me' says whether the jobs wait, and sbatch's log files why they ended"
        if target.kind == "slurm"
        else "start some by 'dask worker ADDRESS' or see in their logs why they don't come"
    )
    told = False
    while True:
        with asking_cluster("Connecting"):
            found = len(client.nthreads())
        if found >= needed:
            return
        now = time.monotonic()
        if now - started > limit:
            raise ClusterError(
                f"{target.name} has {found} of {needed} workers after {limit:.0f} seconds; {hint}. "
                "The limit is the option worker_timeout, or timeout= of compute.connect."
            )
        if not told or now - reminded > _REMIND_SECONDS:
            _LOGGER.info("Waiting for workers of %s (%s)", target.name, hint)
            told, reminded = True, now
        time.sleep(0.1)


def _prepare(client: Any, target: _Target) -> None:
    from sigma_scale.compute.faults import asking_cluster
    from sigma_scale.compute.worker_state import prepare

    with asking_cluster(f"Connecting to {target.name}"):
        prepare(client)


def _described(client: Any, dashboard: str | None) -> str:
    threads = client.nthreads()
    page = f"; dashboard: {dashboard}" if dashboard else ""
    return f"Work goes to {len(threads)} worker(s) with {sum(threads.values())} thread(s){page}"


@contextmanager
def _silence() -> Iterator[None]:
    """Keep remarks of distributed from the terminal, unless they were asked for."""
    import dask.config
    import distributed  # noqa: F401 -- sets up its loggers

    if dask.config.get("logging", None):  # which a user has set
        yield
        return
    loggers = [logging.getLogger(name) for name in _SILENT]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
