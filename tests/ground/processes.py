"""Which processes there are, for tests of what is left behind."""

from pathlib import Path


def naming(text: str) -> list[str]:
    """The command lines, of all processes on the machine, that have `text` in them."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # it has just ended
            continue
        if text in line:
            found.append(line)
    return found
