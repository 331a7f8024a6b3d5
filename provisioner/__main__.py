# ruff: noqa: T201 - usage, before there is a log
"""`python -m provisioner secrets` and `python -m provisioner volumes`: one process, one privilege."""

import os
import sys
from collections.abc import Sequence

from sutler import process
from sutler.errors import SutlerError

USAGE = "usage: python -m provisioner {secrets,volumes} [--help] [--FLAG VALUE]..."
USAGE_ERROR = 2


def main(arguments: Sequence[str]) -> int:
    # Imported only when needed: the secrets controller runs where there is no Ceph, and must never be able to use it.
    match arguments:
        case ["secrets", *rest]:
            from provisioner.secrets.process import SecretsSettings  # noqa: PLC0415
            from provisioner.secrets.process import main as secrets  # noqa: PLC0415

            chosen = SecretsSettings.from_arguments(rest, program="provisioner secrets")
            return process.run(lambda: secrets(chosen), settings=chosen)
        case ["volumes", *rest]:
            return _volumes(rest)
        case ["-h" | "--help"]:
            print(USAGE)
            return 0
    print(USAGE, file=sys.stderr)
    return USAGE_ERROR


def _volumes(arguments: Sequence[str]) -> int:
    try:
        from provisioner.volumes.process import VolumesSettings  # noqa: PLC0415
        from provisioner.volumes.process import main as volumes  # noqa: PLC0415
    except SutlerError as error:  # a missing rados or rbd
        print(f"provisioner volumes: {error}", file=sys.stderr)
        return 1
    settings = VolumesSettings.from_arguments(arguments, program="provisioner volumes")
    status = process.run(lambda: volumes(settings), settings=settings)
    sys.stderr.flush()
    # Not the interpreter's own way out: librados aborts when it is torn down while a call still waits for Ceph.
    os._exit(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
