"""Which namespace a kubeconfig means when nobody names one, as kubectl does."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from sutler.kube.config import find_source

DEFAULT = "default"


def current_namespace(kubeconfig: str | None, context: str | None) -> str:
    """Of the context that is used, else `default`. What is wrong with the file is told on connecting."""
    source = find_source(kubeconfig, context)
    contexts: dict[str, Any] = {}
    current = source.context
    for path in filter(None, (source.kubeconfig or "").split(os.pathsep)):
        config = _read(Path(path).expanduser())
        current = current or config.get("current-context")
        for entry in config.get("contexts") or []:
            contexts.setdefault(entry.get("name"), entry.get("context") or {})
    return str(contexts.get(current or "", {}).get("namespace") or DEFAULT)


def _read(path: Path) -> Mapping[str, Any]:
    try:
        config = yaml.safe_load(path.read_text())
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return config if isinstance(config, Mapping) else {}
