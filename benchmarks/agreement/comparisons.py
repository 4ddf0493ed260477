"""What is compared: each of our losses, and the function of others that should give the same."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.agreement.loading import from_file, torchdistill_losses
from kd_core.methods import METHODS
from kd_core.methods.attention_transfer import attention_loss
from kd_core.methods.base import Items
from kd_core.methods.dist import relation_losses
from kd_core.methods.dkd import decoupled_losses
from kd_core.methods.factor_transfer import Paraphraser, factor_loss
from kd_core.methods.fitnets import hint_loss
from kd_core.methods.logit import logit_loss
from kd_core.methods.nst import nst_loss
from kd_core.methods.rkd import angle_loss, distance_loss
from kd_core.methods.sp import similarity_loss
from kd_core.networks.base import Outputs, Widths
from kd_core.training.objective import Objective

TORCHDISTILL = "torchdistill==1.1.5"
B, K, T, ALPHA = 12, 10, 4.0, 0.7
"""Images, classes, temperature, and the strength where a loss is mixed with cross-entropy."""
WIDTHS = Widths(16, 32, 64, K)
Loss = Callable[[Outputs, Outputs, Tensor], Any]


@dataclass(frozen=True)
class Comparison:
    """`ours` should be `theirs`, a function of student's and teacher's outputs and labels; `relation` says in words."""

    method: str
    code: str
    relation: str
    ours: Loss
    theirs: Loss


def embedding(outputs: Outputs) -> Tensor:
    return outputs.layer3.mean((2, 3))


def positions(outputs: Outputs) -> list[int]:
    return [maps.shape[2] * maps.shape[3] for maps in outputs.features]


def mixed(student: Outputs, teacher: Outputs, labels: Tensor) -> Tensor:
    objective = Objective(METHODS["logit"].build(student=WIDTHS, teacher=WIDTHS, temperature=T), alpha=ALPHA)
    items = Items(labels, torch.arange(len(labels)), torch.tensor(0))
    return objective.total(objective.terms(student, teacher, items))


def our_kd(student: Outputs, teacher: Outputs, labels: Tensor) -> Tensor:
    return logit_loss(student.logits, teacher.logits, T)


def our_at(student: Outputs, teacher: Outputs, labels: Tensor) -> Tensor:
    return attention_loss(student.features, teacher.features)


def our_nst(student: Outputs, teacher: Outputs, labels: Tensor) -> Tensor:
    return torch.stack([nst_loss(s, t) for s, t in zip(student.features, teacher.features, strict=True)]).mean()


def our_distance(student: Outputs, teacher: Outputs, labels: Tensor) -> Tensor:
    return distance_loss(embedding(student), embedding(teacher))


def our_angle(student: Outputs, teacher: Outputs, labels: Tensor) -> Tensor:
    return angle_loss(embedding(student), embedding(teacher))


def our_factor(student: Outputs, teacher: Outputs, labels: Tensor) -> Tensor:
    return factor_loss(student.layer3, teacher.layer3)


def our_hint(student: Outputs, teacher: Outputs, labels: Tensor) -> Tensor:
    return hint_loss(student.layer2, teacher.layer2)


def our_decoupled(place: int) -> Loss:
    """DKD's term of the target, or of the other classes, before it grows."""
    return lambda student, teacher, labels: decoupled_losses(student.logits, teacher.logits, labels, T)[place]


def our_relation(place: int) -> Loss:
    """DIST's term within items, or within classes."""
    return lambda student, teacher, labels: relation_losses(student.logits, teacher.logits, T)[place]


def our_similarity(student: Outputs, teacher: Outputs, labels: Tensor) -> Tensor:
    return similarity_loss(student.layer3, teacher.layer3)


PER_TAP = "mean of the taps, each times its H W"
SAME = "equal"


def of_torchdistill() -> Iterator[Comparison]:
    losses, code = torchdistill_losses(), TORCHDISTILL.replace("==", " ")

    def io(outputs: Outputs, name: str = "") -> dict[str, Any]:
        found = {tap: {"output": getattr(outputs, tap)} for tap in ("layer1", "layer2", "layer3", "logits")}
        return {**found, "embedding": {"output": embedding(outputs)}}

    def called(loss: Any, *labels: Tensor) -> Callable[[Outputs, Outputs], Any]:
        return lambda student, teacher: loss(io(student), io(teacher), *labels)

    places = ("logits", "output", "logits", "output")
    soft = losses.KDLoss(*places, temperature=T, alpha=0)
    mix = losses.KDLoss(*places, temperature=T, alpha=1 - ALPHA)
    pairs = [{"student": {"io": "output", "path": tap}, "teacher": {"io": "output", "path": tap}} for tap in TAPS]
    taps = [losses.ATLoss({"pair": pair}) for pair in pairs]
    distance, angle = (losses.RKDLoss("embedding", "embedding", *factors, "mean") for factors in ((1, 0), (0, 1)))
    factor = losses.FTLoss(paraphraser_path="layer3", translator_path="layer3")
    yield Comparison("logit", code, "T^2 times theirs", our_kd, lambda s, t, y: T**2 * called(soft)(s, t))
    yield Comparison("logit and CE", code, SAME, mixed, lambda s, t, y: called(mix, y)(s, t))
    yield Comparison("attention_transfer", code, PER_TAP, our_at, per_tap(lambda i, s, t: called(taps[i])(s, t)))
    yield Comparison("rkd distance", code, SAME, our_distance, lambda s, t, y: called(distance)(s, t))
    yield Comparison("rkd angle", code, SAME, our_angle, lambda s, t, y: called(angle)(s, t))
    yield Comparison("factor_transfer", code, SAME, our_factor, lambda s, t, y: called(factor)(s, t))
    inter, intra = (losses.DISTLoss(*places, beta, gamma, T) for beta, gamma in ((1, 0), (0, 1)))
    yield Comparison("dist inter", code, SAME, our_relation(0), lambda s, t, y: called(inter)(s, t))
    yield Comparison("dist intra", code, SAME, our_relation(1), lambda s, t, y: called(intra)(s, t))
    similarity = losses.SPKDLoss("layer3", "layer3", "batchmean")
    sums = "another loss: rows divided by their sum, not their length"
    yield Comparison("sp", code, sums, our_similarity, lambda s, t, y: called(similarity)(s, t))


TAPS = ("layer1", "layer2", "layer3")


def per_tap(loss: Callable[[int, Outputs, Outputs], Any]) -> Loss:
    """The mean of a loss of each tap, times the positions over which its authors take the mean and we the sum."""
    return lambda s, t, y: sum(N * loss(i, s, t) for i, N in enumerate(positions(s))) / 3


def of_repdistiller(folder: Path) -> Iterator[Comparison]:
    zoo = {
        name: from_file(folder / f"distiller_zoo/{name}.py")
        for name in ("KD", "AT", "NST", "RKD", "FitNet", "FT", "SP")
    }
    code = "RepDistiller"
    kd, attention, nst = zoo["KD"].DistillKL(T), zoo["AT"].Attention(), zoo["NST"].NSTLoss()
    distance, angle = (zoo["RKD"].RKDLoss(*weights) for weights in ((1, 0), (0, 1)))
    hint = zoo["FitNet"].HintLoss()
    yield Comparison("logit", code, SAME, our_kd, lambda s, t, y: kd(s.logits, t.logits))
    yield Comparison(
        "attention_transfer", code, PER_TAP, our_at, per_tap(lambda i, s, t: attention.at_loss(s[i], t[i]))
    )
    yield Comparison("nst", code, "mean of the taps", our_nst, lambda s, t, y: sum(nst(s.features, t.features)) / 3)
    yield Comparison("rkd distance", code, SAME, our_distance, lambda s, t, y: distance(embedding(s), embedding(t)))
    yield Comparison("rkd angle", code, SAME, our_angle, lambda s, t, y: angle(embedding(s), embedding(t)))
    yield Comparison("fitnets", code, SAME, our_hint, lambda s, t, y: hint(s.layer2, t.layer2))
    similarity = zoo["SP"].Similarity()
    yield Comparison("sp", code, SAME, our_similarity, lambda s, t, y: similarity([s.layer3], [t.layer3])[0].sum())
    factor = zoo["FT"].FactorTransfer()
    yield Comparison(
        "factor_transfer", code, "another loss: attention maps of the factors", our_factor,
        lambda s, t, y: factor(s.layer3, t.layer3),
    )  # fmt: skip
    theirs = from_file(folder / "models/util.py")
    yield paraphrasers(code, lambda ours: with_weights(theirs.Paraphraser((B, 64, 8, 8)), ours), lambda net, x: net(x))


def of_mdistiller(folder: Path) -> Iterator[Comparison]:
    stubs = {"_base": {"Distiller": object}, "_common": {"ConvReg": object, "get_feat_shapes": None}}
    kd, at, nst, rkd, dkd = (
        from_file(folder / f"mdistiller/distillers/{name}.py", "theirs_mdistiller", **stubs)
        for name in ("KD", "AT", "NST", "RKD", "DKD")
    )
    code = "mdistiller"
    yield Comparison("logit", code, SAME, our_kd, lambda s, t, y: kd.kd_loss(s.logits, t.logits, T))
    yield Comparison(
        "attention_transfer", code, PER_TAP, our_at, per_tap(lambda i, s, t: at.single_stage_at_loss(s[i], t[i], 2))
    )
    yield Comparison("nst", code, "mean of the taps", our_nst, lambda s, t, y: nst.nst_loss(s.features, t.features) / 3)

    def relation(distance: float, angle: float) -> Loss:
        weights = {"distance_weight": distance, "angle_weight": angle}
        return lambda s, t, y: rkd.rkd_loss(embedding(s), embedding(t), **weights)

    yield Comparison("rkd distance", code, SAME, our_distance, relation(1, 0))
    yield Comparison("rkd angle", code, SAME, our_angle, relation(0, 1))

    def decoupled(target: float, others: float) -> Loss:
        return lambda s, t, y: dkd.dkd_loss(s.logits, t.logits, y, target, others, T)

    yield Comparison("dkd target", code, SAME, our_decoupled(0), decoupled(1, 0))
    yield Comparison("dkd others", code, SAME, our_decoupled(1), decoupled(0, 1))


def of_zagoruyko(folder: Path) -> Iterator[Comparison]:
    utils, code = from_file(folder / "utils.py", nested_dict={"nested_dict": dict}), "Zagoruyko, attention-transfer"
    yield Comparison(
        "logit and CE", code, SAME, mixed, lambda s, t, y: utils.distillation(s.logits, t.logits, y, T, ALPHA)
    )
    yield Comparison("attention_transfer", code, PER_TAP, our_at, per_tap(lambda i, s, t: utils.at_loss(s[i], t[i])))


def of_park(folder: Path) -> Iterator[Comparison]:
    pdist = from_file(folder / "metric/utils.py").pdist
    package = types.ModuleType("metric")
    sys.modules["metric"] = package
    sys.modules["metric.utils"] = types.ModuleType("metric.utils")
    vars(sys.modules["metric.utils"]).update(pdist=pdist)
    losses, code = from_file(folder / "metric/loss.py"), "Park, RKD"
    distance, angle = losses.RkdDistance(), losses.RKdAngle()
    yield Comparison("rkd distance", code, SAME, our_distance, lambda s, t, y: distance(embedding(s), embedding(t)))
    yield Comparison("rkd angle", code, SAME, our_angle, lambda s, t, y: angle(embedding(s), embedding(t)))


def of_kim(folder: Path) -> Iterator[Comparison]:
    utils, code = from_file(folder / "utils.py"), "Kim, Factor-Transfer-pytorch"
    l1 = torch.nn.L1Loss()
    yield Comparison(
        "factor_transfer", code, SAME, our_factor, lambda s, t, y: l1(utils.FT(s.layer3), utils.FT(t.layer3.detach()))
    )
    modules = from_file(folder / "Models/FeatureProjection.py")
    yield paraphrasers(
        code,
        lambda ours: with_weights(modules.Paraphraser(64, 32), ours),
        lambda net, x: (net(x, 1), net(x, 0)),
    )


def with_weights(theirs: torch.nn.Module, ours: torch.nn.Module) -> torch.nn.Module:
    """Their module with our weights, layer by layer in the order of the layers."""
    theirs.load_state_dict(dict(zip(theirs.state_dict(), ours.state_dict().values(), strict=True)))
    return theirs.double()


def paraphrasers(
    code: str, make: Callable[[torch.nn.Module], torch.nn.Module], run: Callable[[Any, Tensor], Any]
) -> Comparison:
    torch.manual_seed(5)
    ours = Paraphraser(64).double()
    theirs = make(ours)
    return Comparison(
        "paraphraser of factor_transfer", code, "equal, factor and reconstruction",
        lambda s, t, y: sum(part.square().mean() for part in ours(s.layer3)),
        lambda s, t, y: sum(part.square().mean() for part in run(theirs, s.layer3)),
    )  # fmt: skip


CHECKOUTS: dict[str, Callable[[Path], Iterator[Comparison]]] = {
    "RepDistiller": of_repdistiller,
    "mdistiller": of_mdistiller,
    "attention-transfer": of_zagoruyko,
    "RKD": of_park,
    "Factor-Transfer-pytorch": of_kim,
}
