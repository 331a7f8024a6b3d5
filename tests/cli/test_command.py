"""The command as a whole: help, completion, exit statuses, and that a new group needs one line."""

import time
from pathlib import Path

import pytest

from sutler.cli.main import GROUPS
from sutler.cli.output import columns
from sutler.text import sanitized
from tests.cli.conftest import Run, Sutler


@pytest.mark.parametrize("arguments", [(), *((name,) for name in GROUPS), ("registry", "add"), ("registry", "check")])
def test_help_names_the_exit_statuses(offline: Run, arguments: tuple[str, ...]) -> None:
    ran = offline(*arguments, "--help")
    assert ran.status == 0
    assert "Usage: " in ran.out
    assert arguments == ("registry",) or "Exit status:" in ran.out
    assert max(map(len, ran.out.splitlines())) <= 120


def test_help_imports_neither_the_kubernetes_client_nor_a_command(environ: dict[str, str]) -> None:
    ran = Sutler({**environ, "PYTHONPROFILEIMPORTTIME": "1"}).apart("--help")
    assert "sutler.cli.main" in ran.err, "the imports are there to see"
    assert not any(
        module in ran.err for module in ("kubernetes_asyncio", "aiohttp", *(each.module for each in GROUPS.values()))
    )


def test_completion_knows_the_commands(environ: dict[str, str]) -> None:
    asking = {"_SUTLER_COMPLETE": "complete_bash", "COMP_WORDS": "sutler registry ", "COMP_CWORD": "2"}
    ran = Sutler({**environ, **asking}).apart()
    assert set(ran.out.split()) >= {"add", "import", "list", "check", "remove"}


@pytest.mark.parametrize(
    "arguments", [("nothing",), ("explain", "--nothing"), ("registry", "add"), ("registry", "remove")]
)
def test_wrong_usage_is_status_2(offline: Run, arguments: tuple[str, ...]) -> None:
    ran = offline(*arguments)
    assert ran.status == 2
    assert "Usage: " in ran.err


@pytest.mark.parametrize("arguments", [("explain", "nginx"), ("registry", "list"), ("registry", "check"), ("doctor",)])
def test_unreachable_cluster_is_status_3(offline: Run, environ: dict[str, str], arguments: tuple[str, ...]) -> None:
    """Nothing listens at the address, so the connection is refused at once."""
    Path(environ["KUBECONFIG"]).write_text(
        "{apiVersion: v1, kind: Config, current-context: a, contexts: [{name: a, context: {cluster: a, user: a}}],"
        " clusters: [{name: a, cluster: {server: 'https://127.0.0.1:1'}}], users: [{name: a, user: {token: x}}]}"
    )
    started = time.monotonic()
    ran = offline(*arguments)
    assert ran.status == 3
    assert "cannot access the cluster" in ran.err
    assert time.monotonic() - started < 30


def test_one_long_cell_makes_no_other_line_long() -> None:
    long = "x" * 240
    shown = columns(("NAME", "SIZE"), [(long, "1"), ("y", "2")]).splitlines()
    assert shown == ["NAME   SIZE", f"{long}   1", "y      2"]


def test_columns_line_up_and_do_not_trail() -> None:
    assert columns(("A", "LONG"), [("xx", "1"), ("y", "")]) == "A    LONG\nxx   1\ny"


def test_control_characters_never_reach_the_terminal() -> None:
    assert sanitized("a\x1b[31m\x9b2J\nb\té") == "a?[31m?2J\nb?é"
