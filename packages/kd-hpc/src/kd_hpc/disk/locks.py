"""A lock for shared file systems: no flock, no lease, broken only on proof that its owner is gone.

The lock is a series of files NAME.1, NAME.2, ...; the highest number is the lock. Taking it means creating the next
number by a hard link, which exactly one of many can do. Nobody ever removes or changes another's file, so there is no
moment at which breaking a dead owner's lock could remove a live one's.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from kd_hpc.disk.files import replace, unwritable, write_new
from kd_hpc.disk.process import ProcessIdentity
from kd_hpc.disk.sealed import object_bytes, read_object
from kd_hpc.errors import Damaged, LockHeld, OwnerUnseen, StoreError

_KEPT = 8
"""Generations that stay behind the latest, for one who counted them and fell asleep before bidding for the next."""


class Owner(BaseModel):
    """Who holds a lock: a process, the token of its job if it runs in one, and what it does, if not training."""

    model_config = ConfigDict(frozen=True)

    process: ProcessIdentity
    token: str = ""
    role: str = ""
    since: datetime
    released: bool = False

    def is_alive(self) -> bool | None:
        """False with proof that the lock is free; None where this process cannot know."""
        return False if self.released else self.process.is_alive()

    def __str__(self) -> str:
        return f"{self.process} since {self.since:%Y-%m-%d %H:%M:%S} UTC"


MayTakeFrom = Callable[[Owner | None], bool]
"""Asked only where nobody can prove the owner's end, who is None where the lock is unreadable."""


def nobody(owner: Owner | None) -> bool:
    """The MayTakeFrom of one who knows no more than this process can prove."""
    return False


def current_owner(path: Path) -> Owner | None:
    """The last owner of the lock at `path`, alive or not; None if it was never taken. Raises StoreError."""
    latest = max(_generations(path), default=None)
    return None if latest is None else _read(_file(path, latest))


def owners(path: Path) -> Iterator[Owner]:
    """The owners of the lock at `path` that are still known, the last one first. Raises StoreError."""
    for generation in sorted(_generations(path), reverse=True):
        yield _read(_file(path, generation))


@contextlib.contextmanager
def held(path: Path, *, token: str = "", role: str = "", may_take_from: MayTakeFrom = nobody) -> Iterator[Bid]:
    """Hold the lock at `path` for the body. Raises LockHeld, with the owner in its message."""
    bid = bid_for(path, token=token, role=role, may_take_from=may_take_from)
    bid.win(path.parent)
    try:
        yield bid
    finally:
        bid.release(path.parent)


@dataclass(frozen=True)
class Bid:
    """The next generation of a lock. `doubtful` is the owner before, where its end is assumed and not proven."""

    path: Path
    generation: int
    mine: Owner
    doubtful: str = ""

    def win(self, drafts: Path) -> None:
        """Take the lock, by way of a file in the folder `drafts`.

        Raises LockHeld if another was quicker, StoreError where the file system refuses.
        """
        try:
            won = self._create(drafts)
        except OSError as error:
            raise unwritable(self.path, error) from error
        if not won or max(_generations(self.path)) != self.generation:
            raise LockHeld(f"{self.path} was taken by somebody else this very moment.", remedy="Try again.")
        for old in _generations(self.path):
            if old < self.generation - _KEPT:
                _file(self.path, old).unlink(missing_ok=True)

    def release(self, drafts: Path) -> None:
        """Say that the lock is free, unless its folder was moved away or taken over since."""
        file, released = _file(self.path, self.generation), self.mine.model_copy(update={"released": True})
        with contextlib.suppress(StoreError, LockHeld, OSError):
            if _read(file) == self.mine:
                replace(file, lambda stream: stream.write(_to_bytes(released)), drafts=drafts)

    def _create(self, drafts: Path) -> bool:
        """Make the file with its whole content in one step; False if it exists."""
        file = _file(self.path, self.generation)
        draft = drafts / f".{file.name}.{secrets.token_hex(8)}.tmp"
        try:
            write_new(draft, lambda stream: stream.write(_to_bytes(self.mine)))
            os.link(draft, file)
        except FileExistsError:
            return False
        finally:
            with contextlib.suppress(OSError):
                draft.unlink()
        return True


def bid_for(path: Path, *, token: str = "", role: str = "", may_take_from: MayTakeFrom = nobody) -> Bid:
    """The right to try: the owner at `path` is gone, or `may_take_from` says that it may be taken for gone.

    Raises LockHeld, OwnerUnseen.
    """
    mine = Owner(process=ProcessIdentity.current(), token=token, role=role, since=datetime.now(UTC))
    latest = max(_generations(path), default=0)
    doubtful = _doubt(path, _file(path, latest), may_take_from) if latest else ""
    return Bid(path, latest + 1, mine, doubtful)


def _doubt(path: Path, file: Path, may_take_from: MayTakeFrom) -> str:
    """Who is assumed to be gone; empty where that is proven. Raises LockHeld where it may be alive."""
    try:
        owner = _read(file)
    except Damaged as error:
        if not may_take_from(None):
            raise OwnerUnseen(f"Nobody knows who holds {path}: {error.what}") from None
        return "an owner whose lock is unreadable"
    alive = owner.is_alive()
    if alive:
        raise LockHeld(f"{path} is held by {owner}.")
    if alive is None and not may_take_from(owner):
        raise OwnerUnseen(f"{path} is held by {owner}, which cannot be seen from here.")
    return f"{owner.process}, which could not be seen" if alive is None else ""


def _to_bytes(owner: Owner) -> bytes:
    return object_bytes(owner.model_dump(mode="json"))


def _read(file: Path) -> Owner:
    try:
        return Owner.model_validate(read_object(file))
    except FileNotFoundError:
        raise LockHeld(f"{file} is changing hands this very moment.", remedy="Try again.") from None
    except (ValidationError, Damaged):
        raise Damaged(f"{file} is damaged.") from None
    except OSError as error:
        raise StoreError(f"{file} cannot be read: {error.strerror}.", remedy="Try again.") from None


def _file(path: Path, generation: int) -> Path:
    return path.with_name(f"{path.name}.{generation}")


def _generations(path: Path) -> list[int]:
    suffixes = (file.name.removeprefix(f"{path.name}.") for file in path.parent.glob(f"{path.name}.*"))
    return [int(suffix) for suffix in suffixes if suffix.isascii() and suffix.isdigit()]
