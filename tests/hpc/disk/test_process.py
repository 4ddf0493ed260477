"""Who lives is proven or unknown, never guessed: not by a host's name, not across namespaces, machines or restarts."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import kd_hpc.disk.process
from kd_hpc.disk.process import ProcessIdentity
from tests.hpc.support import wait_until

HERE = {"machine": "m", "hardware": "h", "boot": "b", "namespace": "n"}


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Where this process is; a test may change it after an identity was taken."""
    place = dict(HERE)
    monkeypatch.setattr(kd_hpc.disk.process, "_here", lambda: place)
    return place


@pytest.mark.parametrize(
    ("moved", "living", "dead"),
    [
        ({}, True, False),
        ({"boot": "later"}, False, False),
        ({"boot": "later", "hardware": "other"}, None, None),
        ({"boot": "later", "hardware": ""}, None, None),
        ({"boot": "later", "machine": "other"}, None, None),
        ({"boot": ""}, None, None),
        ({"namespace": "other"}, None, None),
        ({"namespace": ""}, None, None),
        ({"machine": "other"}, None, None),
        ({"hardware": "other"}, True, False),
    ],
    ids=[
        "seen from where it was",
        "restarted since",
        "a copy of its disk on another machine, by its cards",
        "the same where cards say nothing",
        "another machine",
        "a system that names no boot",
        "another namespace of pids",
        "a namespace nobody knows",
        "another installation",
        "another card in the same running machine",
    ],
)
def test_death_is_proven_only_where_it_can_be_seen(
    moved: dict[str, str], living: bool | None, dead: bool | None, here: dict[str, str]
) -> None:
    alive = ProcessIdentity.current()
    gone = alive.model_copy(update={"started": alive.started - 1})
    here.update(moved)
    assert (alive.is_alive(), gone.is_alive()) == (living, dead)


def test_where_no_card_has_an_address_of_its_own_a_restart_proves_nothing(here: dict[str, str]) -> None:
    here["hardware"] = ""
    alive = ProcessIdentity.current()
    here["boot"] = "later"
    assert alive.is_alive() is None


def test_a_lock_of_an_earlier_version_is_believed_as_that_version_did(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = ProcessIdentity.current()
    old = ProcessIdentity.model_validate_json(
        json.dumps({"host": mine.host, "boot": mine.boot, "pid": mine.pid, "started": mine.started})
    )
    assert old.is_alive() is True
    assert old.model_copy(update={"started": 1.0}).is_alive() is False
    assert old.model_copy(update={"host": "elsewhere"}).is_alive() is None
    assert old.model_copy(update={"boot": "another"}).is_alive() is None


@pytest.mark.parametrize(
    ("address", "is_universal"),
    [
        ("00:1b:21:3c:9d:f8", True),
        ("02:fc:00:00:00:01", False),
        ("9a:2d:b3:3a:1f:40", False),
        ("00:00:00:00:00:00", False),
        ("", False),
    ],
)
def test_an_address_that_a_hypervisor_made_up_tells_no_machine(address: str, is_universal: bool) -> None:
    assert kd_hpc.disk.process._is_universal(address) is is_universal


def test_a_process_that_is_hidden_from_this_one_is_not_taken_for_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = ProcessIdentity.current()
    monkeypatch.setattr(kd_hpc.disk.process, "_started", lambda pid: None)
    monkeypatch.setattr(kd_hpc.disk.process, "_stat", lambda pid: [])
    assert mine.is_alive() is None
    assert mine.model_copy(update={"pid": 2**22 - 1}).is_alive() is False


def test_a_corpse_is_dead(tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        signal_end(tmp_path)
    wait_until(lambda: ProcessIdentity.of(child) is not None)
    identity = ProcessIdentity.of(child)
    assert identity is not None
    (tmp_path / "end").touch()
    wait_until(lambda: identity.is_alive() is False)
    assert identity.is_alive() is False
    os.waitpid(child, 0)
    assert identity.is_alive() is False


def signal_end(folder: Path) -> None:
    try:
        wait_until((folder / "end").exists)
    finally:
        os._exit(0)


SAY = (
    "import sys; from kd_hpc.disk.process import ProcessIdentity as P; print(P.current().model_dump_json(), flush=True)"
)
JUDGE = f"{SAY.partition(';')[0]}; from kd_hpc.disk.process import ProcessIdentity as P; "
JUDGE += "print(P.model_validate_json(sys.argv[1]).is_alive())"


def inside(*namespaces: str, code: str, words: tuple[str, ...] = ()) -> str:
    """What a Python in namespaces of its own prints. Skips where this user may not make any."""
    program = shutil.which("unshare")
    if program is None or subprocess.run([program, *namespaces, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this user may not make namespaces")
    command = [program, *namespaces, sys.executable, "-c", code, *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_a_namespace_of_pids_proves_nothing_about_another() -> None:
    theirs = ProcessIdentity.model_validate_json(inside("--pid", "--fork", "--mount-proc", code=SAY))
    mine = ProcessIdentity.current()
    assert (theirs.boot, theirs.host, theirs.machine) == (mine.boot, mine.host, mine.machine)
    assert theirs.is_alive() is None
    said = inside("--pid", "--fork", "--mount-proc", code=JUDGE, words=(mine.model_dump_json(),))
    assert said == "None"


def test_a_machine_that_was_renamed_still_knows_its_own_dead() -> None:
    code = f"import socket; socket.sethostname('renamed'); {SAY}"
    renamed = ProcessIdentity.model_validate_json(inside("--uts", code=code))
    assert renamed.host == "renamed" != ProcessIdentity.current().host
    assert renamed.is_alive() is False


def test_an_identity_that_makes_no_sense_is_refused() -> None:
    content: dict[str, Any] = ProcessIdentity.current().model_dump()
    for pid in (0, -1, 2**40):
        with pytest.raises(ValueError, match="pid"):
            ProcessIdentity.model_validate(content | {"pid": pid})
