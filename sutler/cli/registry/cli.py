"""`sutler registry`: registries and their credentials."""

# ruff: noqa: PLC0415 - the Kubernetes client comes with these imports, and --help does without it

import sys
from getpass import getpass
from typing import TYPE_CHECKING, Annotated

import typer

from sutler.cli.exit_codes import EXIT_CODES, ExitCode, UsageError
from sutler.cli.files import read_text
from sutler.cli.options import ClusterOptions, CommandGroup, Output, namespace_option, with_cluster
from sutler.cli.output import Format, print_result
from sutler.cli.registry import import_config, list_rows
from sutler.cli.registry.import_config import short_lived
from sutler.cli.registry.plan import RegistryRequest
from sutler.cli.registry.registry_names import RegistryServer, UnusableServerError, parse_server
from sutler.cli.registry.selectors import parse_selector
from sutler.registry.auth_entry import doubts
from sutler.registry.keyring import encode, without_user

if TYPE_CHECKING:
    from sutler.cli.exit_codes import RefusedError
    from sutler.cli.registry.add import AddResult

app = CommandGroup("Declare which registries use which credentials in which namespaces, and check the credentials.")

Namespaces = Annotated[
    str | None,
    typer.Option(
        metavar="SELECTOR",
        help="Label selector of the namespaces that get it, as in kubectl: team=a, 'team in (a,b)', since Kubernetes"
        " 1.21 also 'kubernetes.io/metadata.name in (x,y)'.  [default: every namespace]",
    ),
]

ADD_EXAMPLES = """\b
Examples:
  sutler registry add quay.io/acme --username robot
  vault read -field=password acme | sutler registry add quay.io/acme --username robot --password-stdin
  sutler registry add docker.io/acme --username acme --password-stdin --namespaces team=acme < password.txt"""


@app.command(epilog=f"{ADD_EXAMPLES}\n\n{EXIT_CODES}")
@with_cluster
def add(
    cluster: ClusterOptions,
    server: Annotated[str, typer.Argument(metavar="SERVER", help="HOST[:PORT][/PATH], such as quay.io/acme.")],
    *,
    username: Annotated[str, typer.Option("--username", "-u", metavar="NAME", help="User name for the registry.")],
    password_stdin: Annotated[
        bool,
        typer.Option("--password-stdin", help="Read the password from standard input.  [default: prompt for it]"),
    ] = False,
    name: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Name of the mapping and of the pull secret.  [default: derived from SERVER]"
        ),
    ] = None,
    namespaces: Namespaces = None,
    output: Output = Format.TABLE,
) -> None:
    """Add a registry, or give it a new password.

    The command creates a Secret with the credential in Sutler's namespace, and a RegistryMapping that copies it. From
    then on, every new Pod with an image of SERVER gets the pull secret, in the selected namespaces.

    To rotate a credential, run it again for the same SERVER: it replaces user name and password, also in all copies.
    """
    selector = None if namespaces is None else parse_selector(namespaces)
    registry, user = _server(server), _parse_username(username)
    request = RegistryRequest(registry.text, user, _read_password(from_stdin=password_stdin), name, selector)
    lasts = short_lived(user, registry.text, request.password)
    notes = [each for each in (registry.note, doubts(user, request.password), lasts) if each]
    added, refused = _add(cluster, [request])
    for error in refused.values():
        raise error
    lines = [added[0].as_text(), *(f"  Note: {note}" for note in notes)]
    lines.append(f"  Check it: sutler registry check {added[0].target.name}")
    print_result({**added[0].as_json(), "note": "; ".join(notes) or None}, output, "\n".join(lines))


@app.command("import")
@with_cluster
def import_(
    cluster: ClusterOptions,
    file: Annotated[
        str,
        typer.Argument(
            metavar="CONFIG.JSON",
            help="~/.docker/config.json, podman's auth.json, .dockercfg, or a Secret's manifest; - for stdin.",
        ),
    ],
    *,
    namespaces: Namespaces = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be imported, and import nothing.")
    ] = False,
    output: Output = Format.TABLE,
) -> None:
    """Import the registries of a docker config into the cluster.

    Each is imported as by `sutler registry add`. Entries that cannot be imported are listed with the reason, such as a
    password in a credential helper (credHelpers, credsStore), a token that only docker can use, a malformed entry, a
    key that matches no image, or a name or Secret that is taken. The exit status is then 1; the others are imported.
    """
    selector = None if namespaces is None else parse_selector(namespaces)
    found = import_config.parse_import(read_text(file), file)
    requests = [
        RegistryRequest(each.server, each.entry.username, each.entry.password, None, selector) for each in found.entries
    ]
    added: list[AddResult] = []
    if requests and not dry_run:
        added, refused = _add(cluster, requests)
        found = found.without({server: str(error) for server, error in refused.items()})
    text = import_config.as_text(found, {each.server: each.as_text() for each in added})
    print_result(import_config.as_json(found, [each.as_json() for each in added]), output, text)
    if found.skipped:
        raise typer.Exit(ExitCode.PROBLEM)


@app.command("list")
@with_cluster
def list_registries(
    cluster: ClusterOptions,
    *,
    output: Output = Format.TABLE,
) -> None:
    """List the registries, and whether their Secrets are copied."""
    from sutler.cli.common_reads import list_mappings

    rows = [list_rows.as_json(mapping) for mapping in cluster.run(list_mappings)]
    print_result(rows, output, list_rows.as_text(rows))


@app.command()
@with_cluster
def check(
    cluster: ClusterOptions,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME", help="Mappings to check.  [default: all]", show_default=False),
    ] = None,
    *,
    image: Annotated[
        str | None, typer.Option(metavar="IMAGE", help="Also check that this image can be pulled.")
    ] = None,
    namespace: Annotated[
        str | None, namespace_option("Check the pull secret in this namespace.  [default: the source Secret]")
    ] = None,
    plain_http: Annotated[
        bool, typer.Option("--plain-http", help="Use HTTP without TLS. Passwords are sent in clear text.")
    ] = False,
    ca_file: Annotated[
        str | None, typer.Option(metavar="PATH", help="Additional CA certificates (PEM) for registries.")
    ] = None,
    output: Output = Format.TABLE,
) -> None:
    """Log in to the registries with the stored credentials.

    The command logs in as a node does: GET /v2/, then Basic authentication or the Bearer token flow. The registry must
    be reachable from this machine. No credential is printed. None is sent without TLS, except with --plain-http or to a
    registry on this machine.
    """
    from sutler.cli.registry import check

    options = check.CheckOptions(names or [], image, namespace, plain_http, ca_file)
    found = cluster.run(lambda client: check.check(client, options, cluster.own_namespace))
    print_result([each.as_json() for each in found], output, check.as_text(found))
    if any(each.works is False or each.is_unreachable for each in found):
        raise typer.Exit(ExitCode.PROBLEM)


@app.command()
@with_cluster
def remove(
    cluster: ClusterOptions,
    names: Annotated[list[str], typer.Argument(metavar="NAME", help="Mappings, from `sutler registry list`.")],
    *,
    output: Output = Format.TABLE,
) -> None:
    """Remove registries: their mappings and their Secrets.

    The copies in the namespaces are deleted, too. Source Secrets that `sutler registry add` did not create are kept.
    """
    from sutler.cli.registry import remove

    removed = cluster.run(lambda client: remove.remove(client, names, cluster.own_namespace))
    print_result([each.as_json() for each in removed], output, "\n".join(each.as_text() for each in removed))


def _add(cluster: ClusterOptions, requests: list[RegistryRequest]) -> "tuple[list[AddResult], dict[str, RefusedError]]":
    from sutler.cli.registry.add import add_all

    return cluster.run(lambda client: add_all(client, requests, cluster.own_namespace))


def _server(text: str) -> RegistryServer:
    if without_user(text) != text:
        raise UsageError(
            "SERVER must not contain a user name or a password: use --username and --password-stdin. The shell's "
            "history has what was typed, so change that password"
        )
    try:
        return parse_server(text)
    except UnusableServerError as error:
        raise UsageError(str(error)) from error


def _parse_username(text: str) -> bytes:
    """The error does not quote the name: with a colon in it, it most likely contains the password."""
    if ":" in text:
        raise UsageError(
            "--username contains a colon, which Basic authentication does not allow: pass the password separately"
        )
    if not text.strip() or not text.isprintable():
        raise UsageError("--username is empty or contains unprintable characters")
    return encode(text)


def _read_password(*, from_stdin: bool) -> bytes:
    """Reads standard input or a prompt, never an argument: every user of a machine can read those."""
    if from_stdin:
        password = sys.stdin.buffer.read().rstrip(b"\r\n")
    elif sys.stdin.isatty():
        # The prompt appears after echo is off: what is typed at once is neither lost nor shown.
        password = getpass("Password: ").encode()
    else:
        raise UsageError(
            "there is no terminal to prompt for the password: pass it on standard input with --password-stdin"
        )
    if not password.strip():
        raise UsageError("the password is empty")
    return password
