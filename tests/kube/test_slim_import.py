"""The slim import of kubernetes-asyncio, each case in a process of its own."""

import json
import subprocess
import sys
from typing import Any

REPORT = """
import json, sys
def resident():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * 4096 / 2**20
before = resident()
{}
from sutler.kube import slim_import
loaded = slim_import.load()
print(json.dumps({{
    "mib": resident() - before,
    "models": "kubernetes_asyncio.client.models" in sys.modules,
    "left": sorted(name for name in sys.modules if name.startswith("kubernetes_asyncio")),
    "modules": [module.__name__ for module in loaded.modules],
    "host": loaded.Configuration().host,
}}))
{}
"""


def report(before: str = "", after: str = "") -> tuple[dict[str, Any], str]:
    # aiohttp is there in any case: what is measured is the library.
    code = REPORT.format(f"import aiohttp, aiohttp.web, ssl\nbefore = resident()\n{before}", after)
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout.splitlines()[0]), ran.stderr


def test_models_are_not_imported() -> None:
    said, errors = report()
    assert not said["models"]
    assert said["left"] == []
    assert said["mib"] < 15
    assert said["modules"] == [
        "kubernetes_asyncio.client.configuration",
        "kubernetes_asyncio.client.rest",
        "kubernetes_asyncio.config",
    ]
    assert errors == ""


def test_whole_library_can_be_imported_afterwards() -> None:
    report(after="import kubernetes_asyncio as whole; assert whole.client.CoreV1Api and whole.watch.Watch")


def test_library_that_is_there_already_is_used() -> None:
    said, _ = report(before="import kubernetes_asyncio")
    assert said["models"]
    assert said["left"]


def test_other_layout_of_the_library_is_imported_whole() -> None:
    """A module that the slim way needs can't be imported the first time, as after a move."""
    said, errors = report(
        before="""
import importlib, sys
class Once:
    left = 1
    def find_spec(self, name, path=None, target=None):
        if name == "kubernetes_asyncio.client.rest" and self.left:
            self.left = 0
            raise ImportError("moved")
sys.meta_path.insert(0, Once())
"""
    )
    assert said["models"]
    assert "importing all of kubernetes_asyncio, which takes more memory: ImportError: moved" in errors
