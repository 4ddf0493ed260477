"""What becomes of damaged files: thousands of mutations over every artefact, read by the code that reads it in earnest.

    python -m benchmarks.rot [--count 2000] [--seed 0]

Most mutations flip one bit; others zero a page, cut the file or make it longer. Each is refused (said to be damaged, or
passed over), the same (what changed says nothing), believed (other content was taken for what was written), or fatal
(something else than an error of ours was raised). Exit status 1 if any is believed or fatal, or a neighbour changed.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
import time
from pathlib import Path

from tests.rot import Outcome, Tree, run_mutations


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tree = Tree(Path(folder))
        before, began = _hashes(tree.root), time.process_time()
        found = run_mutations(tree, asked.count, asked.seed)
        seconds, changed = time.process_time() - began, _hashes(tree.root) != before
    print(f"{'artefact':28}" + "".join(f"{outcome.value:>10}" for outcome in Outcome))
    for name, outcomes in found.items():
        print(f"{name:28}" + "".join(f"{len(outcomes.get(outcome, [])):10}" for outcome in Outcome))
    totals = {outcome: sum(len(told.get(outcome, [])) for told in found.values()) for outcome in Outcome}
    print(f"{'all':28}" + "".join(f"{totals[outcome]:10}" for outcome in Outcome))
    for told in found.values():
        print(*told.get(Outcome.BELIEVED, []), *told.get(Outcome.FATAL, []), sep="\n", end="")
    print(f"{seconds:.1f} processor seconds; other files {'CHANGED' if changed else 'as they were'}")
    return 1 if changed or totals[Outcome.BELIEVED] or totals[Outcome.FATAL] else 0


def _hashes(root: Path) -> dict[str, str]:
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in root.rglob("*") if path.is_file()}


if __name__ == "__main__":
    sys.exit(main())
