"""`sutler pools` and `sutler images`, run as a person runs them, against the running service."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import rbd

from tests.api.client import ADMIN, VIEWER
from tests.api.conftest import Service

Sutler = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def sutler(service: Service) -> Sutler:
    def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        access = {"SUTLER_API_URL": service.url, "SUTLER_API_CA": str(service.api.authority), "SUTLER_API_TOKEN": ADMIN}
        command = [sys.executable, "-c", "from sutler.cli import main; main()", *words]
        env = {**os.environ, **access, **environment}
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)

    return run


def test_image_lives_its_life_on_the_command_line(sutler: Sutler, pool: str) -> None:
    image = f"{pool}/disk"
    assert "1536Mi" in sutler("images", "create", image, "1.5Gi").stdout
    assert sutler("images", "resize", image, "2Gi").returncode == 0
    assert sutler("images", "rename", image, "drive").returncode == 0
    listed = json.loads(sutler("images", "list", pool, "-o", "json").stdout)
    assert [(one["name"], one["size"]) for one in listed] == [("drive", 2 << 30)]
    assert "drive" in sutler("images", "show", f"{pool}/drive").stdout
    assert sutler("images", "delete", f"{pool}/drive", "--trash").returncode == 0
    (entry,) = json.loads(sutler("images", "trash", pool, "-o", "json").stdout)
    assert f"{pool}/back" in sutler("images", "restore", pool, entry["id"], "--name", "back").stdout
    assert sutler("images", "delete", f"{pool}/back").returncode == 0
    assert "No images" in sutler("images", "list", pool).stdout


def test_pool_is_made_and_deleted_when_named_twice(sutler: Sutler, pool: str) -> None:
    name = f"{pool}-cli"
    assert "Made pool" in sutler("pools", "create", name, "--quota", "1Gi").stdout
    assert f"{name} " in sutler("pools", "list").stdout
    assert "1073741824" in sutler("pools", "show", name, "-o", "json").stdout
    assert sutler("pools", "delete", name, "another").returncode == 2
    assert sutler("pools", "delete", name, name).returncode == 0
    assert f"{name} " not in sutler("pools", "list").stdout


def test_long_list_is_fetched_whole(sutler: Sutler, pool: str, ioctx: Any) -> None:
    for number in range(1003):
        rbd.RBD().create(ioctx, f"image-{number}", 1 << 20, old_format=False, features=1)
    assert len(json.loads(sutler("images", "list", pool, "-o", "json").stdout)) == 1003


def test_refusal_says_what_would_do(sutler: Sutler, pool: str) -> None:
    refused = sutler("images", "create", f"{pool}/puzzle", "1024", "--order", "10")
    assert refused.returncode == 2
    assert "12 to 25" in refused.stderr
    sutler("images", "create", f"{pool}/kept", "1Mi")
    refused = sutler("pools", "delete", pool, pool)
    assert (refused.returncode, "images: kept" in refused.stderr) == (1, True)


@pytest.mark.parametrize(
    ("environment", "words", "status", "said"),
    [
        ({"SUTLER_API_TOKEN": ""}, ["pools", "list"], 2, "SUTLER_API_TOKEN holds no token"),
        ({"SUTLER_API_TOKEN": "nobody's-token"}, ["pools", "list"], 3, "nobody has this token"),
        ({"SUTLER_API_TOKEN": VIEWER}, ["pools", "create", "x"], 3, "vera has no right"),
        ({"SUTLER_API_URL": "http://localhost:1"}, ["pools", "list"], 2, "over TLS only"),
        ({"SUTLER_API_URL": "https://localhost:1"}, ["pools", "list"], 3, "does not answer"),
        ({"SUTLER_API_CA": "/nowhere"}, ["pools", "list"], 2, "--ca-file /nowhere"),
        ({}, ["images", "list", "nowhere"], 1, "pool nowhere does not exist"),
        ({}, ["images", "show", "no-slash"], 2, "POOL/IMAGE"),
    ],
)
def test_failure_has_a_status_and_a_sentence(
    sutler: Sutler, environment: dict[str, str], words: list[str], status: int, said: str
) -> None:
    ended = sutler(*words, **environment)
    assert (ended.returncode, said in ended.stderr) == (status, True), ended.stderr
    assert "Traceback" not in ended.stderr


def test_certificate_of_nobody_is_not_trusted(sutler: Sutler, tmp_path: Path) -> None:
    ended = sutler("pools", "list", SUTLER_API_CA="/etc/ssl/certs/ca-certificates.crt")
    assert (ended.returncode, "certificate verify failed" in ended.stderr) == (3, True), ended.stderr
    assert not list(tmp_path.iterdir())


def test_token_comes_from_a_file_when_one_is_named(sutler: Sutler, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{VIEWER}\n")
    ended = sutler("pools", "list", "--token-file", str(tmp_path / "token"), SUTLER_API_TOKEN="nobody's-token")
    assert ended.returncode == 0
