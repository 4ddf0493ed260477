"""kd-core methods: what each distillation method is here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kd_core.commands.options import DataOption, DeviceOption, ExperimentsOption

if TYPE_CHECKING:
    from kd_core.method_listing import Calibration, MethodFacts


ProbeOption = Annotated[
    bool, typer.Option("--probe", help="Measure each term's value and pull on the student at the start.")
]
CalibrateOption = Annotated[
    float | None,
    typer.Option(min=0, help="Print weights at which each method pulls so many times as hard as the labels."),
]
TeacherRunOption = Annotated[str, typer.Option(help="With --calibrate: the trained teacher's run, as status names it.")]
BeginningOption = Annotated[str, typer.Option(help="With --calibrate: the network that begins.")]


def methods(
    probe: ProbeOption = False,
    calibrate: CalibrateOption = None,
    teacher: TeacherRunOption = "",
    student: BeginningOption = "",
    experiments: ExperimentsOption = Path("experiments"),
    data: DataOption = Path("data"),
    device: DeviceOption = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the distillation methods: definition, source, weights.

    Example: kd-core methods --probe

    Equal strength, of a trained teacher's run and a student's network:

    kd-core methods --calibrate 0.5 --teacher Digits/pure/A/0 --student B

    How to add one: docs/guide/a-campaign-of-your-own.md
    """
    if calibrate is not None:
        _show_calibrated(calibrate, _calibrated(calibrate, teacher, student, experiments, data, device), as_json)
    elif probe:
        _show_probed(as_json)
    else:
        _show_described(as_json)


def _show_described(as_json: bool) -> None:
    from kd_core.method_listing import describe
    from kd_hpc.screen.terminal import print_json

    listed = describe()
    if as_json:
        print_json({"methods": [asdict(method) for method in listed]})
        return
    for method in listed:
        _print(method)


def _show_probed(as_json: bool) -> None:
    from kd_core.method_listing import probe
    from kd_hpc.screen.terminal import print_json, print_table

    terms = [asdict(row) for row in probe()]
    if as_json:
        print_json({"terms": terms})
        return
    header = ("method", "term", "weight", "value", "pull", "weighted pull")
    print_table(header, [tuple(map(_cell, row.values())) for row in terms])
    print("Pull: the norm of the term's gradient over that of cross-entropy, both on the student's parameters.")


def _show_calibrated(ratio: float, found: list[Calibration], as_json: bool) -> None:
    from kd_hpc.screen.terminal import print_json

    if as_json:
        print_json({"ratio": ratio, "methods": [asdict(row) for row in found]})
        return
    print("[recipe.weights]")
    for row in found:
        for term, weight in row.calibrated.items():
            print(f'"{row.method}.{term}" = {weight:g}  # {row.weights[term]:g} pulls {row.pull:.3g} times the labels')


def _calibrated(
    ratio: float, teacher: str, student: str, experiments: Path, data: Path, device: str
) -> list[Calibration]:
    import torch

    from kd_core.artifacts.reload import experiment_at, test_loader
    from kd_core.data.images import load_dataset
    from kd_core.method_listing import calibrate
    from kd_core.runtime.device import choose_device
    from kd_core.teacher.load import load_teacher
    from kd_hpc.errors import UsageError
    from kd_hpc.store import Store

    if not (teacher and student and ratio > 0):
        raise UsageError(
            "--calibrate needs a ratio above 0, a trained teacher and a student.",
            remedy="Say, --calibrate 0.5 --teacher Cifar10/pure/ResNet112/0 --student ResNet56",
        )
    store, trained = Store(experiments), experiment_at(teacher)
    if not trained.is_pure:
        raise UsageError(f"{teacher} is no teacher: it was distilled.", remedy="Name a pure run.")
    begins = trained.model_copy(
        update={"method": "logit", "alpha": 0.5, "teacher": trained.student, "student": student}
    )
    loader, where = test_loader(store, trained, data, device), choose_device(device)
    classes = load_dataset(data, trained.dataset).facts.classes
    frozen = load_teacher(
        store, begins.require_known((trained.dataset,)), classes, None, where, torch.float32, fold=True
    )
    return calibrate(ratio, begins, frozen.network, loader)


def _print(method: MethodFacts) -> None:
    from kd_hpc.screen.terminal import paint, paragraph

    trains = f"{method.trained:,} parameters beside the student" if method.trained else "the student alone"
    stage = ", and something on the teacher before" if method.first_stage else ""
    print(paint(method.name, "bold"))
    for name, value in (
        ("is", method.definition),
        ("weights", _cell(method.weights)),
        ("trains", trains + stage),
        ("source", method.source),
    ):
        print(paragraph(value, f"    {name:<9}"))


def _cell(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {weight:g}" for name, weight in value.items())
    return f"{value:.3g}" if isinstance(value, float) else str(value)
