"""Equal strength: weights at which a method pulls as hard as was asked, once a teacher, kept and recorded."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn.functional import cross_entropy

from kd_core.data.images import load_dataset
from kd_core.data.loaders import DeviceLoader, make_loader
from kd_core.methods import METHODS
from kd_core.methods.base import Items, Method, untrained
from kd_core.networks import build
from kd_core.networks.base import Network
from kd_core.teacher.frozen import Frozen, freeze
from kd_core.training.strength import BATCHES, calibrated_weights
from kd_core.training.student import Student
from kd_hpc.errors import TrainingError
from kd_hpc.experiment import Experiment
from kd_hpc.recipe import Recipe
from tests.core.processes import run
from tests.core.runs import arguments, directory, place, status

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def loader(teacher: Path) -> DeviceLoader:
    data = load_dataset(teacher / "data", "Digits")
    made = make_loader("device", data, seed=0, batch_size=64, augment="auto", device=CPU)
    assert isinstance(made, DeviceLoader)
    return made


@pytest.fixture(scope="module")
def network() -> Network:
    torch.manual_seed(0)
    return build("ResNetBaby", 10)


@pytest.fixture(scope="module")
def frozen() -> Frozen:
    torch.manual_seed(1)
    return freeze(build("ResNetBaby", 10), torch.float32, fold=True)


def ready(name: str, network: Network) -> Method:
    torch.manual_seed(2)
    method = METHODS[name].build(student=network.widths, teacher=network.widths, temperature=4.0)
    method.prepare(untrained)
    return method


def pull(method: Method, weights: dict[str, float], network: Network, frozen: Frozen, loader: DeviceLoader) -> float:
    """Mean gradient norm of all weighted terms over that of cross-entropy, by backward passes."""
    norms: list[list[float]] = [[], []]
    network.train()
    state = {name: value.clone() for name, value in network.state_dict().items()}
    for _, batch in zip(range(BATCHES), loader.train(0), strict=False):
        outputs, items = network(batch.images), Items(batch.labels, batch.indices, torch.tensor(10**6))
        terms = method.terms_of(outputs, frozen(batch.images), items)
        losses = (
            torch.stack([weights[name] * term for name, term in terms.items()]).sum(),
            cross_entropy(outputs.logits, batch.labels),
        )
        for place_, loss in zip(norms, losses, strict=True):
            network.zero_grad()
            loss.backward(retain_graph=True)
            place_.append(
                float(torch.cat([w.grad.flatten() for w in network.parameters() if w.grad is not None]).norm())
            )
    network.zero_grad()
    network.load_state_dict(state)
    return sum(norms[0]) / sum(norms[1])


@pytest.mark.parametrize("name", METHODS)
def test_calibrated_weights_pull_as_hard_as_was_asked(
    name: str, network: Network, frozen: Frozen, loader: DeviceLoader
) -> None:
    method = ready(name, network)
    own, before = dict(method.weights), {key: value.clone() for key, value in network.state_dict().items()}
    weights = calibrated_weights(method, own, 0.5, network, frozen, loader.train(0))
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert pull(method, weights, network, frozen, loader) == pytest.approx(0.5, rel=0.01)
    first = next(iter(own))
    assert all(weights[term] / weights[first] == pytest.approx(own[term] / own[first], rel=0.01) for term in own)
    assert all(float(f"{weight:.3g}") == weight for weight in weights.values())


def test_a_method_without_gradient_cannot_be_calibrated(network: Network, frozen: Frozen, loader: DeviceLoader) -> None:
    with pytest.raises(TrainingError, match="logit cannot be calibrated: its gradient is 0"):
        calibrated_weights(ready("logit", network), {"kl": 0.0}, 0.5, network, frozen, loader.train(0))


def test_a_resumed_student_keeps_the_weights_it_began_with(frozen: Frozen) -> None:
    pair = {"method": "rkd", "alpha": 0.5, "teacher": "ResNetBaby"}
    experiment = Experiment.model_validate({"dataset": "Digits", "student": "ResNetBaby", "seed": 0, **pair})
    first, second = (Student(experiment, Recipe(), frozen, CPU, torch.float32) for _ in range(2))
    first.objective.reweigh({"distance": 0.25, "angle": 3.0})
    second.load_state_dict(first.state_dict())
    assert second.objective.factors == {"ce": 0.5, "distance": 0.125, "angle": 1.5}


def test_students_of_one_teacher_share_a_calibration_and_record_it(teacher: Path, tmp_path: Path) -> None:
    root, log = place(teacher, tmp_path / "root"), tmp_path / "log"
    for alpha in (0.5, 0.25):
        code, said = run(arguments(root, "nst", alpha=alpha, epochs=1, more=("--calibrated", "0.5")), log)
        assert code == 0, said
    (kept,) = directory(root, "pure").glob("calibration_nst_ResNetBaby_*.pth")
    shared = torch.load(kept, weights_only=True)["weights"]
    records = [status(tmp_path / "root", f"nst/alpha_{alpha}") for alpha in ("0.5", "0.25")]
    for record in records:
        assert record["provenance"]["weights"] == {name: float(value) for name, value in shared.items()}
        assert record["recipe"]["calibrated"] == 0.5
    assert records[0]["provenance"]["weights"]["nst"] != METHODS["nst"].weights["nst"]
