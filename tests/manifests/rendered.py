"""Manifests as kubectl's own kustomize renders them."""

import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import REPOSITORY

Json = dict[str, Any]

MANIFESTS = REPOSITORY / "manifests"
BASE = MANIFESTS / "base"
# kubectl 1.20 knows neither components nor folders among the resources: there, the base is all that can be applied.
KNOWS_COMPONENTS = pytest.mark.skipif(
    "kustomizeVersion"
    not in subprocess.run(
        ["kubectl", "version", "--client", "-o", "json"], capture_output=True, text=True, check=True, timeout=30
    ).stdout,
    reason="overlays need kubectl 1.21 or newer",
)
OVERLAYS = {folder.name: folder for folder in sorted((MANIFESTS / "overlays").iterdir())}


def rendered(folder: Path) -> list[Json]:
    return [one for one in yaml.load_all(_text(folder), yaml.CSafeLoader) if one]


@cache
def _text(folder: Path) -> str:
    ran = subprocess.run(["kubectl", "kustomize", folder], capture_output=True, text=True, timeout=30, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def of(objects: list[Json], *kinds: str) -> list[Json]:
    return [one for one in objects if one["kind"] in kinds]


def named(objects: list[Json], kind: str, name: str) -> Json:
    (found,) = (one for one in of(objects, kind) if one["metadata"]["name"] == name)
    return found


def place(one: Json) -> tuple[str, str, str]:
    return one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]


def pods(objects: list[Json]) -> dict[str, Json]:
    """The Pods' templates by the names of their Deployments."""
    return {one["metadata"]["name"]: one["spec"]["template"] for one in of(objects, "Deployment")}


def container(pod: Json) -> Json:
    (only,) = pod["spec"]["containers"]
    result: Json = only
    return result


def selected(objects: list[Json], selector: Json) -> list[Json]:
    """The templates whose Pods these labels select."""
    return [pod for pod in pods(objects).values() if selector.items() <= pod["metadata"]["labels"].items()]
