"""Generates the OpenAPI 3.1 document from the endpoints and their models."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from provisioner.api.endpoint import BASE, Endpoint, Result, models
from provisioner.api.problem import CONTENT_TYPE, ProblemKind
from provisioner.api.schemas.common import ProblemDocument

_REFERENCE = "#/components/schemas/{model}"
_PROBLEM_HEADERS = {
    ProblemKind.UNAUTHENTICATED: {"WWW-Authenticate": "The accepted authentication schemes."},
    ProblemKind.UNAVAILABLE: {"Retry-After": "Seconds; an earlier retry fails the same way."},
    ProblemKind.TIMEOUT: {"Retry-After": "Seconds. A change may or may not have been made: check before you retry."},
}
VERSION = "1.0.0"
"""The version of the API, not of Sutler."""
_TITLE = "Sutler: Ceph pools and RBD images"
_TEXT = """\
Manages Ceph pools and RBD images. Sizes are bytes; requests also accept quantities such as `10Gi`.
Every error is a problem (RFC 9457) with the cause in words, what would be accepted, and Ceph's errno if there is one.
Long work is answered with 202 and the path of an operation to poll."""


def document(found: Iterable[Endpoint]) -> dict[str, Any]:
    listed = list(found)
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in listed:
        paths.setdefault(BASE + endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint)
    return {
        "openapi": "3.1.0",
        "info": {"title": _TITLE, "version": VERSION, "description": _TEXT},
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {
            "schemas": _schemas(listed),
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A Kubernetes token, or one from the token file. For reads, Basic authentication is "
                    "accepted as well: any name, and the token as password.",
                }
            },
        },
    }


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    summary, _, rest = endpoint.text.partition("\n\n")
    needs = (
        f"Requires the permission to `{endpoint.permission}`."
        if endpoint.permission
        else "Requires authentication only."
    )
    operation = {
        "operationId": endpoint.operation,
        "summary": summary.replace("\n", " ").rstrip("."),
        "description": "\n\n".join(part for part in (rest, needs) if part),
        "tags": [_tag(endpoint)],
        "parameters": _parameters(endpoint),
        "responses": _responses(endpoint),
    }
    if endpoint.body_model is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": _reference(endpoint.body_model)}},
        }
    return operation


def _tag(endpoint: Endpoint) -> str:
    """The innermost collection: snapshots for /pools/{pool}/images/{image}/snapshots/{snapshot}/rollback."""
    collections = ("snapshots", "images", "trash", "operations", "pools")
    return next((name for name in collections if f"/{name}" in endpoint.path), "status")


def _parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    parameters = [*_from_model(endpoint.path_model, "path"), *_from_model(endpoint.query_model, "query")]
    if endpoint.honours_if_match:
        text = "The ETag that the client has read. If the version differs, nothing changes: 412."
        parameters.append(_header("If-Match", text))
    if endpoint.honours_minimal:
        text = "`return=minimal`: a response without body and ETag, which is faster by a third."
        parameters.append(_header("Prefer", text))
    if endpoint.honours_wait:
        text = "`wait=10`: seconds to wait before the answer 202 (default 2, up to 20)."
        parameters.append(_header("Prefer", text))
    return parameters


def _header(name: str, text: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": False, "description": text, "schema": {"type": "string"}}


def _from_model(model: type[BaseModel], where: str) -> Iterable[dict[str, Any]]:
    schema = model.model_json_schema(ref_template=_REFERENCE)
    required = set(schema.get("required", ()))
    for name, property_ in schema.get("properties", {}).items():
        # The description is beside the schema, not in it.
        described = {key: value for key, value in property_.items() if key not in {"description", "title"}}
        yield {
            "name": name,
            "in": where,
            "required": name in required,
            "description": property_.get("description", ""),
            "schema": described,
        }


def _responses(endpoint: Endpoint) -> dict[str, Any]:
    responses = {str(status): _result(result) for status, result in endpoint.results.items()}
    for kind in endpoint.statuses:
        responses.setdefault(str(kind.status), _problem(kind))
    return dict(sorted(responses.items()))


def _result(result: Result) -> dict[str, Any]:
    response: dict[str, Any] = {"description": result.text}
    if result.headers:
        response["headers"] = _headers(result.headers)
    if result.links:
        response["links"] = {
            link.operation: {"operationId": link.operation, "parameters": dict(link.parameters)}
            for link in result.links
        }
    if result.body is not None:
        response["content"] = {"application/json": {"schema": _reference(result.body)}}
    return response


def _problem(kind: ProblemKind) -> dict[str, Any]:
    titles = [other.title for other in ProblemKind if other.status == kind.status]
    response: dict[str, Any] = {
        "description": ", or: ".join(titles),
        "content": {CONTENT_TYPE: {"schema": _reference(ProblemDocument)}},
    }
    if headers := _PROBLEM_HEADERS.get(kind):
        response["headers"] = _headers(headers)
    return response


def _headers(described: Mapping[str, str]) -> dict[str, Any]:
    return {name: {"description": text, "schema": {"type": "string"}} for name, text in described.items()}


def _reference(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": _REFERENCE.format(model=model.__name__)}


def _schemas(found: Iterable[Endpoint]) -> dict[str, Any]:
    requests = {endpoint.body_model for endpoint in found if endpoint.body_model is not None}
    responses = {model for endpoint in found for model in models(endpoint)} - requests | {ProblemDocument}
    wanted = [*((model, "validation") for model in requests), *((model, "serialization") for model in responses)]
    wanted.sort(key=lambda one: one[0].__name__)
    _, schemas = models_json_schema(wanted, ref_template=_REFERENCE)  # type: ignore[arg-type] # literals, widened by the list
    definitions: dict[str, Any] = schemas["$defs"]
    return dict(sorted(definitions.items()))
