"""`sutler pools` and `sutler images` against the running service, from the command's own entry point on."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import rbd

from sutler.cli import api_client
from tests.api.client import ADMIN, VIEWER
from tests.api.conftest import Service
from tests.inprocess import command


@dataclass(frozen=True)
class Ended:
    returncode: int
    stdout: str
    stderr: str


Sutler = Callable[..., Ended]


@pytest.fixture
def sutler(service: Service) -> Sutler:
    access = {"SUTLER_API_URL": service.url, "SUTLER_API_CA": str(service.api.authority), "SUTLER_API_TOKEN": ADMIN}

    def run(*words: str, **environment: str) -> Ended:
        return Ended(*command(*words, environ={**os.environ, **access, **environment}))

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
    (entry,) = json.loads(sutler("images", "trash", "list", pool, "-o", "json").stdout)
    assert f"{pool}/back" in sutler("images", "trash", "restore", pool, entry["id"], "--name", "back").stdout
    assert sutler("images", "delete", f"{pool}/back").returncode == 0
    assert "No images" in sutler("images", "list", pool).stdout


def test_image_goes_back_to_its_snapshot_and_has_a_clone(sutler: Sutler, pool: str) -> None:
    image, snapshot, clone = f"{pool}/disk", f"{pool}/disk@monday", f"{pool}/copy"
    sutler("images", "create", image, "8Mi")
    assert "No snapshots" in sutler("images", "snapshots", "list", image).stdout
    for words in (
        ("snapshots", "create", snapshot),
        ("resize", image, "16Mi"),
        ("snapshots", "rollback", snapshot),
        ("snapshots", "clone", snapshot, clone),
    ):
        ended = sutler("images", *words)
        assert ended.returncode == 0, ended.stderr
    assert json.loads(sutler("images", "show", image, "-o", "json").stdout)["size"] == 8 << 20
    head, row = sutler("images", "snapshots", "list", image).stdout.splitlines()
    assert head.split()[0] == "NAME"
    assert row.split()[0::4] == ["monday", clone]
    refused = sutler("images", "snapshots", "delete", snapshot)
    assert (refused.returncode, clone in refused.stderr) == (1, True), refused.stderr
    sutler("images", "flatten", clone)
    sutler("images", "snapshots", "protect", snapshot, "--off")
    sutler("images", "snapshots", "delete", snapshot)
    assert "No snapshots" in sutler("images", "snapshots", "list", image).stdout


def test_purged_image_is_gone_and_its_operation_listed(sutler: Sutler, pool: str) -> None:
    sutler("images", "create", f"{pool}/old", "1Mi")
    sutler("images", "delete", f"{pool}/old", "--trash", "--keep", "3600")
    (entry,) = json.loads(sutler("images", "trash", "list", pool, "-o", "json").stdout)
    refused = sutler("images", "trash", "purge", pool, entry["id"])
    assert (refused.returncode, "kept until" in refused.stderr) == (3, True), refused.stderr
    assert sutler("images", "trash", "purge", pool, entry["id"], "--force").returncode == 0
    assert "No images in the trash" in sutler("images", "trash", "list", pool).stdout
    found = json.loads(sutler("images", "operations", "list", "-o", "json").stdout)
    (purge,) = [one for one in found if one["pool"] == pool]
    assert (purge["kind"], purge["state"]) == ("purge", "succeeded")
    assert f"{pool}/{entry['id']}" in sutler("images", "operations", "list").stdout
    table = sutler("images", "operations", "list").stdout
    assert purge["id"] not in table
    short = next(line.split()[-1] for line in table.splitlines() if entry["id"] in line)
    ended = sutler("images", "operations", "cancel", short)
    assert (ended.returncode, "it has ended" in ended.stderr) == (1, True)


def test_pool_is_made_and_deleted_when_named_twice(sutler: Sutler, pool: str) -> None:
    name = f"{pool}-cli"
    assert "Created pool" in sutler("pools", "create", name, "--quota", "1Gi").stdout
    assert f"{name} " in sutler("pools", "list").stdout
    assert "1073741824" in sutler("pools", "show", name, "-o", "json").stdout
    assert "quota of 2Gi" in sutler("pools", "quota", name, "2Gi").stdout
    assert "no quota" in sutler("pools", "quota", name, "0").stdout
    assert sutler("pools", "delete", name, "another").returncode == 2
    assert sutler("pools", "delete", name, name).returncode == 0
    assert f"{name} " not in sutler("pools", "list").stdout


def test_long_list_is_fetched_whole(sutler: Sutler, pool: str, ioctx: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_client, "_PAGE", 20)
    for number in range(43):
        rbd.RBD().create(ioctx, f"image-{number}", 1 << 20, old_format=False, features=1)
    assert len(json.loads(sutler("images", "list", pool, "-o", "json").stdout)) == 43


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
        ({"SUTLER_API_TOKEN": "unknown-token"}, ["pools", "list"], 3, "the token is unknown"),
        ({"SUTLER_API_TOKEN": VIEWER}, ["pools", "create", "x"], 3, "vera has no permission"),
        ({"SUTLER_API_URL": "http://localhost:1"}, ["pools", "list"], 2, "over TLS only"),
        ({"SUTLER_API_URL": "https://localhost:1"}, ["pools", "list"], 3, "does not answer"),
        ({"SUTLER_API_CA": "/nowhere"}, ["pools", "list"], 2, "--ca-file /nowhere"),
        ({}, ["images", "list", "nowhere"], 1, "pool nowhere does not exist"),
        ({}, ["images", "show", "no-slash"], 2, "POOL/IMAGE"),
        ({}, ["images", "snapshots", "create", "rbd/disk"], 2, "POOL/IMAGE@SNAPSHOT"),
        ({}, ["images", "trash", "list", "a/b/c"], 2, "POOL/NAMESPACE"),
    ],
)
def test_failure_has_a_status_and_a_sentence(
    sutler: Sutler, environment: dict[str, str], words: list[str], status: int, said: str
) -> None:
    ended = sutler(*words, **environment)
    assert (ended.returncode, said in ended.stderr) == (status, True), ended.stderr
    assert "Traceback" not in ended.stderr


def test_certificate_of_unknown_ca_is_not_trusted(sutler: Sutler, tmp_path: Path) -> None:
    ended = sutler("pools", "list", SUTLER_API_CA="/etc/ssl/certs/ca-certificates.crt")
    assert (ended.returncode, "certificate verify failed" in ended.stderr) == (3, True), ended.stderr
    assert not list(tmp_path.iterdir())


def test_token_comes_from_a_file_when_one_is_named(sutler: Sutler, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{VIEWER}\n")
    ended = sutler("pools", "list", "--token-file", str(tmp_path / "token"), SUTLER_API_TOKEN="unknown-token")
    assert ended.returncode == 0


@pytest.mark.parametrize(
    "url", ["http://localhost", "https://localhost:port", "https://localhost:70000", "https://[::1"]
)
def test_address_that_is_none_is_wrong_usage(sutler: Sutler, url: str) -> None:
    ended = sutler("pools", "list", SUTLER_API_URL=url)
    assert (ended.returncode, "is not https://HOST[:PORT]" in ended.stderr) == (2, True), ended.stderr
