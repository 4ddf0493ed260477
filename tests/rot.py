"""Every artefact the product reads back, as small as may be, and what becomes of one whose bytes changed.

`Tree` makes them with the code that makes them in earnest, and reads each with the code that reads it in earnest.
`mutations` are what disks, networks and people do to files.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kd_analysis.representations import npz
from kd_analysis.representations.cache import Cache
from kd_core.artifacts.checkpoint import previous, save_checkpoint
from kd_core.artifacts.representations import save_representations
from kd_core.artifacts.torchfile import read_torch
from kd_core.artifacts.weights import load_network, read_weights, save_weights
from kd_core.data.images import Split, load_dataset, save_dataset
from kd_core.networks import build
from kd_core.training.curves import Curves
from kd_hpc.campaign import load_campaign
from kd_hpc.disk import locks
from kd_hpc.disk.sealed import known_object
from kd_hpc.errors import KdError
from kd_hpc.experiment import Experiment
from kd_hpc.fence import OWNER
from kd_hpc.queueing.evidence import Evidence
from kd_hpc.queueing.job_notes import Stuck
from kd_hpc.queueing.runner import tick_lock, tick_owner
from kd_hpc.queueing.session import open_session, remembered_campaigns
from kd_hpc.records import Attempt, State, StatusRecord
from kd_hpc.schedulers.base import Gone
from kd_hpc.schedulers.local import supervise
from kd_hpc.schedulers.local.scheduler import LocalScheduler
from kd_hpc.store import BEST, CHECKPOINT, METRICS, REPRESENTATIONS, SHARED, STATUS, Store, Unreadable, artefacts
from kd_hpc.triage.run_directory import read_curves

RUN = Experiment(dataset="Digits", student="ResNetBaby", seed=0)
NEIGHBOUR = Experiment(dataset="Digits", student="ResNetBaby", seed=1)
CPU = torch.device("cpu")
CAMPAIGN = """\
name = "rot"
datasets = ["Digits"]
teacher = "ResNetBaby"
student = "ResNetBaby"
methods = ["logit"]
alphas = [0.5]
seeds = [0, 1]

[recipe]
epochs = 1

[scheduler]
kind = "local"
"""


class Outcome(StrEnum):
    REFUSED = "refused"
    """It was said to be damaged, or passed over as if it were not there."""
    SAME = "same"
    """What was changed says nothing: what was read is what was written."""
    BELIEVED = "believed"
    FATAL = "fatal"


@dataclass(frozen=True)
class Artefact:
    """`read` gives what the product makes of the file; None, or a KdError, where it makes nothing of it."""

    name: str
    path: Path
    read: Callable[[], object]


class Tree:
    """Two finished runs that are alike, with everything that is kept beside them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = Store(root / "experiments")
        self.control = self.store.root / ".kd"
        self.directory = self.store.directory(RUN)
        self.shared = self.directory / SHARED.join(("paraphraser", "0123456789ab", "2.pth"))
        for run in (RUN, NEIGHBOUR):
            _finish(self.store, run, self.shared.name)
        self._queue()
        self._prepare()
        Cache(root / "cache").put("ab12", {"key": {"value": 0.25}})

    def _queue(self) -> None:
        (self.root / "rot.toml").write_text(CAMPAIGN)
        session = open_session(self.root / "rot.toml", self.store.root)
        session.remember_campaign()
        with tick_lock(self.control):
            pass
        evidence = Evidence(self.store, self.control / "weights.json")
        evidence.weights(RUN)
        evidence.keep()
        evidence.notes.note_stuck({RUN.label: Stuck("1.vm", "it waits", "wait")})
        (self.control / "jobs/1.token").mkdir()
        supervise.keep_exit(str(self.control / "jobs/1.token"), status=0, comment="", host="here")

    def _prepare(self) -> None:
        images = np.arange(40 * 64, dtype=np.uint8).reshape(40, 1, 8, 8)
        split = Split(images, np.arange(40, dtype=np.int64) % 10)
        save_dataset(self.root / "data", "Digits", "made up", split, split)

    def artefacts(self) -> list[Artefact]:
        run, control, data = self.directory, self.control, self.root / "data" / "Digits"
        weights = Evidence(self.store, control / "weights.json")
        (campaign,) = remembered_campaigns(self.store.root)
        return [
            Artefact("record", run / STATUS, lambda: _readable(self.store.read(RUN))),
            Artefact("curves", run / METRICS, lambda: _curves(run / METRICS)),
            Artefact("best weights", run / BEST, self._network),
            Artefact("best weights, planned with", run / BEST, self._weights),
            Artefact("checkpoint", run / CHECKPOINT, lambda: _plain(read_torch(run / CHECKPOINT, CPU))),
            Artefact("spare", previous(run / CHECKPOINT), lambda: _plain(read_torch(previous(run / CHECKPOINT), CPU))),
            Artefact("paraphraser", self.shared, lambda: _plain(read_torch(self.shared, CPU))),
            Artefact("representations", run / REPRESENTATIONS, lambda: _arrays(run / REPRESENTATIONS)),
            Artefact("owner", run / f"{OWNER}.1", lambda: locks.current_owner(run / OWNER)),
            Artefact("tick lock", _latest(control / "tick-lock"), lambda: tick_owner(control)),
            Artefact("campaign", campaign, lambda: load_campaign(campaign)),
            Artefact("known weights", control / "weights.json", self._known_weights),
            Artefact("stuck jobs", control / "jobs/stuck.json", lambda: weights.notes.stuck() or None),
            Artefact("end of a local job", control / "jobs/1.token/exit", self._ending),
            Artefact("numbers", self.root / "cache/ab/ab12.json", self._numbers),
            Artefact("manifest", data / "manifest.json", self._dataset),
            Artefact("images", data / "train_images.npy", self._dataset),
        ]  # fmt: skip

    def _network(self) -> object:
        content = read_weights(self.store, RUN, BEST)
        return _plain(load_network(content, self.directory / BEST, RUN, 10, CPU, "again").state_dict())

    def _weights(self) -> object:
        return Evidence(self.store, self.root / "no cache").weights(RUN).sha256 or None

    def _ending(self) -> object:
        seen = LocalScheduler(self.control / "jobs", 1).look(["1.token"]).of("1.token")
        return seen if isinstance(seen, Gone) else None

    def _known_weights(self) -> object:
        return known_object(self.control / "weights.json").get("weights")

    def _numbers(self) -> object:
        return Cache(self.root / "cache").get("ab12", "key")

    def _dataset(self) -> object:
        found = load_dataset(self.root / "data", "Digits")
        return _plain([*found.train, *found.test, found.sha256])


def _finish(store: Store, run: Experiment, shared: str) -> None:
    with store.opened(run) as mine:
        network, directory = build(run.student, 10), mine.directory
        for epoch in (1, 2):
            state = {"epoch": epoch, "model": network.state_dict(), "rates": [0.05] * epoch}
            save_checkpoint(mine.fence, directory / CHECKPOINT, {"experiment": run.label}, state)
        save_weights(mine.fence, directory / BEST, network.state_dict())
        save_weights(mine.fence, directory / shared, {"weight": torch.arange(6.0)}, made_from={"stage": "paraphraser"})
        curves = {name: [0.5, 0.25] for name in ("train_loss", "test_loss", "test_acc", "train_acc", "lr", "seconds")}
        Curves(curves).publish(mine.fence)
        save_representations(mine.fence, directory / REPRESENTATIONS, _representations())
        files = {path.name: mine.fence.digests[path.name] for path in artefacts(directory)}
        now = datetime(2026, 1, 1, tzinfo=UTC)
        attempt = Attempt(token="abc", scheduler="pbs", job_id="1.vm", started_at=now, ended_at=now)
        mine.write(
            StatusRecord(state=State.COMPLETED, epoch=2, epochs=2, acc_last=90.0, attempts=(attempt,), files=files)
        )


def _representations() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    layers = {f"layer{n}": rng.normal(size=(20, 16 * 2 ** (n - 1))).astype(np.float32) for n in (1, 2, 3)}
    labels = np.arange(20, dtype=np.int64) % 10
    logits = rng.normal(size=(20, 10)).astype(np.float32)
    return {**layers, "logits": logits, "labels": labels, "item_index": np.arange(20, dtype=np.int64)}


def _latest(lock: Path) -> Path:
    return max(lock.parent.glob(f"{lock.name}.*"), key=lambda file: int(file.suffix[1:]))


def _readable(record: object) -> object:
    return None if isinstance(record, Unreadable) else record


def _curves(path: Path) -> object:
    curves, problem = read_curves(path)
    return None if problem else curves


def _arrays(path: Path) -> object:
    found = npz.load(path)
    return _plain([*found.layers.values(), found.logits, found.labels, found.item_index])


def _plain(content: Any) -> object:
    """The same as something that can be compared."""
    if isinstance(content, dict):
        return {key: _plain(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_plain(value) for value in content]
    if isinstance(content, torch.Tensor | np.ndarray):
        array = np.asarray(content)
        return (array.dtype.str, array.shape, array.tobytes())
    return content


def mutations(content: bytes, rng: random.Random) -> Iterator[tuple[str, bytes]]:
    """Without end: `content` with one bit flipped most of the time, or a page of zeros, or cut off, or longer."""
    while True:
        kind = rng.choice(("bit", "bit", "bit", "zeros", "cut", "longer"))
        place = rng.randrange(len(content))
        damaged = bytearray(content)
        if kind == "bit":
            damaged[place] ^= 1 << rng.randrange(8)
        elif kind == "zeros":
            begin = place // 4096 * 4096
            damaged[begin : begin + 4096] = bytes(len(damaged[begin : begin + 4096]))
        elif kind == "cut":
            del damaged[place:]
        else:
            damaged += rng.randbytes(1 + place % 64)
        if bytes(damaged) != content:
            yield f"{kind} at {place}", bytes(damaged)


def outcome(artefact: Artefact, damaged: bytes) -> tuple[Outcome, str]:
    """What the product makes of `artefact` with the bytes `damaged`, and what it says. The file is mended after."""
    content, meant = artefact.path.read_bytes(), artefact.read()
    artefact.path.write_bytes(damaged)
    try:
        found = artefact.read()
    except KdError as error:
        return Outcome.REFUSED, str(error)
    except Exception as error:
        return Outcome.FATAL, repr(error)
    finally:
        artefact.path.write_bytes(content)
    if found is None:
        return Outcome.REFUSED, ""
    return (Outcome.SAME if found == meant else Outcome.BELIEVED), repr(found)[:200]


def run_mutations(tree: Tree, count: int, seed: int = 0) -> dict[str, dict[Outcome, list[str]]]:
    """`count` mutations over all artefacts in turn: by artefact and outcome, what was changed and what was said."""
    rng = random.Random(seed)
    found: dict[str, dict[Outcome, list[str]]] = {}
    everything = tree.artefacts()
    streams = [mutations(artefact.path.read_bytes(), rng) for artefact in everything]
    for number in range(count):
        artefact = everything[number % len(everything)]
        what, damaged = next(streams[number % len(everything)])
        came, said = outcome(artefact, damaged)
        found.setdefault(artefact.name, {}).setdefault(came, []).append(f"{what}: {said}")
    return found
