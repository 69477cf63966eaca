"""Where work runs, how far it has come, and how much memory it may take."""

from __future__ import annotations

from sigma_scale.compute.clusters import gpu_cluster
from sigma_scale.compute.connection import Connection, connect
from sigma_scale.compute.memory import check_memory, memory_limit
from sigma_scale.compute.running import inline, local_workers, on_cluster, run, stream

__all__ = [
    "Connection",
    "check_memory",
    "connect",
    "gpu_cluster",
    "inline",
    "local_workers",
    "memory_limit",
    "on_cluster",
    "run",
    "stream",
]
