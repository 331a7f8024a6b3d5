"""Every design paper has the same head and headings, fits on a page, and is in the index with its date."""

import re
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

FOLDER = REPOSITORY / "docs" / "design"
INDEX = FOLDER / "README.md"
PAPERS = sorted(path for path in FOLDER.glob("*.md") if path != INDEX)
HEADINGS = ["Question", "Decision", "Reasons", "Alternatives", "Consequences", "Code", "When to decide otherwise"]
SHORTEST, LONGEST = 30, 70
_HEAD = re.compile(r"# .+\n\n- Date: (\d{4}-\d\d-\d\d)(?:; .+)?\n- Status: .+\n- Commits: `[0-9a-f]{7,}`")
_ROW = re.compile(r"^\| \[[^]]+\]\(([^)]+)\) \| .+ \| (\d{4}-\d\d-\d\d) \|$", re.MULTILINE)


def date_of(text: str) -> str:
    head = _HEAD.match(text)
    assert head is not None, "the head has the title, date, status and commits"
    return head[1]


@pytest.mark.parametrize("paper", PAPERS, ids=lambda path: path.name)
def test_paper_has_its_head_and_headings_and_fits_on_a_page(paper: Path) -> None:
    text = paper.read_text()
    assert date_of(text)
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == HEADINGS
    assert SHORTEST <= len(text.splitlines()) <= LONGEST


@pytest.mark.parametrize("paper", PAPERS, ids=lambda path: path.name)
def test_files_under_code_exist(paper: Path) -> None:
    code = paper.read_text().partition("\n## Code\n")[2].partition("\n## ")[0]
    named = re.findall(r"`([\w./-]+)`", code)
    folders = [REPOSITORY, *(REPOSITORY / name for name in named if (REPOSITORY / name).is_dir())]
    assert named
    assert [name for name in named if not any((folder / name).exists() for folder in folders)] == []


def test_index_lists_every_paper_with_its_date() -> None:
    listed = dict(_ROW.findall(INDEX.read_text()))
    assert listed == {paper.name: date_of(paper.read_text()) for paper in PAPERS}
