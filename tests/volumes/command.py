"""`sutler volumes` as a storage admin runs it."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROGRAM = (sys.executable, "-c", "import sys; sys.argv[0] = 'sutler'; from sutler.cli import main; main()")


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

    def __call__(self, *words: str, kubeconfig: Path | None = None, timeout: float = 90, **environ: str) -> Ran:
        own = {"KUBECONFIG": str(kubeconfig or self.kubeconfig), "COLUMNS": "120"}
        env = {**os.environ, **own, **self.environ, **environ}
        ran = subprocess.run([*PROGRAM, *words], env=env, capture_output=True, text=True, timeout=timeout, check=False)
        assert "Traceback" not in ran.stderr, ran.stderr
        assert "a defect in Sutler" not in ran.stderr, ran.stderr
        return Ran(ran.returncode, ran.stdout, ran.stderr)
