"""kd-hpc init: a campaign file to begin with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from kd_hpc.scaffolding.wishes import Wishes


def init(
    name: Annotated[str, typer.Argument(help="Name of the campaign.")] = "mine",
    scheduler: Annotated[str | None, typer.Option(help="local (this machine), pbs or slurm.")] = None,
    datasets: Annotated[list[str] | None, typer.Option("--dataset", help="May be repeated.")] = None,
    teacher: Annotated[str | None, typer.Option(help="Network of the teacher.")] = None,
    student: Annotated[str | None, typer.Option(help="Network of the students.")] = None,
    methods: Annotated[list[str] | None, typer.Option("--method", help="May be repeated.")] = None,
    alphas: Annotated[list[float] | None, typer.Option("--alpha", help="May be repeated.")] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="How many.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Epochs of each run.")] = None,
    queue: Annotated[str | None, typer.Option(help="Queue of PBS, partition of Slurm.")] = None,
    project: Annotated[str | None, typer.Option(help="Project of PBS, account of Slurm.")] = None,
    walltime: Annotated[str | None, typer.Option(help="Of a job, HH:MM:SS.")] = None,
    cores: Annotated[int | None, typer.Option(min=1, help="Of a job.")] = None,
    memory: Annotated[str | None, typer.Option(help="Of a job, such as 16gb.")] = None,
    gpus: Annotated[int | None, typer.Option(min=0, help="Of a job.")] = None,
    gpu_type: Annotated[str | None, typer.Option(help="As the site calls it, such as V100.")] = None,
    modules: Annotated[list[str] | None, typer.Option("--module", help="May be repeated.")] = None,
    slots: Annotated[int | None, typer.Option(min=1, help="Jobs of yours at once.")] = None,
    login: Annotated[str, typer.Option(help="On a laptop: the cluster's USER@HOST.")] = "",
    folder: Annotated[str, typer.Option(help="On a laptop: the clone there.")] = "",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write.  [default: campaigns/NAME.toml]")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing; take what is usual.")] = False,
) -> None:
    """Write a campaign file that explains itself.

    Asks, at a terminal, for what was not given. The project code goes into site.toml, which git ignores. With --login
    and --folder it also writes toolbox/chpc.env, with which toolbox/chpc_train.sh reaches the cluster. Nothing that is
    there is overwritten. Then kd-hpc doctor looks at it.

    Asked for everything: kd-hpc init

    For Slurm, unasked: kd-hpc init first --scheduler slurm --queue gpu --yes
    """
    given = _given(
        name=name, scheduler=scheduler, datasets=datasets, teacher=teacher, student=student, methods=methods,
        alphas=alphas, seeds=seeds, epochs=epochs, queue=queue, project=project, walltime=walltime, cores=cores,
        memory=memory, gpus=gpus, gpu_type=gpu_type, modules=modules, slots=slots,
    )  # fmt: skip
    path = output or Path("campaigns") / f"{name}.toml"
    wishes = _write(given, path, login, folder, unasked=yes)
    _say_what_is_next(wishes, path, reached_from_here=bool(login or folder))


def _write(given: dict[str, Any], path: Path, login: str, folder: str, *, unasked: bool) -> Wishes:
    """Write the campaign, and what belongs to it. Raises UsageError where a file of these names is there already."""
    import sys

    from kd_hpc.scaffolding.questions import wishes_of
    from kd_hpc.scaffolding.write import filled_in, require_new, settings_file, texts_of, write_new

    settings = [settings_file()] if login or folder else []
    require_new(path, *settings)
    wishes = wishes_of(given, ask=sys.stdin.isatty() and not unasked)
    texts = texts_of(wishes, path) | {file: filled_in(login, folder, path) for file in settings}
    write_new(texts)
    print(f"Written: {', '.join(map(str, texts))}")
    return wishes


def _given(**fields: Any) -> dict[str, Any]:
    """What was typed; of what may be repeated, each once."""
    return {
        name: tuple(dict.fromkeys(value)) if isinstance(value, list) else value
        for name, value in fields.items()
        if value is not None and value != []
    }


def _say_what_is_next(wishes: Wishes, path: Path, *, reached_from_here: bool) -> None:
    """The doctor's word where jobs are submitted from here; else where to ask it."""
    from kd_hpc.campaign import load_campaign
    from kd_hpc.doctor.examination import all_checks, is_wrong, show_checks
    from kd_hpc.scaffolding.wishes import SUBMITS, is_here
    from kd_hpc.schedulers.readiness import Place

    if not is_here(wishes.scheduler):
        print(f"There is no {SUBMITS[wishes.scheduler]} on this machine. Where there is: kd-hpc doctor {path}")
        if reached_from_here:
            print("One round from here: bash toolbox/chpc_train.sh cron")
        return
    checks = all_checks(Place(load_campaign(path), path, Path("experiments")))
    show_checks(checks)
    if not any(map(is_wrong, checks)):
        print(f"Next: kd-hpc queue {path} --dry-run")
