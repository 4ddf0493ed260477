"""The fence of a run directory: its files change only by way of a room that the present owner alone has.

A claim that is checked once is no fence: its owner may be stopped between any two instructions and woken after another
has taken over. So the owner, of the lock's generation g, makes the folder `.writing.g.x`, x drawn by lot. Every file is
written there and renamed to its place; what is to vanish is renamed into it. Who takes the run over removes all other
rooms, and only then reads the record and the checkpoint. From that moment an earlier owner can neither make a file nor
rename one: the file system itself refuses, and the owner learns from that that it is superseded.

A room is removed, never renamed: a client that holds it open could rename out of a renamed one. It is made before the
lock is bid for, so whoever holds the lock has one, and his successor finds it.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from kd_hpc.disk import locks
from kd_hpc.disk.files import fsync_folder, replace, unwritable
from kd_hpc.errors import KdError, LockHeld, RunOwned, StoreError, Superseded
from kd_hpc.records import FileDigest

OWNER = ".owner"
ROOM = ".writing"
_PATIENCE = 10.0
"""Seconds for which a room that will not go is tried again."""


@dataclass(frozen=True)
class Fence:
    """The right to change the files of `directory`, until somebody takes it over.

    Every method then raises Superseded and has changed nothing; StoreError where the file system refuses.
    """

    directory: Path
    room: Path
    bid: locks.Bid
    digests: dict[str, FileDigest] = field(default_factory=dict)
    """Of the files that were published into `directory`, by name."""

    def publish(self, path: Path, content: bytes) -> None:
        """Replace `path` by `content`, whole or not at all."""
        with self._changing(path):
            replace(path, lambda stream: stream.write(content), drafts=self.room)
        self._note(path, FileDigest.of(content))

    def keep(self, path: Path, spare: Path) -> None:
        """Let `spare`, whatever it was, be what `path` is now; later changes of `path` do not touch it."""
        draft = self._draft(spare)
        with self._changing(spare):
            draft.hardlink_to(path)
            draft.replace(spare)
            draft.unlink(missing_ok=True)  # two names of one file are left as they are
        self._note(spare, self.digests.get(path.name))

    def set_aside(self, path: Path, reason: str) -> Path:
        """Move `path` aside, beside itself, with a note that says why; returns the new place. Overwrites nothing."""
        draft = self._draft(path)
        with self._changing(path):
            draft.hardlink_to(path)
            target = _link_beside(draft, path)
            draft.unlink()
            fsync_folder(path.parent)
        self.publish(target.with_name(target.name + ".reason"), f"{reason}\n".encode())
        self.remove(path)
        return target

    def remove(self, path: Path) -> None:
        """Remove the file `path` if there is one."""
        draft = self._draft(path)
        with self._changing(path):
            try:
                path.rename(draft)
            except FileNotFoundError:
                os.stat(self.room)  # noqa: PTH116 - raises where the room is what was not found
                return
            fsync_folder(path.parent)
            draft.unlink()

    def require(self) -> None:
        """Raise Superseded if the run is somebody else's by now; that it is not is true for this moment only."""
        with self._changing(self.directory):
            os.stat(self.room)  # noqa: PTH116

    def _note(self, path: Path, digest: FileDigest | None) -> None:
        if path.parent == self.directory:
            self.digests.pop(path.name, None)
            if digest:
                self.digests[path.name] = digest

    def _draft(self, path: Path) -> Path:
        return self.room / f"{path.name}.{secrets.token_hex(4)}"

    @contextlib.contextmanager
    def _changing(self, path: Path) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno == errno.ESTALE or (error.errno == errno.ENOENT and not self._lacks(path.parent)):
                raise Superseded(self._superseded()) from None
            raise unwritable(path, error) from error

    def _lacks(self, folder: Path) -> bool:
        """True if it is `folder` that is missing, another than ours, and not the room."""
        return folder != self.directory and not folder.is_dir() and self.room.is_dir()

    def _superseded(self) -> str:
        try:
            successor = locks.current_owner(self.directory / OWNER)
        except KdError:
            successor = None
        whom = f" by {successor.process}" if successor and successor != self.bid.mine else ""
        this = self.bid.mine.token or self.bid.mine.role or "a start by hand"
        return f"superseded: this is {this}, the run in {self.directory} was taken over{whom}; it is left as it is"


def _link_beside(draft: Path, path: Path) -> Path:
    """Give the file `draft` the first free name of those that say that `path` was set aside."""
    for number in itertools.count():
        target = path.with_name(f"{path.name}.quarantined.{number}")
        with contextlib.suppress(FileExistsError):
            target.hardlink_to(draft)
            return target
    raise AssertionError("numbers do not end")


@contextlib.contextmanager
def opened(
    directory: Path, *, token: str = "", role: str = "", may_take_from: locks.MayTakeFrom = locks.nobody
) -> Iterator[Fence]:
    """Own `directory`, which exists, for the body; what is read in the body was written by no earlier owner later.

    Raises LockHeld where its owner may be alive, RunOwned where an earlier owner's room cannot be removed.
    """
    bid = locks.bid_for(directory / OWNER, token=token, role=role, may_take_from=may_take_from)
    room = directory / f"{ROOM}.{bid.generation}.{secrets.token_hex(8)}"
    try:
        _win(bid, room)
        _revoke(directory, bid.generation, mine=room)
        yield Fence(directory, room, bid)
    finally:
        bid.release(room)
        with contextlib.suppress(OSError, RunOwned):
            _remove(room)


def _win(bid: locks.Bid, room: Path) -> None:
    try:
        room.mkdir()
    except OSError as error:
        raise unwritable(room, error) from error
    try:
        bid.win(room)
    except StoreError:
        if room.is_dir():
            raise
        raise LockHeld(f"{bid.path} was taken by somebody else this very moment.", remedy="Try again.") from None


def _revoke(directory: Path, generation: int, mine: Path) -> None:
    """Take from every earlier owner the right to change anything."""
    rooms = [room for room in directory.glob(f"{ROOM}.*") if room != mine and _generation(room) <= generation]
    for room in rooms:
        _remove(room)
    if rooms:
        fsync_folder(directory)


def sweep_rooms(directory: Path) -> None:
    """Remove the rooms in a folder that was moved away: nobody finds his way to them any more."""
    for room in directory.glob(f"{ROOM}.*"):
        _remove(room)


def _remove(room: Path) -> None:
    """Empty the folder `room` and remove it, again and again until it is gone."""
    deadline = time.monotonic() + _PATIENCE
    while room.is_dir():
        try:
            for entry in list(room.iterdir()):
                entry.unlink(missing_ok=True)
            room.rmdir()
        except FileNotFoundError:
            continue
        except OSError as error:
            if time.monotonic() > deadline:
                raise RunOwned(
                    f"{room}, of an earlier owner, cannot be removed: {error.strerror}.",
                    remedy="A process on this machine may have a file in it open: end that one, then try again.",
                ) from error
            time.sleep(_PATIENCE / 500)


def _generation(room: Path) -> int:
    number = room.name.split(".")[2]
    return int(number) if number.isascii() and number.isdigit() else 0
