"""How many small faults in kd_core does a test notice?

    uv pip install mutmut
    python -m benchmarks.mutation run [--only training] [--most 50] [--shard 0/2] [--again]
    python -m benchmarks.mutation show [--only training] [--survivors]

`run` tries the mutants of the folders below on the tests that are named for them, those that notice most first, and
writes each outcome as a line of mutation.jsonl. Started again, it goes on where it was; a function that was changed is
tried anew. Mutants come in the order of their hashes, so that what was tried so far is a random sample of all. Before
the first of a folder its tests must pass on the sound code; a mutant on which they take ten times as long is noticed.
`--again` tries survivors once more, after tests were added. `show` prints the table, as Markdown.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import Any

from benchmarks.mutation.mutants import Mutant, mutants_of
from benchmarks.mutation.workshop import Workshop
from tests.paths import ROOT

PACKAGE = ROOT / "packages/kd-core/src/kd_core"
RESULTS = ROOT / "mutation.jsonl"
SECONDS, TIMES_AS_LONG = 1800.0, 10
_CORE = "tests/core"
_WIRING, _REFERENCE, _COMMANDS = f"{_CORE}/test_wiring.py", f"{_CORE}/test_reference.py", f"{_CORE}/commands"
TESTS = {
    "training": [f"{_CORE}/training/test_training.py", _WIRING, f"{_CORE}/training", _REFERENCE, _COMMANDS],
    "teacher": [f"{_CORE}/teacher", _WIRING, _COMMANDS, _REFERENCE],
    "artifacts": [f"{_CORE}/artifacts", _WIRING, _COMMANDS, _REFERENCE],
    "methods": [f"{_CORE}/methods", _WIRING, _REFERENCE],
    "data": [f"{_CORE}/data", _WIRING, _REFERENCE],
}
"""Those that notice most, and soonest, first."""


def all_mutants(only: str | None) -> list[tuple[str, Mutant]]:
    """Each mutant with its folder, in the order of their keys."""
    files = [(folder, file) for folder in ([only] if only else TESTS) for file in (PACKAGE / folder).rglob("*.py")]
    found = [(folder, mutant) for folder, file in files for mutant in mutants_of(PACKAGE, file.relative_to(PACKAGE))]
    return sorted(found, key=lambda pair: pair[1].key)


def outcomes() -> dict[str, dict[str, Any]]:
    """The last outcome of each mutant, by key."""
    lines = RESULTS.read_text().splitlines() if RESULTS.exists() else []
    return {row["key"]: row for row in map(json.loads, lines)}


def run(options: argparse.Namespace) -> None:
    number, of = map(int, options.shard.split("/"))
    known, left = outcomes(), options.most
    workshop = Workshop(PACKAGE, SECONDS)
    limits: dict[str, float] = dict.fromkeys(TESTS, options.limit) if options.limit else {}
    try:
        for place, (folder, mutant) in enumerate(all_mutants(options.only)):
            row = known.get(mutant.key)
            if place % of != number or (row and (row["noticed"] or not options.again)):
                continue
            if left == 0:
                break
            left -= 1
            tests = [path for path in TESTS[folder] if (ROOT / path).exists()]
            workshop.seconds = limits.get(folder) or limits.setdefault(folder, limit_of(workshop, tests))
            outcome = workshop.try_out(mutant, tests)
            facts = {"key": mutant.key, "folder": folder, "file": str(mutant.file), "line": mutant.line}
            line = {**facts, "function": mutant.function, "change": mutant.change, **asdict(outcome)}
            with RESULTS.open("a") as stream:
                stream.write(json.dumps(line) + "\n")
            verdict = "noticed " if outcome.noticed else "SURVIVED"
            place_of_it = f"{mutant.file}:{mutant.line} {mutant.change[:90]}"
            print(f"{verdict} {outcome.seconds:5.1f} s {place_of_it}  [{outcome.by}]", flush=True)
    finally:
        workshop.close()


def limit_of(workshop: Workshop, tests: list[str]) -> float:
    """Seconds after which a mutant counts as one that never ends."""
    workshop.seconds = SECONDS
    sound = workshop.try_out(None, tests)
    if sound.noticed:
        raise SystemExit(f"The sound code fails {sound.by}, so nothing can be learnt from mutants.")
    print(f"sound    {sound.seconds:5.1f} s {' '.join(tests)}", flush=True)
    return TIMES_AS_LONG * sound.seconds


def show(options: argparse.Namespace) -> None:
    """The table. What ran out of time may be a fault that never ends or a loaded machine, so it decides nothing."""
    known = outcomes()
    rows = [(folder, mutant, known.get(mutant.key)) for folder, mutant in all_mutants(options.only)]
    print("| folder | mutants | tried | noticed | survived | out of time | noticed, % of the decided |")
    print("|---|---|---|---|---|---|---|")
    folders = [*dict.fromkeys(folder for folder, *_ in rows)]
    for name in [*folders, "all"]:
        tried = [row for folder, _, row in rows if row and name in (folder, "all")]
        late = sum(row["by"] == "time" for row in tried)
        noticed = sum(row["noticed"] for row in tried) - late
        decided = len(tried) - late
        share = f"{100 * noticed / decided:.1f}" if decided else ""
        count = sum(name in (folder, "all") for folder, *_ in rows)
        print(f"| {name} | {count} | {len(tried)} | {noticed} | {decided - noticed} | {late} | {share} |")
    for _, mutant, row in rows if options.survivors else []:
        if row and not row["noticed"]:
            print(f"- `{mutant.file}:{mutant.line}` {mutant.function}: `{mutant.change}`")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["run", "show"])
    parser.add_argument("--only", choices=list(TESTS))
    parser.add_argument("--shard", default="0/1", help="NUMBER/OF: every OF-th mutant")
    parser.add_argument("--again", action="store_true", help="also those that survived")
    parser.add_argument("--most", type=int, default=-1, help="try so many and end")
    parser.add_argument("--limit", type=float, help="seconds a mutant may take, where the sound code is known to pass")
    parser.add_argument("--survivors", action="store_true")
    options = parser.parse_args()
    {"run": run, "show": show}[options.what](options)


if __name__ == "__main__":
    main()
