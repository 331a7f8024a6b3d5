"""What is logged, how, and what never is."""

import io
import json
import logging
import subprocess
import sys

import pytest

from sutler import log
from tests.cluster import ControlPlane

pytestmark = pytest.mark.usefixtures("restored_logging")


def test_json_lines_carry_level_logger_and_time() -> None:
    stream = io.StringIO()
    log.setup("info", "json", stream)
    log.get("sutler.test").info("hello", key="default/a")
    log.get("sutler.test").debug("not shown")
    logging.getLogger("aiohttp.server").warning("from %s", "elsewhere")
    ours, theirs = map(json.loads, stream.getvalue().splitlines())
    assert (ours["event"], ours["key"], ours["level"], ours["logger"]) == ("hello", "default/a", "info", "sutler.test")
    assert ours["timestamp"].endswith("Z")
    assert (theirs["event"], theirs["level"], theirs["logger"]) == ("from elsewhere", "warning", "aiohttp.server")


@pytest.mark.parametrize("format_", ["auto", "console"])
def test_format_is_chosen(format_: str) -> None:
    stream = io.StringIO()
    log.setup("info", "console" if format_ == "console" else "auto", stream)
    log.get("sutler.test").info("hello", key="a")
    said = stream.getvalue()
    assert said.startswith("{") == (format_ == "auto")
    assert "\x1b" not in said


def test_traceback_of_a_group_says_what_is_in_it() -> None:
    stream = io.StringIO()
    log.setup("info", "json", stream)
    group = ExceptionGroup("several", [KeyError("one"), ExceptionGroup("inner", [TypeError("two")])])
    log.get("sutler.test").error("broken", exc_info=group)
    said = stream.getvalue()
    assert "KeyError: 'one'" in said
    assert "TypeError: two" in said


@pytest.mark.parametrize("format_", ["json", "console"])
def test_traceback_says_where_and_quotes_no_value(format_: str) -> None:
    stream = io.StringIO()
    log.setup("info", "console" if format_ == "console" else "json", stream)
    values = {"password": "canary-value"}
    try:
        try:
            int(values["password"])
        except ValueError as error:
            raise KeyError("somewhere") from error
    except KeyError:
        log.get("sutler.test").exception("broken")
    said = stream.getvalue()
    assert "test_log.py" in said
    assert "KeyError: 'somewhere'" in said
    assert "ValueError" in said
    assert "canary-value" not in said


def test_secret_read_and_written_at_debug_is_nowhere_in_the_output(control_plane: ControlPlane, namespace: str) -> None:
    """Our own lines, kubernetes_asyncio's and aiohttp's, at the most talkative level."""
    program = """
import asyncio, base64, logging, sys
from sutler import log
log.setup("debug", "json")
from sutler.kube.client import connect
from sutler.kube.reflector import Reflector
from sutler.kube.resources import SECRETS
log.setup("debug", "json")
async def main():
    async with connect(sys.argv[1], component="test") as client:
        data = {"key": base64.b64encode(b"canary-in-a-secret").decode()}
        await client.create(SECRETS, {"metadata": {"name": "s"}, "data": data}, sys.argv[2])
        secrets = await client.list(SECRETS, sys.argv[2])
        assert any(secret["data"] == data for secret in secrets)
        def keep(obj):
            raise ValueError(str(obj))
        reflector = Reflector(client, SECRETS, namespace=sys.argv[2], transform=keep)
        task = asyncio.create_task(reflector.run())
        await reflector.wait_synced()
        task.cancel()
    logging.getLogger("sutler.test").debug("the end")
asyncio.run(main(), debug=True)
"""
    command = [sys.executable, "-c", program, str(control_plane.kubeconfig), namespace]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    said = ran.stdout + ran.stderr
    assert "the end" in said
    assert "could not read an object" in said
    assert "canary-in-a-secret" not in said
    assert "Y2FuYXJ5" not in said
    token = control_plane.kubeconfig.read_text().partition("token: ")[2].split()[0]
    assert len(token) > 10
    assert token not in said
