"""The fake PBS commands: qsub, qstat, qselect, qrls, qhold, qdel, pbsnodes, told apart by how they are called."""

from __future__ import annotations

import getopt
import os
import pwd
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

sys.path.insert(0, str(Path(__file__).parents[3]))
from tests.hpc.fakepbs import server

COMMAND = Path(sys.argv[0]).name
USAGE = "usage: qsub [-a date_time] [-A account_string] [-c interval]\n       qsub --version"
SIZES = {"kb": 1, "mb": 1024, "gb": 1024**2}


class Refused(Exception):
    """One operand failed: exit status, line for stderr."""


def main() -> None:
    with server.state() as content:
        content["calls"].append([COMMAND, *sys.argv[1:]])
    fault = server.take_fault(COMMAND)
    if fault and fault["fault"] != "dies_after_accepting":
        suffer(fault)
    if "--version" in sys.argv:
        say("pbs_version = 23.06.06")
        sys.exit(0)
    try:
        COMMANDS[COMMAND](sys.argv[1:], fault)
    except getopt.GetoptError as error:
        leave(2, f"{COMMAND}: invalid option -- '{error.opt}'", USAGE)


def suffer(fault: dict[str, Any]) -> None:
    """Fail as recorded; `answer` replays any bytes."""
    match fault["fault"]:
        case "refused_connection":
            host = server.settings()["server"]
            refused = f"{COMMAND}: cannot connect to server {host} (errno=15010)"
            leave(255 if COMMAND == "qstat" else 162, "Connection refused", refused)
        case "hangs":
            server.hang()
        case "answer":
            os.write(1, fault.get("stdout", "").encode("latin-1"))
            os.write(2, fault.get("stderr", "").encode("latin-1"))
            sys.exit(fault.get("exit", 0))
        case "lying_silence":
            sys.exit(0)


def say(line: str) -> None:
    os.write(1, f"{line}\n".encode())


def leave(status: int, *lines: str) -> NoReturn:
    os.write(2, "".join(f"{line}\n" for line in lines).encode())
    sys.exit(status)


def me() -> str:
    return pwd.getpwuid(os.getuid()).pw_name


def qsub(arguments: list[str], fault: dict[str, Any] | None) -> None:
    options, operands = getopt.getopt(arguments, "a:A:c:C:e:fhIj:J:k:l:m:M:N:o:p:P:q:r:R:S:u:v:VW:z")
    script = read_script(operands)
    job = described(options)
    with server.state() as content:
        queue = server.settings()["queues"][job["queue"]]
        alive = [
            other for other in content["jobs"].values() if other["state"] != "F" and other["queue"] == job["queue"]
        ]
        if len(alive) >= queue.get("max_queued", 10**6):
            leave(38, "qsub: would exceed queue generic's per-user limit")
        job["id"] = f"{content['next']}.{server.settings()['server']}"
        job["script"] = str(server.HOME / f"{content['next']}.SC")
        Path(job["script"]).write_bytes(script)
        content["next"] += 1
        content["jobs"][job["id"]] = job
        server.start_what_may_run(content)
    if fault:
        if fault.get("hangs"):
            server.hang()
        leave(fault.get("exit", 255), *fault.get("lines", []))
    say(job["id"])


def read_script(operands: list[str]) -> bytes:
    if not operands:
        return sys.stdin.buffer.read()
    path = Path(operands[0])
    if not path.exists():
        leave(1, "qsub: script file:: No such file or directory")
    if path.is_dir():
        leave(1, "qsub: script not a file")
    if b"\r\n" in (content := path.read_bytes()):
        leave(1, "qsub: script contains cr, lf")
    return content


def described(options: list[tuple[str, str]]) -> dict[str, Any]:
    given = dict(options)
    name, queue = given.get("-N", "STDIN"), given.get("-q", "gpu_1")
    if not re.fullmatch(r"[A-Za-z0-9._+-]+", name):
        leave(2, "qsub: illegal -N value", USAGE)
    if len(name) > 230:
        leave(2, "qsub: Job name is too long ")
    if "d" in given.get("-k", "") and not server.settings()["direct_write"]:
        leave(2, "qsub: illegal -k value", USAGE)
    if queue not in server.settings()["queues"]:
        leave(170, "qsub: Unknown queue")
    if not server.settings()["queues"][queue].get("enabled", True):
        leave(173, "qsub: Queue is not enabled")
    asked = resources([value for option, value in options if option == "-l"])
    limits = server.settings()["queues"][queue]
    if asked["walltime"] > limits.get("walltime", 10**9) or asked["ngpus"] > limits.get("ngpus", 10**9):
        leave(188, "qsub: Job violates queue and/or server resource limits")
    return {
        "name": name,
        "queue": queue,
        "state": "H" if "-h" in given else "Q",
        "user": me(),
        "path": os.environ["PATH"],
        "project": given.get("-P", "_pbs_project_default"),
        "output": given.get("-o", ""),
        "error": given.get("-e", ""),
        "keep": given.get("-k", ""),
        "umask": re.sub(r".*umask=", "", given["-W"]) if "umask=" in given.get("-W", "") else "077",
        "ctime": server.now(),
        "arguments": " ".join(sys.argv[1:]),
        **asked,
    }


def resources(lists: list[str]) -> dict[str, Any]:
    asked = {"walltime": 43200, "memory": 10**9, "ngpus": 0}
    for item in lists:
        for chunk in item.split(":") if item.startswith("select=") else [item]:
            name, _, value = chunk.rpartition("=") if not chunk.startswith("select=") else ("select", "", chunk[7:])
            if name == "walltime":
                asked["walltime"] = seconds(value)
            elif name == "mem":
                asked["memory"] = kilobytes(value)
            elif name == "ngpus":
                asked["ngpus"] = int(value)
            elif name not in ("select", "ncpus", "mpiprocs"):
                leave(187, f"qsub: Unknown resource: {name}")
            elif not value.isdigit():
                leave(166, f"qsub: Illegal attribute or resource value select.{name}")
    return asked


def seconds(value: str) -> int:
    if not re.fullmatch(r"(\d+:)?(\d+:)?\d+", value):
        leave(166, "qsub: Illegal attribute or resource value Resource_List.walltime")
    total = 0
    for part in value.split(":"):
        total = 60 * total + int(part)
    return total


def kilobytes(value: str) -> int:
    match = re.fullmatch(r"(\d+)(kb|mb|gb)", value)
    if not match:
        leave(166, "qsub: Illegal attribute or resource value select.mem")
    return int(match[1]) * SIZES[match[2]]


def qstat(arguments: list[str], fault: dict[str, Any] | None) -> None:
    options, operands = getopt.getopt(arguments, "aBfF:GHinpQrsTtu:wxE1")
    flags = {option for option, _ in options}
    if "-Q" in flags:
        return queues(operands)
    if "-B" in flags:
        return whole_server()
    history = "-x" in flags
    status = 0
    with server.state() as content:
        server.start_what_may_run(content)
        jobs = content["jobs"]
    chosen = operands or [job_id for job_id, job in jobs.items() if history or job["state"] != "F"]
    shown = []
    for operand in chosen:
        try:
            shown.append(find(jobs, operand, history))
        except Refused as refusal:
            status, line = refusal.args
            os.write(2, f"{line}\n".encode())
    if "-f" in flags:
        for job in shown:
            say(full(job))
    elif shown:
        table(shown)
    sys.exit(status)


def find(jobs: dict[str, Any], operand: str, history: bool) -> dict[str, Any]:
    host = server.settings()["server"]
    match = re.fullmatch(r"(\d+(?:\[\d*\])?)(?:\.(.+))?", operand)
    if not match:
        if operand[:1].isdigit():
            raise Refused(1, f"{COMMAND}: illegally formed job identifier: {operand}")
        raise Refused(170, f"{COMMAND}: Unknown queue destination {operand}")
    if (match[2] or host) != host:
        raise Refused(1, f"{COMMAND}: illegally formed job identifier: {operand}")
    job_id = f"{match[1]}.{host}"
    if COMMAND == "qstat" and history and not server.settings()["history"]:
        raise Refused(0, f"qstat: PBS is not configured to maintain job history {job_id}")
    if job_id not in jobs:
        raise Refused(153, f"{COMMAND}: Unknown Job Id {job_id}")
    if jobs[job_id]["state"] == "F" and not history:
        words = {"qrls": "qrls: Job has finished", "qdel": f"qdel: Job has finished {job_id}"}
        otherwise = f"qstat: {job_id} Job has finished, use -x or -H to obtain historical job information"
        raise Refused(35, words.get(COMMAND, otherwise))
    return dict(jobs[job_id])


def full(job: dict[str, Any]) -> str:
    lines = [f"Job Id: {job['id']}"]
    attributes = {
        "Job_Name": job["name"],
        "Job_Owner": f"{job['user']}@vm",
        "job_state": job["state"],
        "queue": job["queue"],
        "server": server.settings()["server"],
        "ctime": job["ctime"],
        "Error_Path": f"vm:{job['error']}",
        "exec_host": job.get("exec_host"),
        "Hold_Types": job.get("hold", "u") if job["state"] == "H" else "n",
        "Keep_Files": job["keep"] or "n",
        "Output_Path": f"vm:{job['output']}",
        "Resource_List.mem": f"{job['memory']}kb",
        "Resource_List.walltime": spelled(job["walltime"]),
        "stime": job.get("stime"),
        "Variable_List": f"PBS_O_HOME=/home/{job['user']},PBS_O_LANG=C.UTF-8,PBS_O_LOGNAME={job['user']}",
        "comment": job.get("comment"),
        "run_count": job.get("run_count"),
        "substate": job.get("substate"),
        "Exit_status": job.get("exit_status"),
        "Submit_arguments": job["arguments"],
        "project": job["project"],
        "Submit_Host": "vm",
    }
    lines += [wrapped(f"    {key} = {value}") for key, value in attributes.items() if value is not None]
    return "\n".join([*lines, ""])


def spelled(seconds: int) -> str:
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def wrapped(line: str) -> str:
    """79 columns, then a tab: PBS cuts in the middle of words."""
    first, rest = line[:79], line[79:]
    return "\n\t".join([first, *(rest[start : start + 71] for start in range(0, len(rest), 71))])


def table(jobs: list[dict[str, Any]]) -> None:
    """The plain table, names cut after 15 characters."""
    say("Job id            Name             User              Time Use S Queue")
    say("----------------  ---------------- ----------------  -------- - -----")
    for job in jobs:
        name = job["name"] if len(job["name"]) <= 15 else f"{job['name'][:15]}*"
        say(f"{job['id']:<17} {name:<16} {job['user']:<16} {'0':>9} {job['state']} {job['queue']:<16}")


def whole_server() -> None:
    say(f"Server: {server.settings()['server']}\n    server_state = Active")
    limit = server.settings()["max_queued"]
    limits = f"    max_queued = [u:PBS_GENERIC={limit}]\n" if limit else ""
    say(f"    pbs_version = 23.06.06\n{limits}    job_history_enable = {server.settings()['history']}\n")


def queues(operands: list[str]) -> None:
    for name in operands or server.settings()["queues"]:
        if name not in server.settings()["queues"]:
            leave(170, f"qstat: Unknown queue destination {name}")
        queue = server.settings()["queues"][name]
        limits = "".join(
            f"    {key} = [u:PBS_GENERIC={queue[key]}]\n"
            for key in ("max_queued", "max_run")
            if queue.get(key) is not None
        )
        enabled = queue.get("enabled", True)
        say(f"Queue: {name}\n    queue_type = Execution\n{limits}    enabled = {enabled}\n    started = True\n")


def qselect(arguments: list[str], fault: dict[str, Any] | None) -> None:
    options = dict(getopt.getopt(arguments, "a:A:c:h:HJl:N:p:q:r:s:t:TP:xu:")[0])
    if "-x" in options and not server.settings()["history"]:
        leave(0, "qselect: PBS is not configured to maintain job history")
    with server.state() as content:
        jobs = content["jobs"].values()
    for job in jobs:
        wanted = options.get("-u") in (None, job["user"]) and options.get("-N") in (None, job["name"])
        if wanted and ("-x" in options or job["state"] != "F"):
            say(job["id"])


def for_each(arguments: list[str], change: Any) -> None:
    status = 0
    with server.state() as content:
        for operand in getopt.getopt(arguments, "h:W:x")[1]:
            try:
                change(content, find(content["jobs"], operand, history=False)["id"])
            except Refused as refusal:
                status, line = refusal.args
                os.write(2, f"{line}\n".encode())
        server.start_what_may_run(content)
    sys.exit(status)


def release(content: dict[str, Any], job_id: str) -> None:
    job = content["jobs"][job_id]
    if job["state"] == "H" and job.get("hold", "u") == "u":
        content["jobs"][job_id] |= {"state": "Q", "comment": None}


def hold(content: dict[str, Any], job_id: str) -> None:
    """A user's own hold on a job that waits; the comment tells it from the hold of a submission."""
    job = content["jobs"][job_id]
    held = {"state": "H"} if job["state"] == "Q" else {}
    content["jobs"][job_id] |= {**held, "hold": "u", "comment": f"Job held by {me()} on {server.now()}"}


def delete(content: dict[str, Any], job_id: str) -> None:
    if content["jobs"][job_id]["state"] == "R" and server.settings()["mom_is_down"]:
        raise Refused(222, f"qdel: Server could not connect to MOM {job_id}")
    if content["jobs"][job_id]["state"] == "R":
        (server.HOME / f"delete.{job_id}").touch()
    else:
        server.finish(content, job_id, "terminated", None)


def pbsnodes(arguments: list[str], fault: dict[str, Any] | None) -> None:
    state = "down" if server.settings()["mom_is_down"] else "free"
    for host in arguments:
        say(f"{host}\n     Mom = {host}\n     ntype = PBS\n     state = {state}\n     pcpus = 1\n")


COMMANDS: dict[str, Callable[[list[str], dict[str, Any] | None], None]] = {
    "qsub": qsub,
    "qstat": qstat,
    "qselect": qselect,
    "qrls": lambda arguments, fault: for_each(arguments, release),
    "qhold": lambda arguments, fault: for_each(arguments, hold),
    "qdel": lambda arguments, fault: for_each(arguments, delete),
    "pbsnodes": pbsnodes,
}

if __name__ == "__main__":
    main()
