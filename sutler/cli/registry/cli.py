"""`sutler registry`: which registries use which credential.

Each command's work is in a module of its own, imported when it is called for: with it comes the Kubernetes client.
"""

# ruff: noqa: PLC0415 - see above

import sys
from getpass import getpass
from typing import TYPE_CHECKING, Annotated

import typer

from sutler.cli.files import read_text
from sutler.cli.options import OWN_NAMESPACE, ClusterOptions, Context, Kubeconfig, Output, OwnNamespace
from sutler.cli.output import EXIT_CODES, ExitCode, Format, UsageError, emit
from sutler.cli.registry import import_config, list_rows
from sutler.cli.registry.import_config import short_lived
from sutler.cli.registry.plan import RegistryRequest
from sutler.cli.registry.registry_names import RegistryServer, UnusableServerError, server_of_key
from sutler.cli.registry.selectors import parse_selector
from sutler.registry.auth_entry import doubts
from sutler.registry.keyring import encode, without_user

if TYPE_CHECKING:
    from sutler.cli.output import RefusedError
    from sutler.cli.registry.add import AddResult

app = typer.Typer(
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    help="Say which registries use which credential, in which namespaces; see whether the credentials work.",
)

Namespaces = Annotated[
    str | None,
    typer.Option(
        metavar="SELECTOR",
        help="Namespaces that may use it, by their labels as in kubectl: team=a, 'team in (a,b)', since Kubernetes 1.21"
        " also 'kubernetes.io/metadata.name in (x,y)'.  [default: every namespace]",
    ),
]

ADD_EXAMPLES = """\b
Examples:
  sutler registry add quay.io/acme --username robot
  vault read -field=password acme | sutler registry add quay.io/acme --username robot --password-stdin
  sutler registry add docker.io/acme --username acme --password-stdin --namespaces team=acme < password.txt"""


@app.command(epilog=f"{ADD_EXAMPLES}\n\n{EXIT_CODES}")
def add(
    server: Annotated[str, typer.Argument(metavar="SERVER", help="HOST[:PORT][/PATH], such as quay.io/acme.")],
    *,
    username: Annotated[str, typer.Option("--username", "-u", metavar="NAME", help="Who logs in.")],
    password_stdin: Annotated[
        bool,
        typer.Option("--password-stdin", help="Read the password from standard input. Without this it is asked for."),
    ] = False,
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="What to call the mapping and the pull secret.  [default: after SERVER]"),
    ] = None,
    namespaces: Namespaces = None,
    output: Output = Format.TABLE,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    own_namespace: OwnNamespace = OWN_NAMESPACE,
) -> None:
    """Add a registry, or give it a new password.

    Makes a Secret with the credential in Sutler's own namespace and a RegistryMapping that copies it. From then on
    every Pod with an image of SERVER gets it, in the namespaces that are selected.

    Called again for the same SERVER it replaces user name and password: that is how one rotates. Copies follow at once.
    """
    selector = None if namespaces is None else parse_selector(namespaces)
    there, user = _server(server), _username(username)
    wanted = RegistryRequest(there.text, user, _password(from_stdin=password_stdin), name, selector)
    lasts = short_lived(user, there.text, wanted.password)
    notes = [each for each in (there.note, doubts(user, wanted.password), lasts) if each]
    added, refused = _add(ClusterOptions(kubeconfig, context, own_namespace), [wanted])
    for error in refused.values():
        raise error
    lines = [added[0].as_text(), *(f"  Note: {note}" for note in notes)]
    lines.append(f"  Try it: sutler registry check {added[0].target.name}")
    emit({**added[0].as_json(), "note": "; ".join(notes) or None}, output, "\n".join(lines))


@app.command("import", epilog=EXIT_CODES)
def import_(
    file: Annotated[
        str,
        typer.Argument(
            metavar="CONFIG.JSON",
            help="~/.docker/config.json, podman's auth.json, .dockercfg, or a Secret's manifest; - for stdin.",
        ),
    ],
    *,
    namespaces: Namespaces = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be brought, and bring nothing.")] = False,
    output: Output = Format.TABLE,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    own_namespace: OwnNamespace = OWN_NAMESPACE,
) -> None:
    """Bring the registries of a docker config into the cluster.

    Each is brought as `sutler registry add` would. What can't be brought is named with the reason: passwords that a
    credential helper keeps (credHelpers, credsStore), tokens that only docker can use, entries that can't be read, keys
    that no image can match, registries whose name or Secret is taken. Then the exit status is 1, and the others are
    brought all the same.
    """
    selector = None if namespaces is None else parse_selector(namespaces)
    found = import_config.read_import(read_text(file), file)
    wanted = [
        RegistryRequest(each.server, each.entry.username, each.entry.password, None, selector) for each in found.bring
    ]
    added: list[AddResult] = []
    if wanted and not dry_run:
        added, refused = _add(ClusterOptions(kubeconfig, context, own_namespace), wanted)
        found = found.without({server: str(error) for server, error in refused.items()})
    text = import_config.as_text(found, {each.server: each.as_text() for each in added})
    emit(import_config.as_json(found, [each.as_json() for each in added]), output, text)
    if found.leave:
        raise typer.Exit(ExitCode.PROBLEM)


@app.command("list", epilog=EXIT_CODES)
def list_registries(
    *,
    output: Output = Format.TABLE,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    own_namespace: OwnNamespace = OWN_NAMESPACE,
) -> None:
    """List the registries, and whether their Secrets are in place."""
    from sutler.cli.explain.fetch import mappings

    rows = [list_rows.as_json(mapping) for mapping in ClusterOptions(kubeconfig, context, own_namespace).run(mappings)]
    emit(rows, output, list_rows.as_text(rows))


@app.command(epilog=EXIT_CODES)
def check(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME", help="Mappings to check.  [default: all]", show_default=False),
    ] = None,
    *,
    image: Annotated[
        str | None, typer.Option(metavar="IMAGE", help="Also look whether this image could be pulled.")
    ] = None,
    namespace: Annotated[
        str | None,
        typer.Option(
            "--namespace", "-n", metavar="NAME", help="Check the Secret in this namespace.  [default: the source]"
        ),
    ] = None,
    plain_http: Annotated[
        bool, typer.Option("--plain-http", help="The registry speaks HTTP without TLS. Sends passwords in the clear.")
    ] = False,
    ca_file: Annotated[
        str | None, typer.Option(metavar="PATH", help="Certificates (PEM) that registries may also be signed by.")
    ] = None,
    output: Output = Format.TABLE,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    own_namespace: OwnNamespace = OWN_NAMESPACE,
) -> None:
    """Log in to the registries with the stored credentials.

    It does what a node does: GET /v2/, then Basic authentication or the Bearer token flow. The registry must be
    reachable from this machine. No credential is printed, and none is sent without TLS unless --plain-http says so (or
    the registry is on this machine).
    """
    from sutler.cli.registry import check

    wish = check.CheckOptions(names or [], image, namespace, plain_http, ca_file)
    cluster = ClusterOptions(kubeconfig, context, own_namespace)
    found = cluster.run(lambda client: check.check(client, wish, own_namespace))
    emit([each.as_json() for each in found], output, check.as_text(found))
    if any(each.works is False or each.unreached for each in found):
        raise typer.Exit(ExitCode.PROBLEM)


@app.command(epilog=EXIT_CODES)
def remove(
    names: Annotated[list[str], typer.Argument(metavar="NAME", help="Mappings, as `sutler registry list` names them.")],
    *,
    output: Output = Format.TABLE,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    own_namespace: OwnNamespace = OWN_NAMESPACE,
) -> None:
    """Take registries away: their mappings and their Secrets.

    The copies in the namespaces go with them. Secrets that `sutler registry add` did not make stay.
    """
    from sutler.cli.registry import remove

    cluster = ClusterOptions(kubeconfig, context, own_namespace)
    removed = cluster.run(lambda client: remove.remove(client, names, own_namespace))
    emit([each.as_json() for each in removed], output, "\n".join(each.as_text() for each in removed))


def _add(cluster: ClusterOptions, wanted: list[RegistryRequest]) -> "tuple[list[AddResult], dict[str, RefusedError]]":
    from sutler.cli.registry.add import add_all

    return cluster.run(lambda client: add_all(client, wanted, cluster.own_namespace))


def _server(text: str) -> RegistryServer:
    if without_user(text) != text:
        raise UsageError(
            "SERVER must hold no user name and no password: give them by --username and --password-stdin. What was "
            "typed stays in the shell's history, so change that password"
        )
    try:
        return server_of_key(text)
    except UnusableServerError as error:
        raise UsageError(str(error)) from error


def _username(text: str) -> bytes:
    """The name is not quoted: with a colon in it, it most likely holds the password."""
    if ":" in text:
        raise UsageError(
            "--username holds a colon, which Basic authentication can't carry: the password does not go there"
        )
    if not text.strip() or not text.isprintable():
        raise UsageError("--username is empty or holds characters that can't be printed")
    return encode(text)


def _password(*, from_stdin: bool) -> bytes:
    """Never from the command line: every user of a machine can read that."""
    if from_stdin:
        password = sys.stdin.buffer.read().rstrip(b"\r\n")
    elif sys.stdin.isatty():
        # It asks only once nothing is shown any more: what is typed at once is neither lost nor echoed.
        password = getpass("Password: ").encode()
    else:
        raise UsageError(
            "there is no terminal to ask for the password: pass it on standard input with --password-stdin"
        )
    if not password.strip():
        raise UsageError("the password is empty")
    return password
