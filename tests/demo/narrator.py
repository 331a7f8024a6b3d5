"""Prints the story on a terminal: commands, their output, and whether the result is as expected."""

import os
import shlex
import subprocess
import sys
import textwrap
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

WIDTH = 100


class StoryError(Exception):
    """A result in the story is not as expected; the text names it."""


@dataclass
class Narrator:
    """Prints chapters, explanations and commands with their output.

    `env` holds the variables of the printed commands, as if the reader had pasted the `export` lines.
    """

    env: Mapping[str, str] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)

    def chapter(self, title: str) -> None:
        elapsed = f"{time.monotonic() - self.started:4.0f} s"
        self._print("\n" + self._bold(f"━━ {title} ".ljust(WIDTH - len(elapsed) - 1, "━") + f" {elapsed}"))

    def explain(self, text: str) -> None:
        self._print(textwrap.fill(" ".join(text.split()), WIDTH))

    def run(self, line: str, *, stdin: str | None = None, fails: bool = False, show: bool = True) -> str:
        """Run one command line in a shell as a reader would; `fails` means that it is expected to fail.

        Returns its output (both streams); raises StoryError if it ends otherwise.
        """
        if show:
            self._print(self._dim("$ ") + self._bold(line))
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", line],
            input=stdin,
            env={**os.environ, **self.env},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=120,
        )
        if show and done.stdout.strip():
            self._print(done.stdout.rstrip())
        if (done.returncode != 0) != fails:
            raise StoryError(f"`{line}` ended with {done.returncode}: {done.stdout.strip()}")
        return done.stdout

    def export(self, name: str, value: str) -> None:
        """Set a variable for the commands that follow."""
        self._print(self._dim("$ ") + self._bold(f"export {name}={shlex.quote(value)}"))
        self.env = {**self.env, name: value}

    def export_output(self, name: str, line: str) -> None:
        """Set a variable to the output of a command, which is not printed: it can be a secret."""
        self._print(self._dim("$ ") + self._bold(f"export {name}=$({line})"))
        self.env = {**self.env, name: self.run(line, show=False).strip()}

    def expect(self, what: str, actual: object, wanted: object) -> None:
        """Print that the result is as expected, or raise StoryError."""
        if actual != wanted:
            raise StoryError(f"{what}: expected {wanted!r}, got {actual!r}")
        self._print(self._green("✓ ") + what)

    def failed(self, reason: object) -> None:
        self._print(self._bold("✗ ") + str(reason))

    @staticmethod
    def _print(text: str) -> None:
        print(text, flush=True)

    @staticmethod
    def _styled(code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if sys.stdout.isatty() else text

    def _bold(self, text: str) -> str:
        return self._styled("1", text)

    def _dim(self, text: str) -> str:
        return self._styled("2", text)

    def _green(self, text: str) -> str:
        return self._styled("32", text)
