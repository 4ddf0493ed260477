"""docs/guide/first-day-on-*.md: the commands for cluster and laptop, typed in their order, do what the pages say."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from kd_hpc.records import State
from tests.paths import ROOT
from tests.toolbox.chpcsite import BIN, CAMPAIGN, STUDENT, Cluster, Crontab, Laptop, make_run, program
from tests.toolbox.test_setup_chpc import LoginNode

PAGES = {place: (ROOT / f"docs/guide/first-day-on-the-{place}.md").read_text() for place in ("cluster", "laptop")}


def printed(place: str, page: str = "cluster") -> list[str]:
    blocks = re.findall(rf"^```sh-{place}\n(.*?)^```", PAGES[page], flags=re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line]


def type_in(line: str, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        ["bash", "-c", line], cwd=cwd, env=os.environ | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_commands_for_the_login_node_work_in_their_order(tmp_path: Path, warm_kd_hpc: Path) -> None:
    node = LoginNode(tmp_path, warm_kd_hpc)
    node.campaign.write_text(CAMPAIGN.replace("[resources]", '[resources]\nproject = "ABCD1234"'))
    program(node.root / "venv/bin/python", f'#!/bin/sh\nexec {BIN}/python "$@"\n')
    program(node.root / "venv/bin/kd-core", "#!/bin/sh\nexit 0\n")
    (node.root / "venv/bin/activate").touch()
    (node.root / "data/Digits").mkdir(parents=True)
    (node.root / "data/Digits/manifest.json").write_text('{"files": {}}')
    said = [type_in(line, node.root, **node.environment()) for line in printed("cluster")]
    assert "Ready." in said[0]
    assert "Digits/pure/ResNet20/0" in said[1]
    assert "Digits/pure/ResNet20/0" in said[2]


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_for_the_laptop_work_in_their_order(
    page: str, cluster: Cluster, laptop: Laptop, crontab: Crontab
) -> None:
    make_run(cluster.experiments, STUDENT, State.IN_PROGRESS)
    said = {}
    for line in printed("laptop", page):
        said[line] = type_in(line, laptop.root, PATH=crontab.path)
        if line.startswith("cp "):
            laptop.set()
    assert "round ends: pulled 1 files" in said["tail toolbox/logs/chpc_train.log"]
    assert crontab.content is None


def test_the_page_quotes_what_the_log_says() -> None:
    script = (ROOT / "toolbox/chpc_train.sh").read_text()
    for words in ("skipped: the round before is still at work", "failed with exit status", "no longer on the cluster"):
        assert words in PAGES["cluster"]
        assert words in script
    assert "FOLDER_GONE=41 VENV_GONE=42" in script
