"""What comes back from a GPU: one table of the parts that ran, with their figures, whatever failed."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.gpu_parts import as_markdown, summary
from benchmarks.jpeg_images import read_splits
from tests.paths import ROOT

STEP = {
    "setting": {"rounds": 3, "batch_size": 128, "students": 6},
    "seconds": {"rkd": {"ordinary": [0.03, 0.05, 0.04], "one": [0.01, 0.01, 0.02], "together": [0.015, 0.02, 0.03]}},
    "peak_bytes": {"rkd": {"together": 3 * 2**30}},
    "floor_seconds": 0.0021,
}


def test_parts_that_ran_are_told_with_their_figures_and_how_others_ended(tmp_path: Path) -> None:
    (tmp_path / "step.end").write_text('{"exit": 0, "seconds": 90}')
    (tmp_path / "step.json").write_text(json.dumps(STEP))
    (tmp_path / "profile.end").write_text('{"exit": 0, "seconds": 24}')
    (tmp_path / "profile.json").write_text('{"one": {"clock_ms": 8.337, "work_ms": 8.48, "launches": 1526.0}}')
    (tmp_path / "resume.end").write_text('{"exit": 124, "seconds": 70}')
    (tmp_path / "resume.log").write_text("epoch 1\nfloat16: | killed\n")
    text = "\n".join(as_markdown(summary(tmp_path)))
    assert "| resume | 124 | 70 | float16: / killed |" in text
    assert "| rkd | 40.00 | 10.00 | 20.00 | 1.50 | 3072 |" in text, "medians in ms; the ratio's own median"
    assert "2.10 ms a step" in text
    assert "| one | 8.34 | 8.48 | 1526 |" in text
    assert "campaign" not in text, "it was not run"


def test_a_part_that_passed_is_not_run_again_and_an_unknown_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "where.end").write_text('{"exit": 0, "seconds": 1}')
    environment = {**os.environ, "OUT": str(tmp_path), "PYTHON": sys.executable}
    words = ["bash", str(ROOT / "benchmarks/gpu_check.sh")]
    done = subprocess.run([*words, "where"], env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("where: passed before\n| part | exit |")
    assert json.loads((tmp_path / "gpu.json").read_text()) == {"where": {"exit": 0, "seconds": 1, "said": ""}}
    wrong = subprocess.run([*words, "bits"], env=environment, capture_output=True, text=True, timeout=60)
    assert wrong.returncode == 2
    assert "no part is called bits: where tests step profile resume campaign" in wrong.stderr


def test_jpegs_become_classes_in_the_order_of_their_names(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "images.tar.xz", "w:xz") as archive:
        for number, name in enumerate(
            ("train/cat/0001", "train/ant/0002", "train/ant/0001", "test/ant/1", "test/cat/1")
        ):
            stream = io.BytesIO()
            Image.new("RGB", (32, 32), (40 * number, 0, 200)).save(stream, "JPEG")
            member = tarfile.TarInfo(f"images/{name}.jpg")
            member.size = stream.tell()
            stream.seek(0)
            archive.addfile(member, stream)
    splits = read_splits(tmp_path / "images.tar.xz", {"train": 2, "test": 2})
    assert splits["train"].labels.tolist() == [0, 1]
    assert splits["train"].images.shape == (2, 3, 32, 32)
    red = splits["train"].images[:, 0].mean((1, 2))
    assert np.allclose(red, [80, 0], atol=4), "the first ant, then the cat"
