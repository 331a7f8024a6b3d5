"""The tables of flags, commands and metrics in docs/ equal those that the code generates."""

import pytest

from tests.docs.tables import FOLDER, PROCESSES, TABLES


@pytest.mark.parametrize("name", TABLES)
def test_table_equals_the_generated_one(name: str) -> None:
    assert (FOLDER / name).read_text() == TABLES[name](), f"stale: run python -m tests.docs to write docs/{name} again"


def test_every_setting_is_described() -> None:
    for process, settings in PROCESSES.items():
        assert [name for name, field in settings.model_fields.items() if not field.description] == [], process
