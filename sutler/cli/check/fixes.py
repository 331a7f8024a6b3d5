"""Commands that make a mapping's pull secret reach the Pods of a namespace. Pure: no I/O.

Foreign text in them is quoted for the shell.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from shlex import quote
from typing import Any

from sutler import well_known
from sutler.registry.selector import LabelSelector, Operator, Requirement
from sutler.typedefs import JsonMapping

Labels = Mapping[str, str]


def fix_unselected_namespace(mapping: JsonMapping, namespace: str, labels: Labels) -> Iterator[str]:
    """Makes a mapping select a namespace. `mapping` is as the API has it, `labels` are the namespace's."""
    name, selector = mapping["metadata"]["name"], mapping["spec"]["namespaceSelector"]
    lacking = [each for each in LabelSelector.parse(selector).requirements if not each.holds(labels)]
    changes = [_label(each) for each in lacking if each.key != well_known.NAMESPACE_NAME]
    of_name = [each for each in lacking if each.key == well_known.NAMESPACE_NAME]
    if of_name and well_known.NAMESPACE_NAME not in labels:  # Kubernetes before 1.21 does not set it
        changes.append(f"{well_known.NAMESPACE_NAME}={namespace}")
    if changes:
        overwrite = " --overwrite" if any(each.key in labels and each.values for each in lacking) else ""
        or_else = f"# or change its selector: kubectl edit registrymapping {name}"
        yield f"kubectl label namespace {namespace} {' '.join(map(quote, changes))}{overwrite}  {or_else}"
    if not all(each.holds({well_known.NAMESPACE_NAME: namespace}) for each in of_name):
        yield _patch(name, {"namespaceSelector": _with_name(selector, namespace)})


def fix_observe_mode(mapping: str) -> str:
    """Makes a mapping in mode Observe inject."""
    return _patch(mapping, {"mode": "Inject"})


def fix_service_account(account: str, listed: Collection[str], secret: str, namespace: str) -> str:
    """Lists the Secret in a ServiceAccount that rejects Pods with pull secrets that it does not list."""
    entry, end = {"name": secret}, "/-" if listed else ""
    patch = [{"op": "add", "path": f"/imagePullSecrets{end}", "value": entry if listed else [entry]}]
    return f"kubectl -n {namespace} patch serviceaccount {account} --type=json -p {quote(json.dumps(patch))}"


def fix_excluded_namespace(namespace: str) -> str:
    """Removes the label that excludes a namespace."""
    return f"kubectl label namespace {namespace} {well_known.EXCLUDE}-"


def _label(lacking: Requirement) -> str:
    """The change of a label that meets a requirement, as an argument of `kubectl label`."""
    match lacking.operator:
        case Operator.IN:
            return f"{lacking.key}={min(lacking.values)}"
        case Operator.EXISTS:
            return f"{lacking.key}="
        case Operator.NOT_IN | Operator.DOES_NOT_EXIST:
            return f"{lacking.key}-"


def _with_name(selector: JsonMapping, namespace: str) -> JsonMapping:
    """A merge patch that adds a namespace to a selector that selects namespaces by name."""
    labels: Labels = selector.get("matchLabels") or {}
    expressions = [_expression(each, namespace) for each in selector.get("matchExpressions") or ()]
    patch: dict[str, Any] = {}
    if well_known.NAMESPACE_NAME in labels:
        patch["matchLabels"] = {well_known.NAMESPACE_NAME: None}
        values = sorted({labels[well_known.NAMESPACE_NAME], namespace})
        expressions.append({"key": well_known.NAMESPACE_NAME, "operator": Operator.IN, "values": values})
    return {**patch, "matchExpressions": [each for each in expressions if each]}


def _expression(expression: JsonMapping, namespace: str) -> JsonMapping | None:
    """The expression for the patch; None if it is to be removed."""
    if expression["key"] != well_known.NAMESPACE_NAME:
        return expression
    values = set(expression.get("values") or ())
    match Operator(expression["operator"]):
        case Operator.IN:
            return {**expression, "values": sorted(values | {namespace})}
        case Operator.NOT_IN if values > {namespace}:
            return {**expression, "values": sorted(values - {namespace})}
        case Operator.EXISTS:
            return expression
    return None


def _patch(mapping: str, spec: JsonMapping) -> str:
    return f"kubectl patch registrymapping {mapping} --type=merge -p {quote(json.dumps({'spec': spec}))}"
