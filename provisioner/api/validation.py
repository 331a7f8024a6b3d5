"""Parses bodies and parameters into models, or raises a problem that lists every error."""

import errno
import re
from collections.abc import Mapping
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from provisioner.api.problem import ProblemError, ProblemKind
from provisioner.api.schemas.common import FieldProblem

M = TypeVar("M", bound=BaseModel)

_LONGEST_INPUT = 80
_INTEGER = re.compile(r"-?[0-9]{1,18}")
# Texts in place of pydantic's, which would repeat the pattern, list or limit that is in `accepted`.
_MESSAGES = {
    "literal_error": "is not accepted",
    "string_pattern_mismatch": "is not accepted",
    "greater_than_equal": "is out of range",
    "less_than_equal": "is out of range",
    "too_long": "has too many items",
}
_BOOLEANS = {"true": True, "false": False}


def parse_body(model: type[M], data: bytes) -> M:
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        if any(problem["type"] == "json_invalid" for problem in error.errors(include_url=False)):
            reason = error.errors(include_url=False)[0]["msg"]
            raise ProblemError(ProblemKind.MALFORMED, f"the body is not JSON: {reason}") from None
        raise _problem_of(model, error, "body") from None


def parse_parameters(model: type[M], given: Mapping[str, str], where: str) -> M:
    """Parses the query or the path: each text is converted to the type of its field."""
    values = {name: _convert(model.model_fields.get(name), text) for name, text in given.items()}
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise _problem_of(model, error, where) from None


def _convert(field: FieldInfo | None, text: str) -> Any:
    if field is not None and field.annotation is int and _INTEGER.fullmatch(text):
        return int(text)
    if field is not None and field.annotation is bool:
        return _BOOLEANS.get(text, text)
    return text


def _problem_of(model: type[BaseModel], error: ValidationError, where: str) -> ProblemError:
    found = error.errors(include_url=False)
    problems = tuple(_field_problem(model, one, where) for one in found)
    code = next((code for one in found if (code := _errno(model, one["loc"]))), None)
    detail = "; ".join(f"{one.where}: {one.detail}" for one in problems[:5])
    accepted = next((one.accepted for one in problems if one.accepted), None)
    return ProblemError(ProblemKind.INVALID, detail, errno=code, accepted=accepted, errors=problems)


def _field_problem(model: type[BaseModel], one: Any, where: str) -> FieldProblem:
    location = one["loc"]
    pointer = f"{where}/" + "/".join(str(part) for part in location) if location else where
    field = _field(model, location)
    if one["type"] == "extra_forbidden":
        known = ", ".join(model.model_fields) or "none"
        return FieldProblem(where=pointer, detail="is unknown", accepted=f"one of: {known}")
    accepted = _annotated_field(field).description if field else None
    if one["type"] in {"missing", "value_error"} or not location:
        message = one["msg"].removeprefix("Value error, ")
    elif one["type"] in _MESSAGES and accepted:
        message = f"{_shortened(one['input'])} {_MESSAGES[one['type']]}"
    else:
        message = f"{one['msg']}, not {_shortened(one['input'])}"
    return FieldProblem(where=pointer, detail=message, accepted=accepted)


def _field(model: type[BaseModel], location: tuple[int | str, ...]) -> FieldInfo | None:
    """The innermost field at the location."""
    field: FieldInfo | None = None
    inside: Any = model
    for part in location:
        fields = getattr(inside, "model_fields", {})
        if part not in fields:
            break
        field = fields[part]
        inside = field.annotation
    return field


def _errno(model: type[BaseModel], location: tuple[int | str, ...]) -> int | None:
    """The errno of librbd for the same error, from the definition of the field."""
    field = _field(model, location)
    if field is None:
        return errno.EINVAL if not location else None
    extra = _annotated_field(field).json_schema_extra
    name = extra.get("x-errno") if isinstance(extra, dict) else None
    return getattr(errno, str(name)) if name else None


def _annotated_field(field: FieldInfo) -> FieldInfo:
    """The field itself, or for `X | None` the annotation of X."""
    if field.description is not None:
        return field
    alternatives = (getattr(one, "__metadata__", ()) for one in get_args(field.annotation))
    return next((note for notes in alternatives for note in notes if isinstance(note, FieldInfo)), field)


def _shortened(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST_INPUT else f"{text[:_LONGEST_INPUT]}…"
