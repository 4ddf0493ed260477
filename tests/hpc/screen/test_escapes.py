"""Text that others wrote does nothing where it is shown: not in a terminal, Markdown, HTML, LaTeX or a spreadsheet."""

from __future__ import annotations

import csv
import html.parser
import io
import re
import subprocess
from pathlib import Path
from typing import cast

import pytest
from markdown_it import MarkdownIt

from kd_hpc.records import State, StatusRecord
from kd_hpc.screen import escapes, terminal
from kd_hpc.screen.escapes import Guarded
from kd_hpc.store import Store
from tests.hpc.support import HANGS, KD_HPC, TEACHER, put_record

HOSTILE = (
    "\x1b[2J\x1b]0;owned\x07\x1b[31mred", "back\x08\x7fspace\r over", "\x9b31m c1", "\u202eright to left\u2066",
    "\x00", "a\ud800b", "# heading", "- item", "1. item", "2) item", "*bold* _em_ `code`", "[link](javascript:x)",
    "![image](x)", "[a]: b", "<script>alert(1)</script>", "&lt;b&gt; &amp; &#60;", "a | b", "a\\b \\| \\[", "=1+1",
    "++ two", "-2+3", "+cmd|' /C calc'!A0", "@SUM(A1)", '"quoted" \'single\'', "~~gone~~", "[0.1, 0.2]",
    "100 % of $x_1$ & {y}^2~z #1 \\input{x}", "1 < 2 > 0 ± 3 − ∞", "plain words, 0.5 (n = 3)",
)  # fmt: skip
NAMED = r"\\(textbackslash|textasciitilde|textasciicircum|textless|textgreater|textbar)\{\}"


def one_line(text: str) -> str:
    return escapes.visible(text).replace("\n", " ")


class Words(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.said, self.tags = "", set[str]()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.said += data


def words(page: str) -> Words:
    parser = Words()
    parser.feed(page)
    parser.close()
    return parser


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_hidden_is_left_and_nothing_else_is_changed(text: str) -> None:
    shown = escapes.visible(text)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", shown)
    assert shown.encode().decode() == shown
    if text.isprintable():
        assert shown == text


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("begin", ["- ", "", "> ", "| "])
def test_markdown_shows_the_text_itself(text: str, begin: str) -> None:
    table = "| a |\n|---|\n" if begin == "| " else ""
    end = " |" if begin == "| " else ""
    page = MarkdownIt("commonmark").enable("table").render(f"{table}{begin}{escapes.markdown(text)}{end}\n")
    found = words(page)
    assert found.tags <= {"ul", "li", "p", "blockquote", "table", "thead", "tbody", "tr", "th", "td"}, page
    said = found.said.strip().removeprefix("a").strip() if table else found.said.strip()
    assert " ".join(said.split()) == " ".join(one_line(text).split())


@pytest.mark.parametrize("text", HOSTILE)
def test_html_shows_the_text_itself(text: str) -> None:
    found = words(f'<p title="{escapes.markup(text)}">{escapes.markup(text)}</p>')
    assert found.said == escapes.visible(text)
    assert found.tags == {"p"}


@pytest.mark.parametrize("text", HOSTILE)
def test_latex_has_no_special_character_of_the_text(text: str) -> None:
    rest = re.sub(NAMED, "", escapes.latex(text))
    rest = re.sub(r"\\ensuremath\{[^}]*\}|\\[&%$#_{}]", "", rest)
    assert not set(rest) & set("\\&%$#_{}~^<>|\n")


@pytest.mark.parametrize("text", HOSTILE)
def test_no_spreadsheet_computes_a_cell(text: str) -> None:
    stream = io.StringIO()
    csv.writer(stream).writerow([escapes.csv_cell(text), escapes.csv_cell(-1.5), escapes.csv_cell(None)])
    if "\0" in text or "\r" in text:
        return  # no name in a table has them: they are spelled where paths are read
    ((cell, number, nothing),) = csv.reader(io.StringIO(stream.getvalue()))
    assert cell.removeprefix("'") == text.removeprefix("'")
    assert not cell.startswith(("=", "+", "-", "@"))
    assert (number, nothing) == ("-1.5", "")


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_our_colours_and_nobody_elses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    screen = Screen()
    monkeypatch.setattr("sys.stdout", cast(io.TextIOBase, Guarded(screen)))
    print(terminal.paint("failed\x1b[2J", "red"), "\x1b]0;title\x07")
    print(f"\0{'0' * 16}05\x1b[31m", "lines\nstay")
    assert screen.getvalue() == (
        "\x1b[31mfailed\\x1b[2J\x1b[0m \\x1b]0;title\\x07\n\\x000000000000000000" + "05\\x1b[31m lines\nstay\n"
    )


def test_what_a_record_says_reaches_no_terminal_raw(tmp_path: Path) -> None:
    store = Store(tmp_path / "experiments")
    evil = "\x1b]0;owned\x07\x1b[2J it failed\nkd-hpc: all is well\u202e"
    put_record(store, TEACHER, StatusRecord(state=State.FAILED, reason=evil, remedy=evil))
    for command in (["why", TEACHER.label], ["status"], ["status", "--all"]):
        done = subprocess.run(
            [KD_HPC, *command], cwd=tmp_path, capture_output=True, stdin=subprocess.DEVNULL, timeout=HANGS, check=False
        )
        said = (done.stdout + done.stderr).decode()
        assert "it failed" in said, command
        assert not set(said) & set("\x1b\x07\u202e"), command
        assert "\nkd-hpc: all is well" not in said or command[0] == "status", "it folds long lines"
