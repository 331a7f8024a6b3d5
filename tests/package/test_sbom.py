"""The list of the image's parts, from what dpkg and pip recorded."""

import json
import re
from importlib.metadata import distribution
from pathlib import Path

from sutler.sbom import bill_of_materials

STATUS = """\
Package: bash
Status: install ok installed
Architecture: amd64
Version: 5.3-1
Description: GNU shell
 Status: of the shell

Package: librbd1
Status: install ok installed
Architecture: amd64
Source: ceph (20.2.4)
Version: 20.2.4+ds-1

Package: systemd
Status: deinstall ok config-files
Architecture: amd64
Version: 262-1
"""
RELEASE = 'ID=debian\nVERSION_CODENAME=forky\nPRETTY_NAME="Debian GNU/Linux forky/sid"\n'


def test_list_has_what_is_installed_with_its_urls(tmp_path: Path) -> None:
    (tmp_path / "status").write_text(STATUS)
    (tmp_path / "os-release").write_text(RELEASE)
    python = [distribution("sutler"), distribution("aiohttp"), distribution("pydantic_core")]
    bill = bill_of_materials(tmp_path / "status", tmp_path / "os-release", python)
    assert (bill["bomFormat"], bill["specVersion"], bill["version"]) == ("CycloneDX", "1.5", 1)
    assert bill["metadata"]["component"]["purl"] == f"pkg:pypi/sutler@{distribution('sutler').version}"
    system, *components = bill["components"]
    assert (system["name"], system["version"]) == ("debian", "forky")
    assert [each["purl"] for each in components] == [
        "pkg:deb/debian/bash@5.3-1?arch=amd64&distro=forky&upstream=bash",
        "pkg:deb/debian/librbd1@20.2.4%2Bds-1?arch=amd64&distro=forky&upstream=ceph",
        f"pkg:pypi/aiohttp@{distribution('aiohttp').version}",
        f"pkg:pypi/pydantic-core@{distribution('pydantic_core').version}",
    ]
    references = [each["bom-ref"] for each in bill["components"]]
    assert len(set(references)) == len(references)
    assert all(re.fullmatch(r"pkg:(?:deb|pypi)/\S+@\S+", each["purl"]) for each in components)
    assert json.loads(json.dumps(bill)) == bill


def test_list_can_be_had_where_there_is_no_dpkg(tmp_path: Path) -> None:
    bill = bill_of_materials(tmp_path / "status", tmp_path / "os-release", [distribution("aiohttp")])
    assert [each["name"] for each in bill["components"][1:]] == ["aiohttp"]
