"""`sutler volumes` as a storage admin runs it."""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests import inprocess


@dataclass(frozen=True)
class Ran:
    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Sutler:
    kubeconfig: Path
    environ: dict[str, str] = field(default_factory=dict)
    """Where the REST API is, and who asks; empty: there is none."""

    def __call__(self, *words: str, kubeconfig: Path | None = None, **environ: str) -> Ran:
        own = {"KUBECONFIG": str(kubeconfig or self.kubeconfig), "COLUMNS": "120"}
        env = {**os.environ, **own, **self.environ, **environ}
        ran = Ran(*inprocess.command(*words, environ=env))
        assert "Traceback" not in ran.err, ran.err
        assert "a defect in Sutler" not in ran.err, ran.err
        return ran
