"""Every row of the threat model names the tests that show it, and the tests exist."""

import re
from collections.abc import Iterator

import pytest

from tests.conftest import REPOSITORY

DOCUMENT = REPOSITORY / "SECURITY.md"


def rows() -> Iterator[str]:
    lines = DOCUMENT.read_text().splitlines()
    return (line for line in lines if line.startswith("| ") and "shown by" not in line)


@pytest.fixture(scope="module")
def tests() -> set[str]:
    files = (REPOSITORY / "tests").rglob("test_*.py")
    return {
        name for file in files for name in re.findall(r"^(?:async )?def (test_\w+)\(", file.read_text(), re.MULTILINE)
    }


def test_every_threat_names_tests_that_exist(tests: set[str]) -> None:
    listed = list(rows())
    assert len(listed) > 30
    for row in listed:
        shown = re.findall(r"`(test_\w+)`", row.split("|")[-2])
        assert shown, f"no test shows: {row}"
        assert [name for name in shown if name not in tests] == [], row
