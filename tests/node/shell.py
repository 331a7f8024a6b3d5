"""`sutler` as it is typed by people, and what it finds."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.cluster import ControlPlane


class Shell:
    """The platform team's."""

    def __init__(self, control_plane: ControlPlane) -> None:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self._environ = {**os.environ, "PATH": path, "KUBECONFIG": str(control_plane.kubeconfig)}

    def type(self, line: str, stdin: str = "", *, status: int = 0) -> str:
        ran = subprocess.run(
            ["bash", "-uc", line],
            env=self._environ,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ran.returncode == status, f"{line}: {ran.stdout}{ran.stderr}"
        return ran.stdout

    def doctor(self) -> dict[str, dict[str, Any]]:
        """What is amiss with what, each but once."""
        found = json.loads(self.type("sutler doctor -o json || true"))
        return {each["what"]: each for each in found}
