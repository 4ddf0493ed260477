"""How many small faults in kd_core does a test notice?

    uv pip install mutmut
    python -m benchmarks.mutation record
    python -m benchmarks.mutation run [--only training] [--sample 0:120] [--effort 60] [--again]
    python -m benchmarks.mutation show [--only training] [--sample 0:120] [--survivors]

`record` runs every test of kd_core once, and writes down which statements it executes and what it costs; again after
tests or code were changed (of changed tests only those are run). `run` tries mutants of the folders below on the tests
that execute them, those that noticed most in that file first, then the cheapest, until one fails. What executes a
statement is found in forks and in programs that tests start, too. Time is that of the processor, so a loaded machine
decides nothing. Each outcome is a line of .mutation/outcomes.jsonl: started again, it goes on where it was, and a
function that was changed is tried anew. Mutants come in the order of their hashes, so `--sample 0:120`, the first 120
of each folder, is a random sample, and `--sample 120:240` another, which no test was written for. A mutant survives
when tests of `--effort` processor seconds pass; `--again` tries survivors on what is left, tests that came since first.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from statsmodels.stats.proportion import proportion_confint

from benchmarks.mutation.choice import Choice
from benchmarks.mutation.mutants import Mutant, mutants_of
from benchmarks.mutation.record import Record
from benchmarks.mutation.workshop import Workshop
from tests.paths import ROOT

PACKAGE = ROOT / "packages/kd-core/src/kd_core"
KEPT = ROOT / ".mutation"
OUTCOMES = KEPT / "outcomes.jsonl"
TESTS = ["tests/core"]
FOLDERS = ["teacher", "training", "artifacts", "data", "methods"]
Row = dict[str, Any]


def sampled(options: argparse.Namespace) -> Iterator[tuple[str, Mutant]]:
    """The mutants of the sample with their folders."""
    first, _, end = options.sample.partition(":")
    for folder in [options.only] if options.only else FOLDERS:
        files = (file.relative_to(PACKAGE) for file in (PACKAGE / folder).rglob("*.py"))
        mutants = sorted((mutant for file in files for mutant in mutants_of(PACKAGE, file)), key=lambda one: one.key)
        for mutant in mutants[int(first or 0) : int(end) if end else None]:
            yield folder, mutant


def outcomes() -> dict[str, Row]:
    """The last outcome of each mutant, by key."""
    lines = OUTCOMES.read_text().splitlines() if OUTCOMES.exists() else []
    return {row["key"]: row for row in map(json.loads, lines)}


def the_record() -> Record:
    return Record(KEPT / "tests.jsonl", ROOT, PACKAGE)


def record(options: argparse.Namespace) -> None:
    workshop, kept = Workshop(PACKAGE, TESTS), the_record()
    try:
        left_out = workshop.observe(kept)
    finally:
        workshop.close()
    tests = kept.tests().values()
    fixtures = {name: cost for one in tests for name, cost in one.fixtures.items()}
    seconds = sum(one.seconds for one in tests) + sum(fixtures.values())
    print(f"{len(tests)} tests, {seconds:.0f} processor seconds")
    print("".join(f"left out, skipped or failing on the sound code: {test}\n" for test in left_out), end="")


def run(options: argparse.Namespace) -> None:
    known, tests = outcomes(), the_record().tests()
    if not tests:
        raise SystemExit("Which test executes what is not known of this code: python -m benchmarks.mutation record")
    choice, workshop = Choice(PACKAGE, tests), Workshop(PACKAGE, TESTS)
    for row in known.values():
        choice.noticed_by[row["file"], row["by"]] += 1
    try:
        # in turns, so that what is done at any time is a sample of each folder
        for folder, mutant in sorted(sampled(options), key=lambda pair: pair[1].key):
            before = known.get(mutant.key)
            if before is None or (options.again and not before["noticed"]):
                passed = before.get("passed", []) if before else []
                found = tried(workshop, choice, folder, mutant, options.effort, passed)
                choice.noticed_by[found["file"], found["by"]] += 1
                with OUTCOMES.open("a") as stream:
                    stream.write(json.dumps(found) + "\n")
    finally:
        workshop.close()


def tried(workshop: Workshop, choice: Choice, folder: str, mutant: Mutant, effort: float, passed: list[str]) -> Row:
    """Its fate on tests it has not `passed` before."""
    chosen = choice.of(mutant, effort, passed)
    outcome = workshop.try_out(mutant, chosen, choice.seconds(chosen), anew=choice.runs_on_import(mutant))
    verdict = "noticed " if outcome.noticed else "SURVIVED"
    place = f"{mutant.file}:{mutant.line} {mutant.change[:90]}"
    print(f"{verdict} {outcome.seconds:5.1f} s {place}  [{outcome.by or len(chosen)}]", flush=True)
    facts = {"key": mutant.key, "folder": folder, "file": str(mutant.file), "line": mutant.line}
    passed = [] if outcome.noticed else [*passed, *chosen]
    return {**facts, "function": mutant.function, "change": mutant.change, **asdict(outcome), "passed": passed}


def show(options: argparse.Namespace) -> None:
    """The table, with Wilson's interval of 95 %; `without end` are those noticed since they never end."""
    known = outcomes()
    rows = [(folder, mutant, known.get(mutant.key)) for folder, mutant in sampled(options)]
    print("| folder | tried | noticed | of these without end | survived | noticed, % |")
    print("|---|---|---|---|---|---|")
    for name in [*dict.fromkeys(folder for folder, *_ in rows), "all"]:
        done = [row for folder, _, row in rows if row and name in (folder, "all")]
        noticed = sum(row["noticed"] for row in done)
        endless = sum(row["by"].startswith("time") for row in done)
        print(
            f"| {name} | {len(done)} | {noticed} | {endless} | {len(done) - noticed} | {_share(noticed, len(done))} |"
        )
    for _, mutant, row in rows if options.survivors else []:
        if row and not row["noticed"]:
            place = f"`{mutant.file}:{mutant.line}` {mutant.function}"
            print(f"- {place}: `{mutant.change}` [{len(row.get('passed', ()))} tests]")


def _share(noticed: int, tried: int) -> str:
    if not tried:
        return ""
    low, high = proportion_confint(noticed, tried, method="wilson")
    return f"{100 * noticed / tried:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["record", "run", "show"])
    parser.add_argument("--only", choices=FOLDERS)
    parser.add_argument("--sample", default="0:120", help="FIRST:END of each folder, in the order of their hashes")
    parser.add_argument("--effort", type=float, default=60, help="processor seconds of tests a mutant may survive")
    parser.add_argument("--again", action="store_true", help="also those that survived")
    parser.add_argument("--survivors", action="store_true")
    options = parser.parse_args()
    KEPT.mkdir(exist_ok=True)
    {"record": record, "run": run, "show": show}[options.what](options)


if __name__ == "__main__":
    main()
