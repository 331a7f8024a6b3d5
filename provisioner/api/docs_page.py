"""Renders the OpenAPI document as a page of plain HTML, without scripts and foreign resources."""

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from provisioner.api.problem import ProblemKind

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><link rel="icon" href="/static/icon.svg">
<link rel="stylesheet" href="/static/page.css"></head>
<body><header><h1>{title}</h1><nav><a href="/ui">Overview</a> <a href="/docs" aria-current="page">API</a>
<a href="/openapi.json">openapi.json</a></nav></header>
<main class="docs"><nav aria-label="Contents" class="contents">{contents}</nav><div>{body}</div></main></body></html>
"""


def render(document: Mapping[str, Any]) -> str:
    operations = list(_operations(document))
    tags = dict.fromkeys(operation["tags"][0] for _, _, operation in operations)
    contents = [_link(tag) for tag in tags] + [_link("schemas"), _link("problems")]
    body = [f"<p>{_render_text(document['info']['description'])}</p>", _EXAMPLE]
    for tag in tags:
        body.append(f'<section id="{tag}"><h2>{tag.capitalize()}</h2>')
        body += [_operation(path, method, one) for path, method, one in operations if one["tags"][0] == tag]
        body.append("</section>")
    body += [_schemas(document["components"]["schemas"]), _problems()]
    return _PAGE.format(title=escape(document["info"]["title"]), contents="".join(contents), body="".join(body))


_EXAMPLE = (
    """<pre><code>curl --cacert ca.crt -H "Authorization: Bearer $TOKEN" https://HOST:8443/api/v1/pools</code></pre>"""
)


def _operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method.upper(), operation


def _link(name: str) -> str:
    return f'<a href="#{name}">{name.capitalize()}</a>'


def _operation(path: str, method: str, operation: Mapping[str, Any]) -> str:
    title = f'<span class="method {method.lower()}">{method}</span> <code>{escape(path)}</code>'
    text = f"<strong>{_render_text(operation['summary'])}.</strong> {_render_text(operation['description'])}"
    parts = [f'<article id="{operation["operationId"]}"><h3>{title}</h3><p>{text}</p>']
    if operation["parameters"]:
        parts.append(
            _table("Parameters", ("Name", "In", "Type", "Description"), map(_parameter, operation["parameters"]))
        )
    if body := operation.get("requestBody"):
        parts.append(f"<p>Body: {_type(body['content']['application/json']['schema'])}</p>")
    rows = (_response(status, response) for status, response in operation["responses"].items())
    parts.append(_table("Responses", ("Status", "Description", "Body"), rows, folded=True))
    return "".join(parts) + "</article>"


def _parameter(parameter: Mapping[str, Any]) -> tuple[str, ...]:
    name = _render_name(parameter["name"], needed=parameter["required"])
    return name, parameter["in"], _type(parameter["schema"]), _render_text(parameter["description"])


def _render_name(name: str, *, needed: bool) -> str:
    return f"<code>{escape(name)}</code>" + (" (required)" if needed else "")


def _response(status: str, response: Mapping[str, Any]) -> tuple[str, ...]:
    content: Mapping[str, Any] = next(iter(response.get("content", {}).values()), {})
    return status, _render_text(response["description"]), _type(content["schema"]) if content else ""


def _schemas(schemas: Mapping[str, Any]) -> str:
    parts = ['<section id="schemas"><h2>Schemas</h2>']
    for name, schema in schemas.items():
        rows = (_field(schema, field, property_) for field, property_ in schema.get("properties", {}).items())
        text = _render_text(schema.get("description", ""))
        parts.append(f'<article id="schema-{name}"><h3>{name}</h3><p>{text}</p>')
        parts.append(_table(name, ("Field", "Type", "Description"), rows) if "properties" in schema else "")
        parts.append("</article>")
    return "".join(parts) + "</section>"


def _field(schema: Mapping[str, Any], name: str, property_: Mapping[str, Any]) -> tuple[str, ...]:
    # Requests reject unknown fields; responses always have every field, and need no mark.
    is_request = schema.get("additionalProperties") is False
    text = _render_name(name, needed=is_request and name in schema.get("required", ()))
    return text, _type(property_), _render_text(_description(property_))


def _problems() -> str:
    rows = (
        (f'<code id="{kind.slug}">{kind.slug}</code>', str(kind.status), escape(kind.title)) for kind in ProblemKind
    )
    table = _table("Problems", ("type", "Status", "Title"), rows)
    return f'<section id="problems"><h2>Problems</h2>{table}</section>'


def _type(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f'<a href="#schema-{name}">{name}</a>'
    if "anyOf" in schema:
        return " or ".join(_type(one) for one in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(f"<code>{escape(str(value))}</code>" for value in schema["enum"])
    if "const" in schema:
        return f"<code>{escape(str(schema['const']))}</code>"
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}"
    return escape(str(schema.get("type", "anything")))


def _description(schema: Mapping[str, Any]) -> str:
    """The schema's description, or that of the first alternative that has one."""
    alternatives = schema.get("anyOf", ())
    return schema.get("description") or next((one["description"] for one in alternatives if "description" in one), "")


def _table(caption: str, heads: tuple[str, ...], rows: Any, *, folded: bool = False) -> str:
    head = "".join(f'<th scope="col">{one}</th>' for one in heads)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    table = f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    return f"<details><summary>{caption}</summary>{table}</details>" if folded else table


def _render_text(text: str) -> str:
    """The text as escaped HTML, with `code` and paragraphs."""
    pieces = escape(text).split("`")
    marked = "".join(f"<code>{piece}</code>" if index % 2 else piece for index, piece in enumerate(pieces))
    return marked.replace("\n\n", "</p><p>")
