"""moto's server with its checks of signatures and policies on, from pinned wheels, in an environment of its own."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlencode

from provisioner.tokens.planning.http_message import HttpRequest
from provisioner.tokens.planning.sigv4 import AwsCredentials, sign_v4
from tests.cluster import packages, steps, wait_for
from tests.cluster.go import TESTBED
from tests.cluster.probe import get

_WHEELS = TESTBED / "moto.txt"
SETUP_REQUESTS = 4
"""So many requests to moto are not checked: those that create a user, its key and a role."""


@contextmanager
def running_moto(port: int, log: Path) -> Iterator[str]:
    """The URL of the server."""
    environment = {**os.environ, "PYTHONPATH": str(_installed()), "INITIAL_NO_AUTH_ACTION_COUNT": str(SETUP_REQUESTS)}
    argv = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(argv, env=environment, stdout=output, stderr=output)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(lambda: get(f"{url}/moto-api/data.json")[0] == 200, "moto", 60)
        yield url
    finally:
        process.terminate()
        process.wait()


def iam_request(url: str, action: str, **form: str) -> HttpRequest:
    body = urlencode({"Action": action, "Version": "2010-05-08", **form}).encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    request = HttpRequest(action, "POST", f"{url}/", headers, body)
    anyone = AwsCredentials("AKIAANY", "any")
    return sign_v4(request, anyone, region="us-east-1", service="iam", now=datetime.now(UTC))


def _installed() -> Path:
    folder = packages.cache() / "python" / f"moto-{hashlib.sha256(_WHEELS.read_bytes()).hexdigest()[:12]}"
    with steps.locked(folder, "moto"):
        done = folder / "moto"
        if not done.exists():
            log = steps.Steps(folder / "install.log")
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
            log.run("getting moto", [*pip, "--require-hashes", "--target", str(folder), "-r", str(_WHEELS)], cwd=folder)
    return folder
