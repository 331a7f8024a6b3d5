"""Plug-ins under the kubelet's contract: what is run, with what, for how long, and what is believed."""

import asyncio
import io
import json
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.tokens.planning.failure import Reason, TokenError
from provisioner.tokens.planning.sources import ExecSource, Identity
from provisioner.tokens.plugin_runner import PluginRunner
from provisioner.tokens.providers.exec import parse_response
from provisioner.tokens.providers.fetch import fetch_credential
from tests.cluster.wait import wait_for
from tests.tokens.conftest import MakeContext

V1 = "credentialprovider.kubelet.k8s.io/v1"
SOURCE = ExecSource("plugin", "registry.example.com/app")
GOOD = {
    "kind": "CredentialProviderResponse",
    "apiVersion": V1,
    "cacheKeyType": "Registry",
    "cacheDuration": "1h0m0s",
    "auth": {"registry.example.com": {"username": "user", "password": "canary:1"}},
}
Install = Callable[..., PluginRunner]


@pytest.fixture
def install(tmp_path: Path) -> Install:
    def made(script: str, name: str = "plugin", **more: Any) -> PluginRunner:
        folder = tmp_path / "plugins"
        folder.mkdir(mode=0o755, exist_ok=True)
        file = folder / name
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)
        given: dict[str, Any] = {"passed_on": (), "environment": {}, **more}
        passed_on, environment = given.pop("passed_on"), given.pop("environment")
        return PluginRunner(folder, passed_on, environment, **given)

    return made


def printing(response: Any = GOOD) -> str:
    return f"cat > /dev/null; printf '%s' '{json.dumps(response)}'"


async def failing(runner: PluginRunner, name: str = "plugin") -> str:
    with pytest.raises(TokenError) as raised:
        await runner.run(name, b"{}")
    assert raised.value.reason is Reason.PLUGIN_FAILED
    assert "canary" not in str(raised.value)
    return str(raised.value)


async def test_credentials_of_a_plugin_become_the_tokens(install: Install, make_context: MakeContext) -> None:
    context = make_context({}, run_plugin=install(printing()).run)
    found = await fetch_credential(context, SOURCE)
    assert {key: (each.username, each.password) for key, each in found.logins.items()} == {
        "registry.example.com": ("user", "canary:1")
    }
    # It is kept for an hour, which plug-ins make half of the life.
    assert (found.seconds_left, found.exact) == (7200, False)


async def test_request_is_the_kubelets(install: Install, make_context: MakeContext, tmp_path: Path) -> None:
    runner = install(f"cat > {tmp_path}/request; printf '%s' '{json.dumps(GOOD)}'")
    await fetch_credential(make_context({}, run_plugin=runner.run), SOURCE)
    expected = {"apiVersion": V1, "kind": "CredentialProviderRequest", "image": "registry.example.com/app"}
    assert json.loads((tmp_path / "request").read_text()) == expected

    account = ExecSource("plugin", "a.b/c", identity=Identity(service_account_name="puller"), audience="cloud")
    await fetch_credential(make_context({}, run_plugin=runner.run), account)
    assert json.loads((tmp_path / "request").read_text())["serviceAccountToken"].count(".") == 2


async def test_environment_is_empty_but_for_what_is_named(install: Install) -> None:
    environment = {"AWS_REGION": "eu-west-1", "AWS_SECRET_ACCESS_KEY": "canary", "PATH": "/canary"}
    runner = install("cat > /dev/null; /usr/bin/env", passed_on=("AWS_REGION", "NOT_SET"), environment=environment)
    lines = set((await runner.run("plugin", b"{}")).decode().split())
    # What the shell itself sets is no one's secret.
    assert {line for line in lines if not line.startswith(("PWD=", "SHLVL=", "_=", "OLDPWD="))} == {
        "AWS_REGION=eu-west-1"
    }


@pytest.mark.parametrize("name", ["", ".", "..", "/bin/sh", "../plugin", "a/b", "a b", "a\0b", "other"])
async def test_only_a_file_of_the_folder_is_run(install: Install, name: str) -> None:
    await failing(install(printing()), name)


async def test_without_a_folder_nothing_is_run() -> None:
    assert "--plugin-folder" in await failing(PluginRunner(None, (), {}))


async def test_plugin_that_others_may_write_is_not_run(install: Install, tmp_path: Path) -> None:
    runner = install(printing())
    file = tmp_path / "plugins" / "plugin"
    for what, restored in ((file, 0o755), (file.parent, 0o755)):
        what.chmod(restored | stat.S_IWOTH)
        assert "can be written by others" in await failing(runner)
        what.chmod(restored)
    file.chmod(0o644)
    assert "not an executable file" in await failing(runner)


BROKEN = {
    "exit 1": "echo canary >&2; exit 1",
    "no interpreter": None,
    "ten megabytes": "cat > /dev/null; yes canary | head -c 10000000",
    "junk without end": "cat > /dev/null; yes canary",
    "killed": "kill -9 $$",
}


@pytest.mark.parametrize("what", BROKEN)
async def test_broken_plugin_is_a_failure_that_quotes_nothing(
    install: Install, what: str, tmp_path: Path, logged: io.StringIO
) -> None:
    runner = install(BROKEN[what] or "", seconds=20)
    if BROKEN[what] is None:
        (tmp_path / "plugins" / "plugin").write_text("#!/nowhere/sh\n")
    await failing(runner)
    assert "canary" not in logged.getvalue()


async def test_plugin_that_hangs_is_ended_with_all_that_it_started(install: Install, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    runner = install(f"sleep 300 & echo $! $$ > {pids}; sleep 300", seconds=0.5)
    assert "did not end in time" in await failing(runner)
    for pid in pids.read_text().split():
        wait_for(lambda pid=pid: not alive(int(pid)), "the process to be gone")  # type: ignore[misc] # called at once


async def test_grandchild_that_keeps_the_output_open_is_not_waited_for(install: Install, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    runner = install(f"sleep 300 & echo $! > {pids}; {printing()}")
    began = time.monotonic()
    assert json.loads(await runner.run("plugin", b"{}")) == GOOD
    assert time.monotonic() - began < 10
    wait_for(lambda: not alive(int(pids.read_text())), "the grandchild to be gone")


async def test_plugin_ends_with_the_task_that_waits_for_it(install: Install, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    task = asyncio.create_task(install(f"echo $$ > {pid}; sleep 300").run("plugin", b"{}"))
    await asyncio.to_thread(wait_for, lambda: pid.exists() and pid.read_text().strip(), "the plug-in to begin")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.to_thread(wait_for, lambda: not alive(int(pid.read_text())), "the plug-in to be gone")


async def test_large_request_reaches_a_plugin_that_reads_it_late(install: Install) -> None:
    runner = install("sleep 0.2; wc -c")
    assert (await runner.run("plugin", b"x" * 200_000)).strip() == b"200000"


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


ANSWERS: dict[str, tuple[Any, Reason]] = {
    "no JSON": ("canary", Reason.PLUGIN_FAILED),
    "a list": ([GOOD], Reason.PLUGIN_FAILED),
    "another kind": ({**GOOD, "kind": "Pod"}, Reason.PLUGIN_FAILED),
    "another version": ({**GOOD, "apiVersion": f"{V1}beta1"}, Reason.PLUGIN_FAILED),
    "a cache key type of tomorrow": ({**GOOD, "cacheKeyType": "canary"}, Reason.PLUGIN_FAILED),
    "no cache key type": ({**GOOD, "cacheKeyType": None}, Reason.PLUGIN_FAILED),
    "no duration": ({**GOOD, "cacheDuration": "canary"}, Reason.PLUGIN_FAILED),
    "a duration that is a number": ({**GOOD, "cacheDuration": 60}, Reason.PLUGIN_FAILED),
    "an auth that is none": ({**GOOD, "auth": ["canary"]}, Reason.PLUGIN_FAILED),
    "an entry that is none": ({**GOOD, "auth": {"a.b": "canary"}}, Reason.PLUGIN_FAILED),
    "a password that is a number": ({**GOOD, "auth": {"a.b": {"username": "u", "password": 1}}}, Reason.PLUGIN_FAILED),
    "no credential": ({**GOOD, "auth": None}, Reason.ACCESS_DENIED),
    "no credentials": ({**GOOD, "auth": {}}, Reason.ACCESS_DENIED),
}


@pytest.mark.parametrize("what", ANSWERS)
def test_answer_that_breaks_the_contract_has_a_reason(what: str) -> None:
    answer, reason = ANSWERS[what]
    with pytest.raises(TokenError) as raised:
        parse_response(SOURCE, json.dumps(answer).encode())
    assert raised.value.reason is reason
    assert "canary" not in str(raised.value)


@pytest.mark.parametrize(
    ("duration", "left"),
    [("0s", 600), ("0", 600), ("6h0m0s", 43_200), ("1h30m", 10_800), ("1.5h", 10_800), ("500ms", 600), (None, 1200)],
)
def test_duration_is_gos_and_has_a_floor(duration: str | None, left: float) -> None:
    assert parse_response(SOURCE, json.dumps({**GOOD, "cacheDuration": duration}).encode()).seconds_left == left


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_output_is_a_credential_or_an_expected_error(output: bytes) -> None:
    with pytest.raises(TokenError):
        parse_response(SOURCE, output)
