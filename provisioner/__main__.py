# ruff: noqa: T201 - usage, before there is a log
"""`python -m provisioner secrets`, `volumes`, `api` and `tokens`: one process, one privilege."""

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from sutler import runtime
from sutler.errors import SutlerError

USAGE = "usage: python -m provisioner {secrets,volumes,api,tokens} [--help] [--FLAG VALUE]..."
USAGE_ERROR = 2


def main(arguments: Sequence[str]) -> int:
    # Imported only when needed: the secrets controller runs where there is no Ceph, and must never be able to use it.
    match arguments:
        case ["secrets", *rest]:
            from provisioner.secrets.main import main as secrets  # noqa: PLC0415
            from provisioner.secrets.settings import SecretsSettings  # noqa: PLC0415

            chosen = SecretsSettings.from_arguments(rest, program="provisioner secrets")
            return runtime.run(lambda: secrets(chosen), settings=chosen)
        case ["tokens", *rest]:
            from provisioner.tokens.main import main as tokens  # noqa: PLC0415
            from provisioner.tokens.settings import TokensSettings  # noqa: PLC0415

            settings = TokensSettings.from_arguments(rest, program="provisioner tokens")
            return runtime.run(lambda: tokens(settings), settings=settings)
        case ["volumes", *rest]:
            _volumes(rest)
        case ["api", *rest]:
            _api(rest)
        case ["-h" | "--help"]:
            print(USAGE)
            return 0
    print(USAGE, file=sys.stderr)
    return USAGE_ERROR


def _volumes(arguments: Sequence[str]) -> NoReturn:
    try:
        from provisioner.volumes.main import main as volumes  # noqa: PLC0415
        from provisioner.volumes.settings import VolumesSettings  # noqa: PLC0415
    except SutlerError as error:  # a missing rados or rbd
        print(f"provisioner volumes: {error}", file=sys.stderr)
        sys.exit(1)
    settings = VolumesSettings.from_arguments(arguments, program="provisioner volumes")
    _leave(runtime.run(lambda: volumes(settings), settings=settings))


def _api(arguments: Sequence[str]) -> NoReturn:
    try:
        from provisioner.api.main import main as api  # noqa: PLC0415
        from provisioner.api.settings import ApiSettings  # noqa: PLC0415
    except SutlerError as error:
        print(f"provisioner api: {error}", file=sys.stderr)
        sys.exit(1)
    settings = ApiSettings.from_arguments(arguments, program="provisioner api")
    _leave(runtime.run(lambda: api(settings), settings=settings))


def _leave(status: int) -> NoReturn:
    """Not the interpreter's own way out: librados aborts when it is torn down while a call still waits for Ceph."""
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
