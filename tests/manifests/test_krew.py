"""The manifest for krew keeps krew's rules, and the archive's program runs as krew links it."""

import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import REPOSITORY

FOLDER = REPOSITORY / "manifests" / "krew"
KNOWN = {"selector", "uri", "sha256", "bin", "files"}


@pytest.fixture
def plugin() -> dict[str, Any]:
    text = (FOLDER / "sutler.yaml").read_text()
    released = {"VERSION": "0.1.0", "URL": "https://example.com/kubectl-sutler.tar.gz", "SHA256": "01" * 32}
    for word, value in released.items():
        text = re.sub(rf"(?<=[ v\"]){word}(?=\"?$)", value, text, flags=re.MULTILINE)
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def test_manifest_keeps_the_rules_of_krew(plugin: dict[str, Any]) -> None:
    """Those of its validation, and of its index for new plug-ins."""
    assert plugin["apiVersion"] == "krew.googlecontainertools.github.com/v1alpha2"
    assert plugin["kind"] == "Plugin"
    name, spec = plugin["metadata"]["name"], plugin["spec"]
    assert re.fullmatch(r"[a-z][a-z0-9-]*", name)
    assert not name.startswith(("kube", "kubectl"))
    assert re.fullmatch(r"v\d+\.\d+\.\d+", spec["version"])
    assert spec.keys() == {"version", "homepage", "shortDescription", "description", "caveats", "platforms"}
    assert 0 < len(spec["shortDescription"]) <= 50
    assert not spec["shortDescription"].endswith(".")
    assert max(map(len, spec["description"].splitlines())) <= 80
    for platform in spec["platforms"]:
        assert platform.keys() <= KNOWN
        assert platform["selector"]["matchLabels"].keys() == {"os", "arch"}
        assert platform["uri"].startswith("https://")
        assert platform["uri"].endswith((".tar.gz", ".zip"))
        assert re.fullmatch(r"[0-9a-f]{64}", platform["sha256"])
        assert platform["bin"] in {each["from"] for each in platform["files"]}
        assert "LICENSE" in {each["from"] for each in platform["files"]}
        assert not any(".." in path or path.startswith("/") for each in platform["files"] for path in each.values())


def test_program_of_the_archive_runs_through_the_link_of_krew(tmp_path: Path) -> None:
    archive, link = tmp_path / "store", tmp_path / "kubectl-sutler"
    (archive / "lib").mkdir(parents=True)
    (archive / "kubectl-sutler").write_bytes((FOLDER / "kubectl-sutler").read_bytes())
    link.symlink_to(archive / "kubectl-sutler")
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-I", str(link), *words]
        return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False, cwd="/")

    (archive / "lib" / "2.7").mkdir()
    assert f"runs on Python 2.7, and python3 is {sysconfig.get_python_version()}" in run("--version").stderr
    packages = archive / "lib" / sysconfig.get_python_version()
    packages.symlink_to(REPOSITORY)
    ran = run("--help")
    assert "Usage: kubectl-sutler" in ran.stdout, ran.stderr
