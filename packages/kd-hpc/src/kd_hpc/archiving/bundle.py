"""A bundle: everything a reviewer needs to audit runs, in one archive that unpacks anywhere."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from kd_hpc.disk.files import publish
from kd_hpc.errors import StoreError, UsageError
from kd_hpc.experiment import Experiment
from kd_hpc.queueing.session import remembered_campaigns
from kd_hpc.records import StatusRecord
from kd_hpc.store import BEST, CHECKPOINT, LAST, METRICS, STATUS, Store, kept_checkpoint

_OF_A_RUN = (STATUS, METRICS, BEST, LAST, CHECKPOINT, "checkpoint.previous.pth", "paraphraser.pth")
_OF_A_TEACHER = (STATUS, METRICS, BEST)
SUMS, README = "SHA256SUMS", "README.txt"


def bundle(store: Store, runs: Iterable[Experiment], name: str, target: Path) -> int:
    """Write `target`, a tar archive of the folder `name` with those runs and their teachers; returns how many files.

    Raises UsageError where `target` is there already or a run has nothing to audit, StoreError where a file cannot be
    read or the archive not be written.
    """
    chosen = list(dict.fromkeys(runs))
    if target.exists():
        raise UsageError(f"{target} is there already.", remedy="Name another, or move it away.")
    files = dict(_files(store, chosen))
    sums = {place: _sha256(path) for place, path in files.items()}
    notes = {README: _readme(store, chosen, name), SUMS: "".join(f"{sha}  {place}\n" for place, sha in sums.items())}
    publish(target, lambda stream: _write(stream, name, files, notes))
    return len(files)


def _files(store: Store, runs: Iterable[Experiment]) -> Iterator[tuple[str, Path]]:
    """Each file with its place in the bundle, each once."""
    for campaign in remembered_campaigns(store.root):
        yield f"campaigns/{campaign.name}", campaign
    for run in runs:
        _require_auditable(store, run)
        yield from _of(store, run, _OF_A_RUN)
        if run.teacher_run:
            yield from _of(store, run.teacher_run, _OF_A_TEACHER)
        if run.parent:
            yield from _of(store, run.parent, (STATUS, kept_checkpoint(run.first_epoch)))


def _of(store: Store, run: Experiment, names: Iterable[str]) -> Iterator[tuple[str, Path]]:
    paths = (store.directory(run) / name for name in names)
    yield from ((f"experiments/{run.path}/{path.name}", path) for path in paths if path.is_file())


def _require_auditable(store: Store, run: Experiment) -> None:
    record = store.read(run)
    if not isinstance(record, StatusRecord) or not record.is_done:
        raise UsageError(f"{run.label} is not finished.", remedy="Name finished runs: kd-hpc status --state completed")
    if not (store.directory(run) / CHECKPOINT).is_file():
        raise UsageError(
            f"{run.label} has no {CHECKPOINT}: nobody could audit it.", remedy="Name runs that kept theirs."
        )


def _readme(store: Store, runs: Iterable[Experiment], name: str) -> str:
    records = {run: store.read(run) for run in runs}
    facts = {run: record.provenance for run, record in records.items() if isinstance(record, StatusRecord)}
    data = sorted({(run.dataset, str(known.get("data_sha256"))) for run, known in facts.items()})
    lines = [
        "Runs to be audited: kd-core trains one epoch of a run again, from the checkpoint before it, and compares.",
        "",
        f"(cd {name} && sha256sum -c {SUMS})",
        *(f"kd-core data prepare {dataset}    # content {sha256}" for dataset, sha256 in data),
        *(f"kd-core audit {run.label} --experiments {name}/experiments" for run in runs),
    ]
    return "\n".join(lines) + "\n"


def _write(stream: BinaryIO, name: str, files: dict[str, Path], notes: dict[str, str]) -> None:
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for place, text in notes.items():
            content = text.encode()
            entry = tarfile.TarInfo(f"{name}/{place}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
        for place, path in files.items():
            archive.add(path, f"{name}/{place}", recursive=False)


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}.", remedy="Fix its permissions.") from None
