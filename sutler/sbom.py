"""The list of what the container image consists of, as CycloneDX JSON: `docker run --rm IMAGE sutler.sbom`.

It is read from what the package managers of the running image recorded: dpkg's status file, and the metadata of
Python's packages. So it lists what is there, and not what a build was meant to install.
"""

import json
import platform
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any
from urllib.parse import quote

_STATUS = Path("/var/lib/dpkg/status")
_RELEASE = Path("/etc/os-release")
_INSTALLED = "install ok installed"


def main() -> None:
    json.dump(bill_of_materials(_STATUS, _RELEASE, list(distributions())), sys.stdout, indent=1)
    sys.stdout.write("\n")


def bill_of_materials(status: Path, release: Path, python: list[Distribution]) -> dict[str, Any]:
    """The document. It has no time and no serial number: the same image gives the same bytes."""
    system = _fields(release.read_text().splitlines(), "=") if release.exists() else {}
    found = {each.name: each for each in python}
    components = [*_debian(status, system), *(_python(each) for each in found.values() if each.name != "sutler")]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": _application(found.get("sutler"))},
        "components": [_system(system), *sorted(components, key=lambda each: str(each["purl"]))],
    }


def _application(sutler: Distribution | None) -> dict[str, Any]:
    known = {"version": sutler.version, "purl": f"pkg:pypi/sutler@{sutler.version}"} if sutler else {}
    return {"type": "application", "bom-ref": "sutler", "name": "sutler", **known}


def _system(release: Mapping[str, str]) -> dict[str, Any]:
    name = release.get("ID") or platform.system().lower()
    version = release.get("VERSION_ID") or release.get("VERSION_CODENAME") or "unknown"
    return {"type": "operating-system", "bom-ref": "os", "name": name, "version": version}


def _debian(status: Path, release: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """The packages that dpkg has installed; purged ones may be left in its file."""
    distro = release.get("VERSION_CODENAME") or release.get("VERSION_ID") or "unknown"
    for paragraph in status.read_text().split("\n\n") if status.exists() else ():
        fields = _fields(paragraph.splitlines(), ": ")
        if fields.get("Status") != _INSTALLED:
            continue
        name, version, architecture = fields["Package"], fields["Version"], fields["Architecture"]
        source = fields.get("Source", name).partition(" ")[0]
        purl = f"pkg:deb/{release.get('ID', 'debian')}/{quote(name)}@{quote(version)}"
        purl += f"?arch={architecture}&distro={quote(distro)}&upstream={quote(source)}"
        yield _library(name, version, purl)


def _python(package: Distribution) -> dict[str, Any]:
    name = package.name.lower().replace("_", "-").replace(".", "-")
    found = _library(package.name, package.version, f"pkg:pypi/{quote(name)}@{quote(package.version)}")
    licenses = package.metadata.get_all("License-Expression") or []
    return {**found, "licenses": [{"expression": each} for each in licenses]} if licenses else found


def _library(name: str, version: str, purl: str) -> dict[str, Any]:
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


def _fields(lines: list[str], separator: str) -> dict[str, str]:
    """Lines such as `Package: bash` and `ID=debian`; continued lines are left out."""
    pairs = (line.partition(separator) for line in lines if not line.startswith(" "))
    return {name: value.strip('"') for name, _, value in pairs if value}


if __name__ == "__main__":
    main()
