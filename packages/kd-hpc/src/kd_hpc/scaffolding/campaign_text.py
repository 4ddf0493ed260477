"""Wishes -> the text of a campaign file that explains itself. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from kd_hpc.catalogue import DATASETS, METHODS, MODELS
from kd_hpc.scaffolding.wishes import Wishes

_QUEUES = {"pbs": "the queue; what there is: qstat -Q", "slurm": "the partition; what there is: sinfo"}
_PROJECTS = {"pbs": "the project code that is charged", "slurm": "the account that is charged"}
_NOTIFY = r"""# To be told when a run needs you and when all is done (docs/guide/notifications.md), take the # away:
# [notify]
# command = ["sh", "-c", "printf '%s\\n' \"$KD_TEXT\" | mail -s \"$KD_TITLE\" you@example.org"]
"""


def campaign_text(wishes: Wishes, file: str) -> str:
    """The whole file, which will be called `file`."""
    parts = (_head(wishes, file), _recipe(wishes), _resources(wishes), _scheduler(wishes))
    return "\n\n".join("\n".join(part) for part in parts) + f"\n\n{_NOTIFY}"


def project_text(wishes: Wishes) -> str:
    """The text of site.toml, with the project code."""
    return (
        "# What is yours or your site's alone, and no campaign's that others read: git ignores this file.\n"
        f"[resources]\n{_project(wishes)}\n"
    )


def _head(wishes: Wishes, file: str) -> Iterator[str]:
    yield f"# A campaign: what is trained, how, and what each job asks for. Look first: kd-hpc queue {file} --dry-run"
    yield "# What may stand here, and methods, data sets and networks of your own: docs/guide/a-campaign-of-your-own.md"
    yield _line("name", wishes.name)
    yield _line("datasets", wishes.datasets, f"known: {', '.join(DATASETS)}")
    yield _line("teacher", wishes.teacher, f"known: {', '.join(MODELS)}")
    yield _line("student", wishes.student, "is also trained alone, to compare with")
    if wishes.methods:
        others = [method for method in METHODS if method not in wishes.methods]
        yield _line("methods", wishes.methods, f"there are also {', '.join(others)}" if others else "")
        yield _line("alphas", wishes.alphas, "the method's share of the loss, from 0 to 1")
    yield _line("seeds", list(range(wishes.seeds)), "everything above with each; more may be added later")
    yield _line("students_per_job", wishes.students_per_job, "so many of one teacher and seed share its passes")


def _recipe(wishes: Wishes) -> Iterator[str]:
    yield "[recipe] # what is not said here is as in kd-core train --help"
    if wishes.epochs:
        yield _line("epochs", wishes.epochs)
    if wishes.batch_size:
        yield _line("batch_size", wishes.batch_size)


def _resources(wishes: Wishes) -> Iterator[str]:
    yield "[resources] # of each job"
    yield _line("walltime", wishes.walltime, "HH:MM:SS; a job killed there goes on in another from its last epoch")
    yield _line("cores", wishes.cores)
    yield _line("memory", wishes.memory)
    if wishes.gpus:
        yield _line("gpus", wishes.gpus)
    if wishes.gpu_type:
        yield _line("gpu_type", wishes.gpu_type)
    if wishes.queue:
        yield _line("queue", wishes.queue, _QUEUES.get(wishes.scheduler, ""))
    if wishes.project:
        yield _project(wishes)
    if wishes.modules:
        yield _line("modules", wishes.modules, "loaded before training")


def _project(wishes: Wishes) -> str:
    return _line("project", wishes.project, _PROJECTS.get(wishes.scheduler, ""))


def _scheduler(wishes: Wishes) -> Iterator[str]:
    yield "[scheduler]"
    yield _line("kind", wishes.scheduler)
    yield _line("slots", wishes.slots, "jobs of yours at once, those that wait included")


def _line(key: str, value: Any, comment: str = "") -> str:
    text = json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)
    return f"{key} = {text} # {comment}" if comment else f"{key} = {text}"
