"""The generated pages of docs/: flags, commands and metrics, and those of the modules beside this one."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import typer
from pydantic.fields import FieldInfo

from provisioner.api.settings import ApiSettings
from provisioner.secrets.settings import SecretsSettings
from provisioner.tokens.settings import TokensSettings
from provisioner.volumes.settings import VolumesSettings
from sutler.cli.exit_codes import EXIT_CODES
from sutler.cli.main import GROUPS
from sutler.settings import ProcessSettings
from tests.chart import files as chart
from tests.conftest import REPOSITORY
from tests.docs.kinds import kinds
from tests.docs.rest_endpoints import rest_endpoints
from tests.docs.symptoms import symptoms
from webhook.settings import WebhookSettings

FOLDER = REPOSITORY / "docs"
_NOTE = "<!-- Written by `python -m tests.docs`; a test fails when the code differs. -->\n"

PROCESSES: dict[str, type[ProcessSettings]] = {
    "webhook": WebhookSettings,
    "provisioner secrets": SecretsSettings,
    "provisioner volumes": VolumesSettings,
    "provisioner api": ApiSettings,
    "provisioner tokens": TokensSettings,
}
# The module that a process imports before it serves its metrics.
_MODULES = {
    "webhook": "webhook.__main__",
    "secrets": "provisioner.secrets.main",
    "volumes": "provisioner.volumes.main",
    "api": "provisioner.api.main",
    "tokens": "provisioner.tokens.main",
}
_COLLECT = """\
import importlib, json, sys
importlib.import_module(sys.argv[1])
from sutler.metrics import REGISTRY
families = []
for collector in list(REGISTRY._collector_to_names):
    for family in collector.collect():
        labels = {label for sample in family.samples for label in sample.labels}
        for declared in (collector, family):
            labels |= set(getattr(declared, "_labelnames", ()))
        families.append([family.name, family.type, family.documentation, sorted(labels - {"le"})])
print(json.dumps(families))
"""


def flags() -> str:
    common = ProcessSettings.model_fields
    parts = [
        _NOTE,
        "# Flags of the processes\n",
        "Each flag is also an environment variable; the flag overrides the variable. `--help` lists the same.\n",
        "## All processes\n",
        _table(_flag(name, field) for name, field in common.items()),
    ]
    for process, settings in PROCESSES.items():
        own = {name: field for name, field in settings.model_fields.items() if name not in common}
        parts += [f"## python -m {process}\n", _table(_flag(name, field) for name, field in own.items())]
    return "\n".join(parts)


def _flag(name: str, field: FieldInfo) -> tuple[str, ...]:
    flag = name.replace("_", "-")
    # A factory's default depends on the machine. The field's description says what it is.
    default = "" if field.default_factory or field.default is None else _default(field.default)
    return f"`--{flag}`", f"`SUTLER_{name.upper()}`", default, " ".join((field.description or "").split())


def _default(value: Any) -> str:
    return f"`{','.join(value) if isinstance(value, list) else value}`" if value != "" else ""


def _table(rows: Iterable[tuple[str, ...]]) -> str:
    lines = ["| flag | environment | default | meaning |", "|---|---|---|---|"]
    lines += [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def metrics() -> str:
    found: dict[str, tuple[str, str, list[str], list[str]]] = {}
    for process, module in _MODULES.items():
        ran = subprocess.run(
            [sys.executable, "-c", _COLLECT, module],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
            cwd=REPOSITORY,
        )
        for name, kind, text, labels in json.loads(ran.stdout):
            known = found.setdefault(name, (kind, text, labels, []))
            known[3].append(process)
    parts = [
        _NOTE,
        "# Metrics\n",
        "Each process serves these at `/metrics` on its second port (`--probe-port`), under the usual names.\n",
        "| metric | type | labels | processes | meaning |",
        "|---|---|---|---|---|",
    ]
    for name, (kind, text, labels, processes) in sorted(found.items()):
        shown = f"{name}_total" if kind == "counter" else name
        of = "all" if len(processes) == len(_MODULES) else ", ".join(processes)
        listed = ", ".join(f"`{label}`" for label in labels)
        parts.append(f"| `{shown}` | {kind} | {listed} | {of} | {text.rstrip('.')}. |")
    return "\n".join(parts) + "\n"


def commands() -> str:
    parts = [
        _NOTE,
        "# Commands\n",
        "`sutler` is also `kubectl sutler`. All commands use these exit codes:\n",
    ]
    parts.append("\n".join(f"    {line.strip()}" for line in EXIT_CODES.splitlines() if line.startswith("  ")) + "\n")
    for name, group in GROUPS.items():
        parts += list(_command(f"sutler {name}", typer.main.get_command(group.load())))
    return "\n".join(parts)


def _command(path: str, command: Any) -> Iterator[str]:
    if hasattr(command, "commands"):
        for name, below in command.commands.items():
            yield from _command(f"{path} {name}", below)
        return
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    options = [one for one in command.params if one.param_type_name == "option" and not one.hidden]
    words = [f"{one.name.upper()}{'…' if one.nargs == -1 else ''}" for one in arguments]
    yield f"## {' '.join([path, *words])}\n"
    yield " ".join((command.help or "").split("\n\n")[0].split()) + "\n"
    if options:
        yield "| option | default | meaning |"
        yield "|---|---|---|"
        for one in options:
            names = ", ".join(f"`{name}`" for name in (*one.opts, *one.secondary_opts))
            default = "" if one.default in (None, False, "") or callable(one.default) else f"`{one.default}`"
            yield f"| {names} | {default} | {' '.join((one.help or '').split())} |"
        yield ""


TABLES: dict[str, Callable[[], str]] = {
    "flags.md": flags,
    "metrics.md": metrics,
    "commands.md": commands,
    "helm-values.md": chart.table,
    "kinds.md": lambda: _NOTE + "\n" + kinds(),
    "rest-endpoints.md": lambda: _NOTE + "\n" + rest_endpoints(),
    "faq.md": lambda: _NOTE + "\n" + symptoms(),
}
