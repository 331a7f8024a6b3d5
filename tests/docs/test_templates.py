"""The forms for issues and pull requests keep the rules of the forge, and ask for what helps."""

from pathlib import Path

import pytest
import yaml

from sutler.cli.main import GROUPS
from tests.conftest import REPOSITORY

FORMS = sorted((REPOSITORY / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
INPUTS = {"markdown", "textarea", "input", "dropdown", "checkboxes"}


@pytest.mark.parametrize("path", [path for path in FORMS if path.name != "config.yml"], ids=lambda path: path.stem)
def test_form_is_one_that_the_forge_shows(path: Path) -> None:
    form = yaml.safe_load(path.read_text())
    assert form["name"]
    assert form["description"]
    inputs = [each for each in form["body"] if each["type"] != "markdown"]
    assert {each["type"] for each in form["body"]} <= INPUTS
    assert len({each["id"] for each in inputs}) == len(inputs)
    assert all(each["attributes"]["label"] for each in inputs)


def test_bug_report_asks_for_what_the_commands_give() -> None:
    text = (REPOSITORY / ".github" / "ISSUE_TEMPLATE" / "bug_report.yml").read_text()
    asked = {name for name in GROUPS if f"`sutler {name}`" in text}
    assert {"version", "support-dump", "doctor", "check-install"} == asked
    assert "vulnerability" in text
