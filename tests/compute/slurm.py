"""A real SLURM of one node, from a folder of a test's own."""

from __future__ import annotations

import getpass
import os
import secrets
import shutil
import socket
import subprocess
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from processes import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sinfo", "sbatch", "scancel", "squeue")

CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmdPort={other_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
ReturnToService=2
KillWait=2
SchedulerParameters=sched_min_interval=0,batch_sched_delay=0
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs=8 RealMemory=16000 State=UNKNOWN
PartitionName=debug Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def search_path() -> str:
    """Where programs are, the system's own included."""
    return os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


def missing() -> list[str]:
    """Programs of SLURM and MUNGE that are not here."""
    return [name for name in PROGRAMS if shutil.which(name, path=search_path()) is None]


@dataclass(frozen=True)
class Slurm:
    """A SLURM that runs; its commands need ``variables`` in their environment."""

    folder: Path
    variables: dict[str, str]

    def call(self, program: str, *arguments: str) -> str:
        done = subprocess.run(  # noqa: S603 -- programs of SLURM
            [shutil.which(program, path=search_path()), *arguments],
            env=os.environ | self.variables, capture_output=True, text=True, check=True,
        )  # fmt: skip
        return done.stdout.strip()

    def jobs(self) -> list[str]:
        """Numbers of the jobs that run."""
        return self.call("squeue", "-h", "-t", "R", "-o", "%i").split()


@contextmanager
def running(folder: Path) -> Iterator[Slurm]:
    """SLURM's daemons, as long as the ``with`` block takes; they need a folder of a short name."""
    folder.chmod(0o755)  # munged wants a socket that all can reach
    for name in ("munge", "state", "spool"):
        (folder / name).mkdir(mode=0o755)
    key = folder / "munge" / "key"
    key.write_bytes(secrets.token_bytes(1024))
    key.chmod(0o600)
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        ports = one.getsockname()[1], other.getsockname()[1]
    host = socket.gethostname().split(".")[0]
    configuration = folder / "slurm.conf"
    configuration.write_text(
        CONFIGURATION.format(
            host=host, port=ports[0], other_port=ports[1], user=getpass.getuser(), folder=folder
        )
    )
    slurm = Slurm(folder, {"SLURM_CONF": str(configuration), "PATH": search_path()})
    munge = [f"--{name}={folder}/munge/{name}" for name in ("pid-file", "log-file", "seed-file")]
    with ExitStack() as stack:
        munged = start(
            stack, slurm, "munged", "--foreground", f"--socket={folder}/munge/socket",
            f"--key-file={key}", *munge,
        )  # fmt: skip
        wait_for(started((folder / "munge" / "socket").exists, munged), "munged's start")
        control = start(stack, slurm, "slurmctld", "-D", "-f", str(configuration))
        start(stack, slurm, "slurmd", "-D", "-f", str(configuration), "-N", host)
        wait_for(started(lambda: state_of(slurm) == "idle", control), "SLURM's start")
        yield slurm


def start(stack: ExitStack, slurm: Slurm, program: str, *arguments: str) -> subprocess.Popen:
    with (slurm.folder / f"{program}.out").open("wb") as log:
        daemon = subprocess.Popen(  # noqa: S603 -- programs of SLURM
            [shutil.which(program, path=search_path()), *arguments],
            env=os.environ | slurm.variables, stdout=log, stderr=log,
        )  # fmt: skip
    stack.callback(end, daemon)
    return daemon


def started(is_ready: Callable[[], bool], daemon: subprocess.Popen) -> Callable[[], bool]:
    def look() -> bool:
        assert daemon.poll() is None, f"{daemon.args} has ended"
        return is_ready()

    return look


def end(daemon: subprocess.Popen) -> None:
    daemon.terminate()
    try:
        daemon.wait(20)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()


def state_of(slurm: Slurm) -> str:
    try:
        return slurm.call("sinfo", "-h", "-o", "%T")
    except subprocess.CalledProcessError:
        return "not there yet"
