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
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from kd_hpc.errors import LockHeld, StoreError
from kd_hpc.files import publish_text
from kd_hpc.process import ProcessIdentity


class Owner(BaseModel):
    """Who holds a lock: a process, and the token of its job if it runs in one."""

    model_config = ConfigDict(frozen=True)

    process: ProcessIdentity
    token: str = ""
    since: datetime
    released: bool = False

    def is_alive(self) -> bool | None:
        """False with proof that the lock is free; None where this machine cannot know."""
        return False if self.released else self.process.is_alive()


def current_owner(path: Path) -> Owner | None:
    """The last owner of the lock at `path`, alive or not; None if it was never taken."""
    latest = max(_generations(path), default=None)
    return None if latest is None else _read(_file(path, latest))


@contextlib.contextmanager
def held(
    path: Path, *, token: str = "", may_take_from: Callable[[Owner], bool] = lambda owner: False
) -> Iterator[Owner]:
    """Hold the lock at `path` for the body.

    `may_take_from(owner)` is asked only where the owner's death cannot be proven from here; it must return True only
    on other proof. Raises LockHeld, with the owner in its message.
    """
    mine = Owner(process=ProcessIdentity.current(), token=token, since=datetime.now(UTC))
    generation = _take(path, mine, may_take_from)
    try:
        yield mine
    finally:
        _release(_file(path, generation), mine)


def _take(path: Path, mine: Owner, may_take_from: Callable[[Owner], bool]) -> int:
    latest = max(_generations(path), default=0)
    if latest:
        owner = _read(_file(path, latest))
        alive = owner.is_alive()
        if alive or (alive is None and not may_take_from(owner)):
            raise LockHeld(f"{path} is held by {owner.process} since {owner.since:%Y-%m-%d %H:%M:%S} UTC.")
    generation = latest + 1
    if not _create(_file(path, generation), mine) or max(_generations(path)) != generation:
        raise LockHeld(f"{path} was taken by somebody else this very moment.", remedy="Try again.")
    for old in _generations(path):
        if old < latest:
            _file(path, old).unlink(missing_ok=True)
    return generation


def _release(file: Path, mine: Owner) -> None:
    """Say that the lock is free, unless its folder was moved away by the one who held it."""
    with contextlib.suppress(LockHeld):
        if _read(file) == mine:
            publish_text(file, mine.model_copy(update={"released": True}).model_dump_json())


def _create(file: Path, owner: Owner) -> bool:
    """Make `file` with its whole content in one step; False if it exists."""
    draft = file.with_name(f".{file.name}.{secrets.token_hex(8)}.tmp")
    publish_text(draft, owner.model_dump_json())
    try:
        os.link(draft, file)
    except FileExistsError:
        return False
    finally:
        draft.unlink(missing_ok=True)
    return True


def _read(file: Path) -> Owner:
    try:
        return Owner.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        raise LockHeld(f"{file} is changing hands this very moment.", remedy="Try again.") from None
    except (OSError, ValidationError):
        raise StoreError(f"The lock {file} is unreadable.", remedy="If no kd command is running, delete it.") from None


def _file(path: Path, generation: int) -> Path:
    return path.with_name(f"{path.name}.{generation}")


def _generations(path: Path) -> list[int]:
    suffixes = (file.name.removeprefix(f"{path.name}.") for file in path.parent.glob(f"{path.name}.*"))
    return [int(suffix) for suffix in suffixes if suffix.isdigit()]
