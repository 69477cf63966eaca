"""Clusters that are started for as long as they are needed."""

from __future__ import annotations

import logging
import shutil
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from importlib.util import find_spec
from inspect import signature
from typing import TYPE_CHECKING, Any

from sigma_scale.compute.memory import memory_limit
from sigma_scale.engines import gpu_obstacle
from sigma_scale.errors import (
    ClusterError,
    EngineUnavailableError,
    MemoryLimitError,
    ParameterError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["close_jobs", "gpu_cluster", "local_processes", "returning_workers", "slurm_jobs"]

_LEAST_BYTES = 512 * 2**20
"""Of a worker: its libraries alone take about half of that."""

_SHARE_OF_LIMIT = 0.9
"""Of what the system would grant; the rest is for the scheduler and the client."""

_NEVER = "1000 days"

_NO_SPILLING = {"target": False, "spill": False, "pause": False}
"""
A step's results fit, or they don't: on a disk they would be slow, and a worker that pauses for
want of memory may wait for ever. One that takes too much is ended, which is told.
"""


@contextmanager
def returning_workers() -> Iterator[None]:
    """
    Let each process of a local cluster come back however often it is killed.

    Dask gives up a worker that isn't there 15 seconds after it was lost, though it may have come
    back meanwhile and be just starting after another loss. The guard of a process on this machine
    starts it again by itself, so there is nothing to give up.
    """
    import dask.config

    with dask.config.set({"distributed.deploy.lost-worker-timeout": _NEVER}):
        yield


@contextmanager
def gpu_cluster(n_gpus: int | None = None, **options: Any) -> Iterator[Any]:
    """
    Let the work go to the GPUs of this machine for a while, one worker for each.

    Parameters
    ----------
    n_gpus : int, optional
        How many; None: all that there are.
    **options
        For ``dask_cuda.LocalCUDACluster``.

    Yields
    ------
    distributed.Client
        Active inside the ``with`` block; its ``dashboard_link`` shows what happens.

    Raises
    ------
    EngineUnavailableError
        If there is no usable GPU, or dask-cuda is not installed.
    ParameterError
        If ``n_gpus`` is not positive.
    """
    if n_gpus is not None and n_gpus < 1:
        raise ParameterError(f"n_gpus must be at least 1, or None for all, got {n_gpus}.")
    obstacle = gpu_obstacle(("dask_cuda",))
    if obstacle:
        raise EngineUnavailableError(f"There is no cluster of GPUs here: {obstacle}.")
    from dask_cuda import LocalCUDACluster
    from distributed import Client

    with LocalCUDACluster(n_workers=n_gpus, **options) as cluster, Client(cluster) as client:
        yield client


def local_processes(
    n_workers: int | None, n_threads: int | None, memory: int | None, options: dict[str, Any]
) -> Any:
    """
    Start worker processes on this machine.

    Parameters
    ----------
    n_workers, n_threads : int, optional
        Processes, and threads of each. None: as many as there are cores together; kernels release
        Python's lock, so that a few threads share a process well.
    memory : int, optional
        Bytes of each process. None: its share of the option ``memory_limit`` or of what is free.
    options : dict
        For ``distributed.LocalCluster``.

    Returns
    -------
    distributed.LocalCluster

    Raises
    ------
    MemoryLimitError
        If a process would have too little memory for its libraries.
    ParameterError
        If there is no such option, or its value can't be.
    ClusterError
        If the processes don't start.
    """
    import dask.config
    from dask.system import CPU_COUNT
    from dask.utils import format_bytes
    from distributed import LocalCluster, Nanny, Worker
    from distributed.deploy.utils import nprocesses_nthreads
    from distributed.system import MEMORY_LIMIT

    _refuse_unknown(options, LocalCluster, Nanny, Worker)
    if n_workers is None:
        n_workers = (
            nprocesses_nthreads(CPU_COUNT)[0]
            if n_threads is None
            else max(1, CPU_COUNT // n_threads)
        )
    n_threads = n_threads or max(1, CPU_COUNT // n_workers)
    if memory is None:
        granted = int(MEMORY_LIMIT * _SHARE_OF_LIMIT)
        memory = min(memory_limit(), granted) // n_workers
    if memory < _LEAST_BYTES:
        raise MemoryLimitError(
            f"Each of {n_workers} workers would have {format_bytes(memory)} of memory, and needs "
            f"{format_bytes(_LEAST_BYTES)} for its libraries and some work. Start fewer workers, "
            "or let them have more (--worker-memory, --memory-limit)."
        )
    own = dask.config.merge(
        dask.config.get("distributed"), {"worker": {"memory": dict(_NO_SPILLING)}}
    )
    settings: dict[str, Any] = {
        "n_workers": n_workers,
        "threads_per_worker": n_threads,
        "memory_limit": memory,
        "dashboard_address": "127.0.0.1:0",
        "silence_logs": logging.CRITICAL,
        "config": {"distributed": own},  # whole: it takes the place of what is there
    }
    try:
        return LocalCluster(**(settings | options))
    except (TypeError, ValueError) as error:
        raise ParameterError(f"Worker processes can't be started so: {error}.") from error
    except (RuntimeError, OSError, TimeoutError) as error:
        raise ClusterError(
            f"Worker processes don't start: {str(error).rstrip('.')}. A script that starts "
            "them must do so under 'if __name__ == \"__main__\":', since each process reads the "
            "script again."
        ) from error


def _refuse_unknown(options: dict[str, Any], *classes: type) -> None:
    """Refuse options that would end each worker as it starts, far from whoever gave them."""
    bases = {base for one in classes for base in one.__mro__ if "__init__" in vars(base)}
    known = {
        name
        for base in bases
        for name, parameter in signature(vars(base)["__init__"]).parameters.items()
        if parameter.kind in {parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY}
    } - {"self"}
    for name in options:
        if name not in known:
            near = get_close_matches(name, known, n=3)
            hint = f" Did you mean {' or '.join(near)}?" if near else ""
            raise ParameterError(
                f"{classes[0].__module__.partition('.')[0]}.{classes[0].__name__} has no option "
                f"{name!r}.{hint}"
            )


def slurm_jobs(
    n_jobs: int | None, n_threads: int | None, memory: int | None, options: dict[str, Any]
) -> Any:
    """
    Submit workers as jobs of SLURM; jobs that end before their time are submitted again.

    Parameters
    ----------
    n_jobs : int, optional
        How many. None: 1.
    n_threads, memory : int, optional
        Threads and bytes of each job. None: as in Dask's configuration, ``jobqueue.slurm``.
    options : dict
        For ``dask_jobqueue.SLURMCluster``, such as ``queue``, ``walltime``, ``interface``.

    Returns
    -------
    dask_jobqueue.SLURMCluster

    Raises
    ------
    EngineUnavailableError
        If dask-jobqueue is not installed, or SLURM not here.
    ParameterError
        If the options don't describe a job.
    ClusterError
        If SLURM refuses the jobs.
    """
    if find_spec("dask_jobqueue") is None:
        raise EngineUnavailableError(
            "Workers as SLURM jobs need dask-jobqueue: pip install 'sigma-scale[cluster]'."
        )
    if shutil.which("sbatch") is None:
        raise EngineUnavailableError(
            "There is no SLURM here: no command sbatch. Run this on a login node of the cluster."
        )
    import dask.config
    from dask_jobqueue.slurm import SLURMCluster

    n_jobs = n_jobs or 1
    settings: dict[str, Any] = {"processes": 1, "silence_logs": logging.CRITICAL}
    if n_threads is not None:
        settings["cores"] = n_threads
    if memory is not None:
        settings["memory"] = memory
    settings |= options
    prologue = settings.get("job_script_prologue")
    if prologue is None:
        prologue = dask.config.get("jobqueue.slurm.job-script-prologue", None) or []
    settings["job_script_prologue"] = [
        *(
            f"export DASK_DISTRIBUTED__WORKER__MEMORY__{name.upper()}={value}"
            for name, value in _NO_SPILLING.items()
        ),
        *prologue,
    ]
    try:
        cluster: Any = SLURMCluster(**settings)
    except (TypeError, ValueError) as error:
        raise ParameterError(
            f"SLURM jobs can't be described so: {str(error).strip()}. Say what a job has by "
            "--worker-memory 8GB and --scheduler-option cores=4, and further options of "
            "dask_jobqueue.SLURMCluster (queue, account, walltime, interface, ...) likewise, or in "
            "Dask's configuration."
        ) from error

    async def submit() -> None:
        cluster.scale(jobs=n_jobs)
        await cluster  # At once: what comes later from scale itself is logged, not raised.

    try:
        cluster.sync(submit)
        cluster.adapt(minimum_jobs=n_jobs, maximum_jobs=n_jobs)
    except (RuntimeError, OSError) as error:
        close_jobs(cluster)
        said = " ".join(str(error).split())
        raise ClusterError(f"SLURM refuses the jobs of the workers: {said}") from error
    return cluster


def close_jobs(cluster: Any) -> None:
    """
    Cancel the jobs of workers.

    Parameters
    ----------
    cluster : dask_jobqueue.SLURMCluster
        Whose jobs they are.
    """
    with suppress(AssertionError):  # raised at its end where a job was never submitted
        cluster.close()
