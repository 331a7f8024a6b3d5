"""Workers get the longest files first."""

from tests.conftest import REPOSITORY
from tests.order import LONGEST, rank


def test_longest_files_are_there() -> None:
    assert [file for file in LONGEST if not (REPOSITORY / file).exists()] == []


def test_longest_come_first_and_what_starts_nothing_last() -> None:
    files = {"tests/a.py": 0, LONGEST[1]: 1, "tests/b.py": 20, LONGEST[0]: 9, "tests/c.py": 0}
    ordered = sorted(files, key=lambda file: rank(file, files[file]))
    assert ordered == [LONGEST[0], LONGEST[1], "tests/b.py", "tests/a.py", "tests/c.py"]
