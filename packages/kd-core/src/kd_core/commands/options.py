"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ExperimentsOption = Annotated[Path, typer.Option("--experiments", help="Folder that holds the run directories.")]
DataOption = Annotated[Path, typer.Option("--data", help="Folder that holds the prepared data sets.")]
DeviceOption = Annotated[str, typer.Option("--device", help="cpu, cuda, or auto: a GPU if there is one.")]
DatasetOption = Annotated[str, typer.Option("--dataset", help="Cifar10, Cifar100, SVHN, TinyImageNet, ...")]
ModelOption = Annotated[str | None, typer.Option("--model", help="Network of a pure run.")]
MethodOption = Annotated[str | None, typer.Option("--method", help="Distillation method; see kd-core methods.")]
AlphaOption = Annotated[float | None, typer.Option("--alpha", help="Strength of the method, 0 to 1.")]
TeacherOption = Annotated[str | None, typer.Option("--teacher", help="Network of the teacher.")]
StudentOption = Annotated[str | None, typer.Option("--student", help="Network of the student.")]
SeedOption = Annotated[int, typer.Option("--seed", help="Seed of the run, and of its teacher.")]
VariantOption = Annotated[
    str,
    typer.Option(
        "--variant",
        "--control",
        help="How the run differs from the ordinary one of its method: hard, random_teacher, other_teacher_SEED or "
        "shuffled, settings such as temperature_2, joined by +.",
    ),
]
