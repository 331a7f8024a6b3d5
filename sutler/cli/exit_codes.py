"""The exit codes of the commands, and the errors that end a command with them."""

from enum import IntEnum

from sutler.errors import SutlerError


class ExitCode(IntEnum):
    OK = 0
    PROBLEM = 1
    USAGE = 2
    CLUSTER = 3


EXIT_CODES = """\b
Exit status:
  0  success, no problem was found
  1  a problem was found, or the request was refused
  2  wrong usage: an option, a file or a name is invalid
  3  the cluster or the REST API is unreachable, denies access, or shows too little"""
"""Epilog of every --help. Its first line keeps the help formatter from joining the others."""

BY_API_STATUS = {
    401: ExitCode.CLUSTER,
    403: ExitCode.CLUSTER,
    422: ExitCode.USAGE,
    502: ExitCode.CLUSTER,
    503: ExitCode.CLUSTER,
    504: ExitCode.CLUSTER,
}
"""Exit status by the HTTP status of the REST API, where it is not PROBLEM."""


class UsageError(SutlerError):
    """An argument, or a file that it names, is invalid."""

    exit_code = ExitCode.USAGE


class RefusedError(SutlerError):
    """The request would cause harm or cannot be met, so the command has changed nothing for it."""

    exit_code = ExitCode.PROBLEM


class ClusterError(SutlerError):
    """The cluster is unreachable or denies access."""

    exit_code = ExitCode.CLUSTER
