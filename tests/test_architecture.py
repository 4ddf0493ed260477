"""The walls stand: who imports whom, what never gets loaded, how fast a command line answers."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.paths import ROOT

BIN = Path(sys.executable).parent
HEAVY = {"torch", "torchvision", "numpy", "pandas", "scipy", "sklearn", "statsmodels", "matplotlib"}


def loaded_after(code: str) -> set[str]:
    """Top-level modules in a fresh interpreter after `code`."""
    program = f"{code}\nimport sys, json; print(json.dumps(sorted({{name.partition('.')[0] for name in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(json.loads(done.stdout.splitlines()[-1]))


def import_everything(package: str) -> str:
    return (
        f"import pkgutil, importlib, {package}\n"
        f"for module in pkgutil.walk_packages({package}.__path__, '{package}.'):\n"
        "    importlib.import_module(module.name)"
    )


def test_import_contracts_hold() -> None:
    done = subprocess.run([BIN / "lint-imports"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout


def test_no_module_of_kd_hpc_loads_anything_heavy() -> None:
    assert not loaded_after(import_everything("kd_hpc")) & (HEAVY | {"kd_core", "kd_analysis"})


def test_no_module_of_kd_analysis_loads_torch() -> None:
    assert not loaded_after(import_everything("kd_analysis")) & {"torch", "torchvision", "kd_core"}


@pytest.mark.parametrize("package", ["kd_hpc", "kd_core", "kd_analysis"])
def test_a_command_line_loads_nothing_heavy_to_print_its_help(package: str) -> None:
    assert not loaded_after(f"import {package}.cli") & (HEAVY | {"pydantic", "jinja2"})


@pytest.mark.parametrize("package", ["kd_hpc", "kd_core", "kd_analysis"])
def test_package_init_files_hold_a_docstring_only(package: str) -> None:
    (source,) = ROOT.glob(f"packages/*/src/{package}")
    for init in source.rglob("__init__.py"):
        if init.parent.name not in (
            "methods",
            "sources",
            "networks",
            "kd_analysis",
        ):  # registries; what notebooks import
            assert init.read_text().startswith('"""'), init
            assert len(init.read_text().strip().splitlines()) <= 3, init


def test_no_file_function_or_root_has_grown_too_long_to_be_read() -> None:
    """300 lines a file, 50 a function with its options and help, about fifteen modules at a package's root."""
    modules = {path: path.read_text() for path in ROOT.glob("packages/*/src/**/*.py")}
    assert {path.name: text.count("\n") for path, text in modules.items() if text.count("\n") > 300} == {}
    functions = (
        (node.name, (node.end_lineno or 0) - node.lineno + 1)
        for text in modules.values()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    assert [(name, lines) for name, lines in functions if lines > 50] == []
    roots = {source.name: len(list(source.glob("*.py"))) - 1 for source in ROOT.glob("packages/*/src/*")}
    assert {name: count for name, count in roots.items() if count > 17} == {}


def test_a_dry_run_plans_without_loading_anything_heavy(tmp_path: Path) -> None:
    words = ["kd-hpc", "queue", str(ROOT / "campaigns/charlie.toml"), "--dry-run", "--experiments", str(tmp_path)]
    run = "try:\n    main()\nexcept SystemExit:\n    pass"
    code = f"import sys\nsys.argv = {words!r}\nfrom kd_hpc.cli import main\n{run}"
    assert not loaded_after(code) & HEAVY


def test_a_report_that_is_kept_whole_loads_nothing_that_draws() -> None:
    program = (
        "import sys, kd_analysis.report.build, kd_analysis.report.write; print('matplotlib.figure' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "False"


def test_a_process_that_draws_loads_no_statistics() -> None:
    code = "from kd_analysis.figures.gallery import load_what_draws; load_what_draws(('svg', 'pdf'))"
    assert not loaded_after(code) & {"scipy", "pandas", "sklearn", "statsmodels", "jinja2"}


@pytest.mark.parametrize("package", ["kd_hpc", "kd_core", "kd_analysis"])
def test_help_answers_at_once_because_it_loads_little(package: str) -> None:
    help_printed = f"from {package}.cli import main\ntry:\n    main()\nexcept SystemExit:\n    pass"
    program = f"import sys\nsys.argv = ['', '--help']\n{help_printed}\nprint(len(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert int(done.stdout.splitlines()[-1]) < 300  # about 160, in 0.1 s; torch alone is 1,200
