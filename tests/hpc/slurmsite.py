"""A real Slurm for the tests: slurmctld and slurmd of their own, in a folder, on free ports, as this user.

No systemd, munge or cgroups; two GPUs that are links to /dev/null. Debian: slurmctld slurmd slurm-client.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

from tests.hpc.support import HANGS

DAEMONS = ("slurmctld", "slurmd")
CLIENTS = ("sbatch", "squeue", "scontrol", "scancel", "sinfo")


def why_not() -> str:
    """Why no Slurm can be started here; empty if one can."""
    path = f"{os.environ['PATH']}:/usr/sbin"
    missing = [name for name in (*DAEMONS, *CLIENTS) if shutil.which(name, path=path) is None]
    if missing:
        return f"{', '.join(missing)} not installed: apt-get install slurmctld slurmd slurm-client"
    return "" if os.getuid() == 0 else "slurmd starts jobs only as root"


class SlurmSite:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.conf = folder / "slurm.conf"
        for name in ("state", "spool"):
            (folder / name).mkdir(parents=True)
        for number in range(2):
            (folder / f"gpu{number}").symlink_to("/dev/null")
        self.host = socket.gethostname().partition(".")[0]
        self.conf.write_text(self._configuration())
        (folder / "gres.conf").write_text(f"Name=gpu Type=v100 File={folder}/gpu[0-1]\n")
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def environment(self) -> dict[str, str]:
        return {"SLURM_CONF": str(self.conf), "PATH": f"{os.environ['PATH']}:/usr/sbin"}

    def start(self) -> None:
        for name in DAEMONS:
            self.start_daemon(name)
        self.wait_until("idle", "sinfo", "-h", "-o", "%T")

    def start_daemon(self, name: str) -> None:
        with (self.folder / f"{name}.out").open("ab") as out:
            command = [name, "-D"] if name == "slurmctld" else [name, "-D", "-N", self.host]
            self._daemons[name] = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env={**os.environ, **self.environment}
            )

    def stop_daemon(self, name: str) -> None:
        daemon = self._daemons.pop(name)
        daemon.terminate()
        try:
            daemon.wait(120)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()

    def run(self, *arguments: str) -> str:
        ran = subprocess.run(
            arguments,
            capture_output=True,
            text=True,
            timeout=HANGS,
            env={**os.environ, **self.environment},
            check=False,
        )
        return ran.stdout

    def wait_until(self, word: str, *arguments: str, seconds: float = HANGS) -> None:
        deadline = time.monotonic() + seconds
        while word not in (said := self.run(*arguments)):
            if time.monotonic() > deadline:
                raise AssertionError(f"{' '.join(arguments)} does not say {word!r} after {seconds} s, but {said!r}")
            time.sleep(0.1)

    def stop(self) -> None:
        """End the jobs before the daemons: slurmd then has nothing to wait for."""
        with contextlib.suppress(subprocess.SubprocessError, OSError):
            self.run("scancel", "--user=root", "--signal=KILL", "--full")
            self.run("scancel", "--user=root")
        for name in reversed(DAEMONS):
            if name in self._daemons:
                self.stop_daemon(name)

    def _configuration(self) -> str:
        return f"""ClusterName=kdtest
SlurmctldHost={self.host}(127.0.0.1)
SlurmctldPort={free_port()}
SlurmdPort={free_port()}
AuthType=auth/none
CredType=cred/none
SlurmUser=root
SlurmdUser=root
StateSaveLocation={self.folder}/state
SlurmdSpoolDir={self.folder}/spool
SlurmctldPidFile={self.folder}/slurmctld.pid
SlurmdPidFile={self.folder}/slurmd.pid
SlurmctldLogFile={self.folder}/slurmctld.log
SlurmdLogFile={self.folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
MessageTimeout=60
KillWait=2
MinJobAge=3600
SchedulerParameters=sched_min_interval=0,batch_sched_delay=0
GresTypes=gpu
NodeName={self.host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=1000 Gres=gpu:v100:2 Feature=gpus State=UNKNOWN
PartitionName=gpu_1 Nodes={self.host} Default=YES MaxTime=12:00:00 State=UP
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
