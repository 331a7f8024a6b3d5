"""`kubectl_complete-sutler`: completion of `kubectl sutler`, by kubectl's protocol for plugins.

kubectl 1.26 and newer runs this program with the words after `kubectl sutler`. The last one is the word to complete,
and may be empty. kubectl reads one candidate per line, and on the last line a directive.
"""

import io
import os
import shlex
import sys
from contextlib import redirect_stdout, suppress

from sutler.cli.main import app
from sutler.cli.output import print_line

_NO_FILES = ":4"
"""The candidates are complete: kubectl's shell adds no names of files."""
_DEFAULT = ":0"


def main() -> None:
    words = sys.argv[1:] or [""]
    os.environ["_SUTLER_COMPLETE"] = "complete_bash"
    os.environ["COMP_WORDS"] = shlex.join(["sutler", *words[:-1]]) + f" {words[-1]}"
    os.environ["COMP_CWORD"] = str(len(words))
    sys.argv = ["sutler"]
    found = io.StringIO()
    with redirect_stdout(found), suppress(SystemExit):
        app(prog_name="sutler")
    lines = found.getvalue().split()
    print_line("\n".join([*lines, _NO_FILES if lines else _DEFAULT]))
