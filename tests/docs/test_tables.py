"""What docs/ says about flags, commands and metrics is what the code says."""

import pytest

from tests.docs.tables import FOLDER, PROCESSES, TABLES


@pytest.mark.parametrize("name", TABLES)
def test_table_is_what_the_code_says(name: str) -> None:
    assert (FOLDER / name).read_text() == TABLES[name](), f"stale: run python -m tests.docs to write docs/{name} again"


def test_every_setting_is_described() -> None:
    for process, settings in PROCESSES.items():
        assert [name for name, field in settings.model_fields.items() if not field.description] == [], process
