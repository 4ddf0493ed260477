"""Does a tree of runs still hold what was written into it? Every damaged or missing file, with what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from kd_hpc.campaign import load_campaign
from kd_hpc.disk import locks
from kd_hpc.disk.files import MOST_BYTES, read_regular, regular_size
from kd_hpc.disk.sealed import read_object, require_archive
from kd_hpc.errors import Damaged, KdError
from kd_hpc.fence import OWNER
from kd_hpc.queueing.runner import CONTROL, tick_owner
from kd_hpc.queueing.session import remembered_campaigns
from kd_hpc.records import FileDigest, StatusRecord
from kd_hpc.remedies import with_folder
from kd_hpc.store import METRICS, SHARED, STATUS, Store, Unreadable, artefacts, read_record

_AT_ONCE = 4
"""Runs that are read at the same time: reading and hashing do not hold Python up."""
_CACHES = ("weights.json", "jobs/stuck.json")
"""Files of kd-hpc's own that may be lost."""


@dataclass(frozen=True)
class Damage:
    """A file, by its path below the experiments folder, that is not what it was; `run` is empty for kd-hpc's own."""

    run: str
    file: str
    what: str
    remedy: str


@dataclass(frozen=True)
class Checked:
    """How much was looked at, and what was found; `read` are the bytes whose digests were computed."""

    runs: int
    files: int
    read: int
    damages: tuple[Damage, ...]

    def as_json(self) -> dict[str, Any]:
        damages = [asdict(damage) for damage in self.damages]
        return {"runs": self.runs, "files": self.files, "bytes": self.read, "damages": damages}


@dataclass(frozen=True)
class _Look:
    """One file to look at: `read` returns how many bytes it verified, and raises for what is wrong."""

    run: str
    path: Path
    remedy: str
    read: Callable[[], int]


def check_tree(store: Store, *, deep: bool, progress: Callable[[int, int], None] = lambda done, of: None) -> Checked:
    """Look at every run, and at kd-hpc's own files.

    Records, curves and control files are verified whole; weights, checkpoints and arrays by presence and length, and
    with `deep` by every byte. Never raises for what the tree holds. `progress` is told finished and all runs.
    """
    labels = [str(path) for path in store.run_directories()]
    found = [_seen(store.root, _of_control_files(store.root))]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for done, seen in enumerate(pool.map(lambda label: _seen(store.root, _of_run(store, label, deep)), labels), 1):
            found.append(seen)
            progress(done, len(labels))
    damages = tuple(damage for seen in found for damage in seen.damages)
    return Checked(len(labels), sum(seen.files for seen in found), sum(seen.read for seen in found), damages)


def _seen(root: Path, looks: Iterable[_Look]) -> Checked:
    files = read = 0
    damages = []
    for look in looks:
        files += 1
        try:
            read += look.read()
        except FileNotFoundError:
            damages.append(_damage(root, look, "it is missing"))
        except OSError as error:
            damages.append(_damage(root, look, f"it cannot be used: {error.strerror}"))
        except KdError as error:
            damages.append(_damage(root, look, error.what))
    return Checked(0, files, read, tuple(damages))


def _damage(root: Path, look: _Look, what: str) -> Damage:
    said = what.removeprefix(f"{look.path}: ").replace(f"{look.path.parent}/", "").rstrip(".")
    return Damage(look.run, str(look.path.relative_to(root)), said, with_folder(look.remedy, root))


def _of_run(store: Store, label: str, deep: bool) -> Iterator[_Look]:
    directory = store.root / label
    record = read_record(directory)
    if record is not None:
        remedy = f"Look at it, then clear it with: kd-hpc retry {label}"
        yield _Look(label, directory / STATUS, remedy, partial(_require_readable, record))
    files = record.files if isinstance(record, StatusRecord) and record.is_done else {}
    for path in dict.fromkeys([*(directory / name for name in files), *_present(directory)]):
        remedy = _remedy(label, path, finished=isinstance(record, StatusRecord) and record.is_done)
        yield _Look(label, path, remedy, partial(_verify, path, files, deep))
    remedy = f"If nothing works on the run: kd-hpc retry --gone {label}"
    yield _Look(label, directory / OWNER, remedy, lambda: _nothing_read(locks.current_owner(directory / OWNER)))


def _of_control_files(root: Path) -> Iterator[_Look]:
    control = root / CONTROL
    for path in remembered_campaigns(root):
        again = "Queue that campaign again: kd-hpc queue campaigns/NAME.toml"
        yield _Look("", path, again, partial(lambda path: _nothing_read(load_campaign(path)), path))
    for path in (control / name for name in _CACHES if (control / name).exists()):
        again = "Nothing is lost: the next kd-hpc queue writes it anew"
        yield _Look("", path, again, partial(lambda path: _nothing_read(read_object(path)), path))
    yield _Look("", control / "tick-lock", "The next kd-hpc queue takes it", lambda: _nothing_read(tick_owner(control)))


def _require_readable(record: StatusRecord | Unreadable) -> int:
    if isinstance(record, Unreadable):
        raise Damaged(record.reason)
    return 0


def _nothing_read(found: object) -> int:
    """For what is verified whole by reading it, and too small to count."""
    return 0


def _present(directory: Path) -> Iterator[Path]:
    """Curves, weights, checkpoints and arrays, those included that students keep here for each other."""
    yield from artefacts(directory)
    yield from sorted(path for path in directory.glob(f"*{SHARED}*.pth") if not path.name.startswith("."))


def _verify(path: Path, files: Mapping[str, FileDigest], deep: bool) -> int:
    """Raise unless `path` is what its record in `files` says, or else what it says itself that it is."""
    expected, size = files.get(path.name), regular_size(path)
    if expected is not None and size != expected.size:
        raise Damaged(f"it has {size} bytes, not the {expected.size} on record")
    if path.name == METRICS:
        read_object(path)
    if not deep:
        return 0
    content = read_regular(path, MOST_BYTES)
    if expected is None or FileDigest.of(content) != expected:
        if path.name != METRICS:
            require_archive(content)
        if expected is not None:
            raise Damaged("it is not the file that its run left behind")
    return len(content)


def _remedy(label: str, path: Path, *, finished: bool) -> str:
    if SHARED in path.name:
        return f"The next student that needs it trains it again; until then remove it: rm {path}"
    if finished:
        return f"Put it back from a copy, or train that run again: kd-hpc retry --anew {label}"
    return "Nothing to type: the run's next job sets it aside and goes on from what is whole"
