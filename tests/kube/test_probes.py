"""The probes' port."""

import asyncio

import pytest
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import Counter

from sutler import probes
from sutler.metrics import REGISTRY


async def test_ready_when_no_check_has_anything_to_say() -> None:
    missing: dict[str, str | None] = {"watch": "mappings are not listed yet", "certificate": None}
    checks = {name: (lambda name=name: missing[name]) for name in missing}
    async with TestClient(TestServer(probes.application(checks))) as client:
        answer = await client.get("/readyz")
        assert (answer.status, await answer.text()) == (503, "watch: mappings are not listed yet\n")
        assert (await client.get("/healthz")).status == 200
        missing["watch"] = None
        answer = await client.get("/readyz")
        assert (answer.status, await answer.text()) == (200, "ok\n")


async def test_metrics_are_those_of_our_registry() -> None:
    Counter("test_probes_total", "Of the test's own.", registry=REGISTRY).inc(3)
    async with TestClient(TestServer(probes.application({}))) as client:
        answer = await client.get("/metrics")
        text = await answer.text()
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    assert "test_probes_total 3.0" in text
    assert "process_resident_memory_bytes" in text
    assert "python_info" in text


async def test_port_in_use_is_reported_with_the_setting_to_change() -> None:
    async with TestServer(probes.application({})) as server:
        with pytest.raises(probes.ProbeError, match=f"--probe-host 127.0.0.1 --probe-port {server.port}: "):
            await asyncio.wait_for(probes.serve("127.0.0.1", server.port or 0, {}), 10)
