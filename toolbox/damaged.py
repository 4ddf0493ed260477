"""Which installed packages have lost files, or parts of them: python damaged.py SITE-PACKAGES, one name a line.

Every installed package lists its files with their sizes. Run with -I -S by the interpreter of the environment, so that
nothing in that environment can break it.
"""

import csv
import sys
from collections.abc import Iterator
from pathlib import Path


def main() -> None:
    site = Path(sys.argv[1])
    for record in sorted(site.glob("*.dist-info/RECORD")):
        files = list(listed(record))
        if not files or any(is_damaged(site / path, size) for path, size in files):
            print(record.parent.name.partition("-")[0].replace("_", "-"))


def listed(record: Path) -> Iterator[tuple[str, str]]:
    """Path and size of each file that comes from the package itself; compiled ones are made here and may change."""
    with record.open(newline="") as stream:
        for path, _, size in csv.reader(stream):
            if size and not path.endswith(".pyc"):
                yield path, size


def is_damaged(path: Path, size: str) -> bool:
    try:
        return path.stat().st_size != int(size)
    except OSError:
        return True


if __name__ == "__main__":
    main()
