"""The page of the REST API's endpoints, generated from its OpenAPI document."""

from collections.abc import Iterator
from itertools import groupby
from typing import Any

from provisioner.api.application import openapi_document
from provisioner.api.endpoint import BASE

Json = dict[str, Any]

_LARGEST_LISTED = 8
"""Values of an enumeration that a table lists; the field's own words describe a longer one."""


def rest_endpoints() -> str:
    document = openapi_document()
    found = [
        (operation["tags"][0], f"{method.upper()} {path.removeprefix(BASE)}", operation)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    ]
    parts = [
        "# REST endpoints\n",
        "The [guide](rest-api.md) shows requests with their responses. `/openapi.json` of a running API has the same.",
        f"Paths are below `{BASE}`. Names in bold are required.\n",
        "A failed request is answered with a [ProblemDocument](#problemdocument) and one of these statuses:\n",
        "| status | meaning |\n|---|---|",
        *(f"| {status} | {text} |" for status, text in sorted(_problems(found).items())),
        "",
    ]
    for tag, group in groupby(sorted(found, key=lambda one: one[0]), key=lambda one: one[0]):
        parts.append(f"## {tag.capitalize()}\n")
        parts += [part for _, title, operation in group for part in _operation(title, operation)]
    parts.append("## Bodies\n")
    for name, schema in document["components"]["schemas"].items():
        parts += _body(name, schema)
    return "\n".join(parts).rstrip() + "\n"


def _problems(found: list[tuple[str, str, Json]]) -> dict[str, str]:
    """Return the description of each failure, as the endpoint with the most causes of it has it."""
    problems: dict[str, str] = {}
    for _, _, operation in found:
        for status, response in operation["responses"].items():
            if status >= "400":
                problems[status] = max(problems.get(status, ""), response["description"], key=len)
    return problems


def _operation(title: str, operation: Json) -> Iterator[str]:
    yield f"### {title}\n"
    yield f"{operation['summary']}. {operation['description']}\n"
    if parameters := operation["parameters"]:
        yield "| parameter | in | type | meaning |\n|---|---|---|---|"
        for one in parameters:
            name = f"**`{one['name']}`**" if one["required"] else f"`{one['name']}`"
            yield f"| {name} | {one['in']} | {_type(one['schema'])} | {_meaning(one, one['schema'])} |"
        yield ""
    if body := operation.get("requestBody"):
        yield f"Body: {_link(body['content']['application/json']['schema'])}\n"
    for status, response in operation["responses"].items():
        if status < "400":
            content = response.get("content", {}).get("application/json")
            headers = ", ".join(f"`{name}`" for name in response.get("headers", {}))
            body = f" Body: {_link(content['schema'])}." if content else ""
            yield f"- {status}: {response['description']}{body}{f' Headers: {headers}.' if headers else ''}"
    yield ""


def _body(name: str, schema: Json) -> Iterator[str]:
    yield f"### {name}\n"
    if text := _words(schema):
        yield f"{text}\n"
    if "enum" in schema:
        yield f"One of {', '.join(f'`{one}`' for one in schema['enum'])}.\n"
        return
    yield "| field | type | meaning |\n|---|---|---|"
    required = schema.get("required", ())
    for field, of in schema["properties"].items():
        yield f"| {f'**`{field}`**' if field in required else f'`{field}`'} | {_type(of)} | {_meaning(of, of)} |"
    yield ""


def _type(schema: Json) -> str:
    if "$ref" in schema:
        return _link(schema)
    if "anyOf" in schema:
        return " or ".join(_type(one) for one in schema["anyOf"])
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}"
    return str(schema.get("format") or schema.get("type", "any"))


def _link(schema: Json) -> str:
    name = schema["$ref"].rpartition("/")[2]
    return f"[{name}](#{name.lower()})"


def _meaning(described: Json, schema: Json) -> str:
    inner: Json = next((one for one in schema.get("anyOf", ()) if one.get("type") != "null"), {})
    parts = [_words(described) or _words(inner)]
    values = schema.get("enum") or inner.get("enum") or schema.get("items", {}).get("enum") or ()
    if 0 < len(values) <= _LARGEST_LISTED:
        parts.append(f"One of {', '.join(f'`{one}`' for one in values)}.")
    default = schema.get("default")
    if default not in (None, "", []) and "default" not in parts[0].lower():
        shown = ",".join(default) if isinstance(default, list) else str(default).lower()
        parts.append(f"Default: `{shown}`.")
    return " ".join(part for part in parts if part)


def _words(schema: Json) -> str:
    return " ".join(schema.get("description", "").split()).replace("|", "\\|")
