"""kd-core bench: how fast training is on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from kd_core.commands.interrupted import if_interrupted

if TYPE_CHECKING:
    from kd_core.bench import Comparison, Timing, Variant


def bench(
    teacher: Annotated[str, typer.Option(help="Network of the teacher.")] = "ResNet112",
    student: Annotated[str, typer.Option(help="Network of the students.")] = "ResNet56",
    dataset: Annotated[str, typer.Option(help="Random images of this data set's size.")] = "Cifar10",
    method: Annotated[list[str] | None, typer.Option(help="Only this one; may be repeated.  [default: all]")] = None,
    batch_size: Annotated[int, typer.Option(help="Images a step.")] = 128,
    students: Annotated[int, typer.Option(help="How many to train together.", min=1)] = 6,
    rounds: Annotated[int, typer.Option(help="Rounds, in each of which every variant has its turn.", min=1)] = 5,
    steps: Annotated[int, typer.Option(help="Steps of a variant's turn; on a GPU take 50.", min=1)] = 2,
    device: Annotated[str, typer.Option("--device", help="cpu, cuda, or auto: a GPU if there is one.")] = "auto",
    amp_dtype: Annotated[str, typer.Option(help="auto, float32, float16 or bfloat16.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Time training steps on random images.

    Fast beside plain, students together beside one alone, a checkpoint.

    Example: kd-core bench --dataset Digits --rounds 3
    """
    from dataclasses import asdict

    from kd_core import bench as timings
    from kd_core.methods import METHODS
    from kd_hpc.screen.terminal import print_json

    setting = timings.Setting(teacher, student, dataset, batch_size, students, rounds, steps, device, amp_dtype)
    with if_interrupted("no figure is kept", "One --method, or fewer --rounds, take less time."):
        rows = [*timings.compare_steps(setting, method or list(METHODS)), timings.compare_together(setting)]
        share = timings.checkpoint_share(setting)
    if as_json:
        found = {
            "setting": asdict(setting),
            "steps": [asdict(row) for row in rows],
            "checkpoint_percent": asdict(share),
        }
        print_json(found)
        return
    _print(rows, share)


def _print(rows: list[Comparison], share: Timing) -> None:
    import torch
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ("", "ms a step", "images/s", "beside", "ms a step", "images/s", "times as long"):
        table.add_column(heading, no_wrap=True)
    for row in rows:
        table.add_row(*_cells(row.first), *_cells(row.second), _spread(row.ratio))
    console = Console(width=110)
    console.print(table)
    console.print(f"A checkpoint takes {_spread(share)} % of an epoch's steps.", highlight=False)
    versions = f"torch {torch.__version__}, {torch.get_num_threads()} threads"
    console.print(f"Medians, quartiles in brackets, {share.n} rounds; {versions}.", highlight=False)


def _cells(variant: Variant) -> tuple[str, str, str]:
    return variant.name, f"{1000 * variant.seconds.median:.1f}", f"{variant.images_a_second:,.0f}"


def _spread(timing: Timing) -> str:
    return f"{timing.median:.3g} [{timing.low:.3g}, {timing.high:.3g}]"
