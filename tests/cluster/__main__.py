"""`python -m tests.cluster`: a cluster without Sutler in it, to try things on."""

import argparse
import contextlib
import shlex
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.cluster import Ceph, ClusterError, ControlPlane, Place, Registry, binaries, ceph_programs, dockerfile, go
from tests.cluster.detached import Detached, ended_by_term
from tests.cluster.node import Node

_KUBERNETES = "kubernetes"
_IMAGE = "image"
_USERS = {"UserName": "Password"}


def main() -> int:
    arguments = _parser().parse_args()
    try:
        binaries.first_on_path()
        if arguments.command == "build":
            build(arguments.part, with_node=arguments.node is not False)
        elif arguments.command == "hold":
            hold(Detached(arguments.state), wants_node=arguments.node)
        elif arguments.command == "up":
            up(Detached(arguments.state), wants_node=arguments.node)
        elif arguments.command == "down":
            print("Everything is stopped." if Detached(arguments.state).stop() else "Nothing ran.")
        else:
            return status(Detached(arguments.state))
    except (ClusterError, TimeoutError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; everything is stopped", file=sys.stderr)
        return 130
    return 0


def build(parts: Sequence[str], *, with_node: bool) -> None:
    """Put `parts` into the cache, by default all that a cluster needs."""
    if unknown := set(parts) - set(_parts()):
        raise ClusterError(f"there is no {' or '.join(sorted(unknown))} to build, only {', '.join(_parts())}")
    for part in parts or (_KUBERNETES, f"ceph-{ceph_programs.named()}"):
        kind, _, version = part.partition("-")
        if kind == "ceph":
            ceph_programs.ensured(version)
        elif kind == _KUBERNETES:
            names = [*binaries.CONTROL_PLANE, *(binaries.NODE if with_node else ())]
            built = binaries.ensured(*names, version=version or None)
            if with_node:
                built.containerd  # noqa: B018 - builds it where it has to
        elif part == _IMAGE:
            dockerfile.ensured()
        else:
            go.Testbed(part).ensured()


def _parts() -> list[str]:
    """What can be built by name."""
    kubernetes = [_KUBERNETES, *(f"{_KUBERNETES}-{version}" for version in binaries.versions())]
    others = [one for one in go.names() if not one.startswith(_KUBERNETES)]
    return [*kubernetes, *(f"ceph-{release}" for release in ceph_programs.SUITES), _IMAGE, *others]


def up(detached: Detached, *, wants_node: bool | None) -> None:
    if detached.lines is None:
        node = {True: ["--node"], False: ["--no-node"], None: []}[wants_node]
        detached.start([sys.executable, "-m", "tests.cluster", "hold", "--state", str(detached.state), *node])
    print(detached.lines)


def status(detached: Detached) -> int:
    """Exit status 0: it runs; 3: it does not (as systemctl says it)."""
    if detached.lines is None:
        print("starting" if detached.holder() else "not running")
        return 3
    print(f"running, held by process {detached.holder()}\n{detached.lines}")
    return 0


def hold(detached: Detached, *, wants_node: bool | None) -> None:
    """Be the process that has started everything and ends it at TERM."""
    with ended_by_term(), contextlib.ExitStack() as stack:
        detached.ready(_start(stack, detached.state, with_node=_can_have_node(wants_node)))
        while True:
            signal.pause()


def _can_have_node(wanted: bool | None) -> bool:
    """None: if the machine can."""
    lacks = [] if wanted is False else Node.missing()
    if lacks and wanted:
        raise ClusterError("this machine can't run a node; it lacks " + "; ".join(lacks))
    for lack in lacks:
        print(f"no node: {lack}", flush=True)
    return wanted is not False and not lacks


def _start(stack: contextlib.ExitStack, state: Path, *, with_node: bool) -> str:
    """Start everything, give its end to `stack`, and return what a user needs to know."""
    began = time.monotonic()
    place = stack.enter_context(Place.namespace() if with_node else Place.host())
    control_plane = ControlPlane(state / "kubernetes", place)
    ceph = Ceph(state / "ceph", place)
    registry = Registry(state / "registry", place, _USERS)
    parts: list[ControlPlane | Ceph | Registry | Node] = [control_plane, ceph, registry]
    if with_node:
        parts.append(Node(control_plane, state / "node", place, registries={}))
    for part in parts:
        part.start()
        stack.callback(part.stop)
        print(f"{time.monotonic() - began:5.1f} s  {type(part).__name__} runs", flush=True)
    exports = {"KUBECONFIG": control_plane.kubeconfig, "CEPH_CONF": ceph.conf}
    user, password = next(iter(_USERS.items()))
    lines = [f"export {name}={shlex.quote(str(value))}" for name, value in exports.items()]
    lines.append(f"# registry: {registry.host}, user {user}, password {password}")
    if place.prefix:
        lines.append(f"# inside its network: {shlex.join(place.prefix)} COMMAND")
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    texts = {
        "up": "start it, leave it running, print the lines to paste",
        "down": "stop it and remove its directory",
        "status": "say whether it runs",
        "hold": "be the process that holds it (what `up` starts)",
        "build": "only put what a cluster consists of into the cache",
    }
    for name, text in texts.items():
        command = commands.add_parser(name, help=text)
        if name == "build":
            command.add_argument(
                "part", nargs="*", metavar="PART", help=f"of {', '.join(_parts())}; default: what a cluster needs"
            )
        else:
            command.add_argument("--state", type=Path, required=True)
        if name not in {"down", "status"}:
            command.add_argument("--node", action=argparse.BooleanOptionalAction, help="default: if the machine can")
    return parser


if __name__ == "__main__":
    sys.exit(main())
