"""The OpenAPI document is complete and matches the service, which schemathesis tests with thousands of requests."""

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from provisioner.api import application
from provisioner.api.endpoint import BASE, endpoints
from tests.api.client import ADMIN, Api
from tests.api.conftest import Service

_CONFIG = """
[parameters]
"path.pool" = "{pool}"
"path.image" = "kept"
"path.snapshot" = "first"

# A quota that schemathesis itself has set: documented, and true.
[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", "507"]
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "401", "403", "404", "409", "412", "422", "5xx"]
[checks.negative_data_rejection]
expected-statuses = ["400", "401", "403", "404", "405", "409", "412", "413", "415", "422", "5xx"]
"""


@contextmanager
def kept_filled(api: Api, pool: str) -> Iterator[None]:
    """Keep an image with a snapshot there, after any request: requests for nothing try nothing."""
    over = threading.Event()

    def refill() -> None:
        while not over.wait(0.2):
            if api.post(f"/pools/{pool}/images", {"name": "kept", "size": "1Mi"}).status == 409:
                api.post(f"/pools/{pool}/images/kept/snapshots", {"name": "first"})

    refilling = threading.Thread(target=refill)
    refilling.start()
    yield
    over.set()
    refilling.join()


def tried(service: Service, api: Api, pool: str, folder: Path, examples: int) -> str:
    config = folder / "schemathesis.toml"
    config.write_text(_CONFIG.format(pool=pool))
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "run"]
    command += [f"{service.url}/openapi.json", "-H", f"Authorization: Bearer {ADMIN}", "--continue-on-failure"]
    command += ["--tls-verify", str(api.authority), "-c", "all", "-n", str(examples), "--request-timeout", "40"]
    with kept_filled(api, pool):
        ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=1500, check=False)
    assert ran.returncode == 0, ran.stdout[-8000:] + ran.stderr[-2000:]
    return ran.stdout


def cases(output: str) -> int:
    found = re.search(r"(\d+) generated, (\d+) passed", output)
    assert found is not None, output[-2000:]
    assert found[1] == found[2]
    return int(found[1])


@pytest.mark.timeout(600)
def test_no_answer_is_undocumented_and_none_is_500(service: Service, api: Api, pool: str, tmp_path: Path) -> None:
    assert cases(tried(service, api, pool, tmp_path, examples=2)) > 1000
    assert "defect" not in service.process.log_text()


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_no_answer_is_undocumented_in_many_thousand_cases(
    service: Service, api: Api, pool: str, tmp_path: Path
) -> None:
    assert cases(tried(service, api, pool, tmp_path, examples=200)) > 4000
    assert "defect" not in service.process.log_text()


def test_document_is_served_as_it_is_generated(api: Api) -> None:
    served = replace(api, base="").get("/openapi.json")
    assert served.headers["Content-Type"].startswith("application/json")
    assert served.json == application.openapi_document()


def test_document_describes_every_endpoint_once() -> None:
    document = application.openapi_document()
    described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    served = [(found.method, BASE + found.path) for owner in application.ENDPOINT_CLASSES for found in endpoints(owner)]
    assert len(served) == len(set(served))
    assert described == set(served)
    operations = [one["operationId"] for methods in document["paths"].values() for one in methods.values()]
    assert len(operations) == len(set(operations))


def test_every_operation_parameter_and_schema_is_explained() -> None:
    document = application.openapi_document()
    for methods in document["paths"].values():
        for operation in methods.values():
            assert operation["summary"]
            assert [one["name"] for one in operation["parameters"] if not one["description"]] == []
    assert [reference for reference in _references(document) if not _resolves(document, reference)] == []


def _references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(reference := part.get("$ref"), str):
            yield reference
        for inner in part.values():
            yield from _references(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from _references(inner)


def _resolves(document: Any, reference: str) -> bool:
    for word in reference.removeprefix("#/").split("/"):
        if word not in document:
            return False
        document = document[word]
    return True


def test_limits_are_documented_as_they_are_checked() -> None:
    schemas = application.openapi_document()["components"]["schemas"]
    order = schemas["ImageCreate"]["properties"]["order"]["anyOf"][0]
    assert (order["minimum"], order["maximum"]) == (12, 25)
    known = {"type", "minimum", "maximum", "enum", "description", "x-errno", "const", "pattern", "title", "default"}
    known |= {"anyOf", "items", "maxItems", "minLength", "maxLength", "properties", "required", "examples", "$ref"}
    known |= {"additionalProperties", "format", "readOnly"}
    assert {word for schema in schemas.values() for word in _words(schema)} - known == set()


def _words(schema: Any) -> Iterator[str]:
    """Every keyword of a schema: one that JSON Schema does not know would limit nothing."""
    for word, inner in schema.items():
        yield word
        if word == "properties":
            for property_ in inner.values():
                yield from _words(property_)
        elif word in {"items", "additionalProperties"} and isinstance(inner, dict):
            yield from _words(inner)
        elif word == "anyOf":
            for one in inner:
                yield from _words(one)
