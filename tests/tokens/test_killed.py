"""SIGKILL at every call of a refresh, to the cloud and to the API server: the Secret is whole, old or new."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.tokens.fakes.api_server import OWN, TOKENS
from tests.tokens.scene import SPEC, Scene, until

PATIENCE = 60.0
LEASE = f"/apis/coordination.k8s.io/v1/namespaces/{OWN}/leases/sutler-tokens"


class Lives:
    """Refreshes, each by a process that may kill itself (see tests.tokens.killable) and then by one that does not."""

    def __init__(self, scene: Scene, folder: Path, port: int) -> None:
        self.scene = scene
        self._folder = folder
        self._port = port
        self._allowed: list[dict[str, str]] = []
        scene.api.on_write = self.check

    def check(self) -> None:
        """The Secret has the password from before, or one that the cloud has issued for this refresh."""
        held = self.scene.passwords()
        assert held in self._allowed or self.scene.has_good_token(), held

    async def refresh(self, kill: str) -> tuple[bool, str]:
        """Whether the process killed itself, and its log."""
        before = self.scene.passwords()
        self._allowed = [before]
        self.scene.api.put(
            f"{TOKENS}/ecr",
            {"metadata": {"annotations": {"sutler.dev/refresh-requested-at": kill}}, "spec": SPEC},
        )
        async with self._process(kill) as first:
            await until(lambda: first.returncode is not None or self._is_served(kill), f"the end of {kill}", PATIENCE)
        self.check()
        if killed := not self._is_served(kill):
            async with self._process("0:never"):
                await until(lambda: self._is_served(kill), "the refresh by the next process", PATIENCE)
        assert self.scene.passwords() != before
        assert self.scene.has_good_token()
        return killed, (self._folder / f"{kill}.log").read_text()

    def _is_served(self, request: str) -> bool:
        return self.scene.status().get("refreshRequest") == request

    @asynccontextmanager
    async def _process(self, kill: str) -> AsyncIterator[asyncio.subprocess.Process]:
        endpoints = ",".join(f"{name}={self.scene.cloud.url}" for name in ("ecr", "aws-sts"))
        argv = [
            *("--kubeconfig", self.scene.api.kubeconfig(self._folder), "--namespace", OWN, "--endpoints", endpoints)
        ]
        argv += ["--probe-host", "127.0.0.1", "--probe-port", str(self._port), "--log-level", "debug"]
        self.scene.api.objects.pop(LEASE, None)  # as if it had ended
        with (self._folder / f"{kill}.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.tokens.killable", "tokens", *argv),
                cwd=REPOSITORY,
                env={**os.environ, "SUTLER_TEST_KILL": kill},
                stdout=log,
                stderr=log,
            )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


@pytest.mark.timeout(900)
@pytest.mark.parametrize("step", [5, pytest.param(1, marks=pytest.mark.long)])
async def test_killed_at_any_call_of_a_refresh_the_secret_is_whole(
    scene: Scene, tmp_path: Path, free_port: int, step: int
) -> None:
    scene.secret()
    scene.token()
    lives = Lives(scene, tmp_path, free_port)
    await lives.refresh("98:never")
    _, log = await lives.refresh("99:never")
    calls = [line.split(maxsplit=2)[2] for line in log.splitlines() if line.startswith("point ")]
    assert len(calls) >= 6, calls
    # After a call is before the next one: what counts is done by the calls, and a killed process remembers nothing.
    points = [*(f"{number}:before" for number in range(1, len(calls) + 1)), f"{len(calls)}:after"][::step]
    reached = [point for point in points if (await lives.refresh(point))[0]]
    print(f"killed at {len(reached)} points of {', '.join(calls)}")
    # After the last call, which writes the status, the refresh is served.
    assert reached == [point for point in points if point != f"{len(calls)}:after"]
