"""Curves for other tools: event files that TensorBoard itself reads, a table that is the curves."""

from __future__ import annotations

import csv
import importlib.util
import json
import math
import struct
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kd_analysis.export.event_file import crc32c, event_file, masked_crc, record
from kd_analysis.export.tensorboard import NAME, export_tensorboard
from tests import warm
from tests.analysis.trees import TreeSpec, build_tree

SPEC = TreeSpec(methods=("logit",), alphas=(0.5,), seeds=(0,), epochs=7, items=0)
RUN = "Digits/logit/alpha_0.5/ResNet20_to_ResNetBaby/0"
READER = """
import json, sys, warnings
warnings.simplefilter("ignore")
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
found = EventAccumulator(sys.argv[1])
found.Reload()
points = {tag: found.Scalars(tag) for tag in found.Tags()["scalars"]}
print(json.dumps({tag: [[point.step, point.value, point.wall_time] for point in points[tag]] for tag in points}))
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tree(tmp_path_factory.mktemp("tree"), SPEC)


def curves_of(tree: Path, run: str = RUN) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((tree / run / "metrics.json").read_text())
    return found


# RFC 3720, B.4, and the check value of the catalogue of parametrised CRC algorithms
VECTORS = {
    bytes(32): 0x8A9136AA,
    b"\xff" * 32: 0x62A8AB43,
    bytes(range(32)): 0x46DD794E,
    bytes(reversed(range(32))): 0x113FDB5C,
    b"123456789": 0xE3069283,
    b"": 0,
}


@pytest.mark.parametrize(("data", "sum_"), VECTORS.items(), ids=lambda value: str(value)[:12])
def test_crc32c_gives_the_published_sums(data: bytes, sum_: int) -> None:
    assert crc32c(data) == sum_


def crc_bit_by_bit(data: bytes) -> int:
    """The definition itself: long division by the polynomial, one bit after the other."""
    remainder = 0xFFFFFFFF
    for bit in (byte >> place & 1 for byte in data for place in range(8)):
        remainder = remainder >> 1 ^ (0x82F63B78 if (remainder ^ bit) & 1 else 0)
    return remainder ^ 0xFFFFFFFF


@given(st.binary(max_size=200))
def test_crc32c_is_the_division_it_stands_for(data: bytes) -> None:
    assert crc32c(data) == crc_bit_by_bit(data)


def records(content: bytes) -> Iterator[bytes]:
    """The data of each record, read by the format's description alone; both sums are checked."""
    while content:
        (length,), (of_length,) = struct.unpack("<Q", content[:8]), struct.unpack("<I", content[8:12])
        data, (of_data,) = content[12 : 12 + length], struct.unpack("<I", content[12 + length : 16 + length])
        for part, masked in ((content[:8], of_length), (data, of_data)):
            crc = crc_bit_by_bit(part)
            assert masked == ((crc >> 15 | crc << 17 & 0xFFFFFFFF) + 0xA282EAD8) % 2**32
        yield data
        content = content[16 + length :]


def fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """The fields of a protocol buffer: number and raw value."""
    while data:
        key, data = varint(data)
        number, kind = key >> 3, key & 7
        value: Any
        if kind == 0:
            value, data = varint(data)
        elif kind == 1:
            (value,), data = struct.unpack("<d", data[:8]), data[8:]
        elif kind == 5:
            (value,), data = struct.unpack("<f", data[:4]), data[4:]
        else:
            length, data = varint(data)
            value, data = data[:length], data[length:]
        yield number, value


def varint(data: bytes) -> tuple[int, bytes]:
    number = 0
    for place, byte in enumerate(data):
        number |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return number, data[place + 1 :]
    raise AssertionError("it does not end")


SCALARS = st.lists(
    st.tuples(
        st.floats(0, 4e9),
        st.integers(1, 2**40),
        st.dictionaries(st.text(max_size=40), st.floats(width=32, allow_nan=False), max_size=3),
    ),
    max_size=4,
)


@given(SCALARS)
def test_what_is_written_is_what_a_reader_of_the_format_finds(
    scalars: list[tuple[float, int, dict[str, float]]],
) -> None:
    first, *events = (dict(fields(data)) for data in records(event_file(scalars, 5.0)))
    assert first == {1: 5.0, 3: b"brain.Event:2"}
    assert [(event[1], event[2]) for event in events] == [(when, step) for when, step, _ in scalars]
    for event, (_, _, values) in zip(events, scalars, strict=True):
        found = [dict(fields(value)) for _, value in fields(event[5])]
        assert {value[1].decode(): value[2] for value in found} == values


def test_a_record_with_a_flipped_bit_is_noticed() -> None:
    whole = record(b"some data")
    assert list(records(whole)) == [b"some data"]
    for place in range(len(whole)):
        torn = bytearray(whole)
        torn[place] ^= 1
        with pytest.raises((AssertionError, struct.error)):
            list(records(bytes(torn)))
    assert masked_crc(b"") == 0xA282EAD8


@pytest.mark.skipif(importlib.util.find_spec("tensorboard") is None, reason="tensorboard is not installed")
def test_tensorboard_itself_reads_every_curve(tree: Path, tmp_path: Path) -> None:
    assert RUN in export_tensorboard(tree, tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", READER, tmp_path / RUN], capture_output=True, text=True, check=True, timeout=1000
    )
    found, curves = json.loads(done.stdout), curves_of(tree)
    expected = {name: values for name, values in curves.items() if isinstance(values, list)}
    expected |= {f"term/{name}": values for name, values in curves["terms"].items()}
    expected |= {f"gradient/{name}": values for name, values in curves["gradient_norms"].items()}
    assert {tag: [value for _, value, _ in points] for tag, points in found.items()} == {
        name: pytest.approx(values, rel=1e-6) for name, values in expected.items()
    }
    for points in found.values():
        assert [step for step, _, _ in points] == list(range(1, SPEC.epochs + 1))
        times = [time for _, _, time in points]
        taken = [later - earlier for earlier, later in pairwise(times)]
        assert taken == pytest.approx(curves["seconds"][1:], abs=1e-5)


def test_an_epoch_that_is_no_number_is_left_away_and_twice_gives_the_same(tree: Path, tmp_path: Path) -> None:
    run = tmp_path / "runs" / RUN
    run.mkdir(parents=True)
    curves = curves_of(tree)
    curves["test_acc"][2] = None
    (run / "metrics.json").write_text(json.dumps(curves))
    export_tensorboard(tmp_path / "runs", tmp_path / "out")
    content = (tmp_path / "out" / RUN / NAME).read_bytes()
    events = [dict(fields(data)) for data in records(content)][1:]
    tags = [[dict(fields(value))[1].decode() for _, value in fields(event[5])] for event in events]
    assert ["test_acc" in some for some in tags] == [True, True, False, True, True, True, True]
    export_tensorboard(tmp_path / "runs", tmp_path / "out")
    assert (tmp_path / "out" / RUN / NAME).read_bytes() == content


def kd_analysis(*words: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [warm.to_start["kd-analysis"], *map(str, words)],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=1000,
    )


def test_the_table_is_the_curves_with_what_each_run_is(tree: Path, tmp_path: Path) -> None:
    done = kd_analysis("export", "curves", tree, "-o", "curves.csv", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "21 rows in curves.csv\n"), done.stderr
    text = (tmp_path / "curves.csv").read_text()
    rows = [row for row in csv.DictReader(text.splitlines()) if row["run"] == RUN]
    curves = curves_of(tree)
    assert [float(row["test_acc"]) for row in rows] == curves["test_acc"]
    assert [float(row["term/logit term"]) for row in rows] == curves["terms"]["logit term"]
    assert [int(row["epoch"]) for row in rows] == list(range(1, 8))
    known = {name: rows[0][name] for name in ("dataset", "method", "alpha", "teacher", "student", "seed", "verdict")}
    assert known == {
        "dataset": "Digits",
        "method": "logit",
        "alpha": "0.5",
        "teacher": "ResNet20",
        "student": "ResNetBaby",
        "seed": "0",
        "verdict": "ok",
    }


def test_parquet_is_the_same_table_or_says_what_to_install(tree: Path, tmp_path: Path) -> None:
    done = kd_analysis("export", "curves", tree, "-o", "curves.parquet", cwd=tmp_path)
    if importlib.util.find_spec("pyarrow") is None:
        assert (done.returncode, "pip install pyarrow" in done.stderr) == (2, True)
        assert list(tmp_path.iterdir()) == []
        return
    import pandas as pd

    kd_analysis("export", "curves", tree, "-o", "curves.csv", cwd=tmp_path)
    assert len(pd.read_parquet(tmp_path / "curves.parquet")) == len(pd.read_csv(tmp_path / "curves.csv"))


def test_what_cannot_be_meant_is_said_in_a_sentence(tree: Path, tmp_path: Path) -> None:
    for words, answer in (
        (("export", "curves", tree, "-o", "curves.xlsx"), "neither .csv nor .parquet"),
        (("export", "curves", "nothing"), "does not exist"),
        (("export", "tensorboard", "nothing"), "does not exist"),
        (("export", "tensorboard", tree, "-o", "/proc/none"), "cannot be made"),
    ):
        done = kd_analysis(*words, cwd=tmp_path)
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), words
        assert answer in done.stderr


def test_the_curves_of_an_earlier_round_are_exported_too(beta: Path, tmp_path: Path) -> None:
    exported = export_tensorboard(beta, tmp_path)
    assert len(exported) > 10
    for run in exported:
        events = [dict(fields(data)) for data in records((tmp_path / run / NAME).read_bytes())][1:]
        values = [value for event in events for _, value in fields(event[5])]
        assert all(math.isfinite(dict(fields(value))[2]) for value in values)
