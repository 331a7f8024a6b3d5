"""`sutler registry`: registries and their credentials."""

# ruff: noqa: PLC0415 - the Kubernetes client comes with these imports, and --help does without it

import sys
from getpass import getpass
from typing import TYPE_CHECKING, Annotated

import typer

from sutler.cli.exit_codes import EXIT_CODES, ExitCode, UsageError
from sutler.cli.files import read_text
from sutler.cli.options import ClusterOptions, CommandGroup, Output, namespace_option, with_cluster
from sutler.cli.output import Format, print_line, print_result
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
    from sutler.cli.registry.token_source import TokenChoice

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
  sutler registry add docker.io/acme --username acme --password-stdin --namespaces team=acme < password.txt
  sutler registry add 123456789012.dkr.ecr.eu-west-1.amazonaws.com --ecr --identity account:ecr-puller --role ARN
  sutler registry add acme.azurecr.io --acr --identity metadata"""

FromCloud = Annotated[bool, typer.Option(help="A password that expires, from this cloud; Sutler refreshes it.")]


@app.command(epilog=f"{ADD_EXAMPLES}\n\n{EXIT_CODES}")
@with_cluster
def add(
    cluster: ClusterOptions,
    server: Annotated[str, typer.Argument(metavar="SERVER", help="HOST[:PORT][/PATH], such as quay.io/acme.")],
    *,
    username: Annotated[
        str | None,
        typer.Option("--username", "-u", metavar="NAME", help="User name for the registry, which has a password."),
    ] = None,
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
    ecr: FromCloud = False,
    ecr_public: FromCloud = False,
    artifact_registry: FromCloud = False,
    acr: FromCloud = False,
    aliyun: FromCloud = False,
    exec_plugin: Annotated[
        str | None,
        typer.Option("--exec", metavar="PLUGIN", help="The same, from a credential provider plug-in."),
    ] = None,
    identity: Annotated[
        str | None,
        typer.Option(
            metavar="WHO",
            help="Identity in the cloud: account:NAME or secret:NAME of Sutler's namespace, web-identity,"
            " pod-identity or metadata.",
        ),
    ] = None,
    role: Annotated[str | None, typer.Option(metavar="ARN", help="Role to assume (AWS, Alibaba Cloud).")] = None,
    region: Annotated[str | None, typer.Option(metavar="NAME", help="Region.  [default: as SERVER says]")] = None,
    tenant: Annotated[str | None, typer.Option(metavar="ID", help="Tenant of Entra ID.")] = None,
    client: Annotated[
        str | None, typer.Option(metavar="ID", help="Application or managed identity of Entra ID.")
    ] = None,
    audience: Annotated[
        str | None, typer.Option(metavar="NAME", help="Workload identity provider of Google; of a plug-in's token.")
    ] = None,
    impersonate: Annotated[str | None, typer.Option(metavar="EMAIL", help="Service account of Google.")] = None,
    oidc_provider: Annotated[str | None, typer.Option(metavar="ARN", help="OIDC provider of Alibaba Cloud.")] = None,
    instance: Annotated[
        str | None, typer.Option(metavar="ID", help="Instance of Alibaba Cloud's Enterprise Edition.")
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="With a cloud: print the objects that would be created, and create nothing."),
    ] = False,
    output: Output = Format.TABLE,
) -> None:
    """Add a registry, or give it a new password.

    The command creates a Secret with the credential in Sutler's namespace, and a RegistryMapping that copies it. From
    then on, every new Pod with an image of SERVER gets the pull secret, in the selected namespaces.

    To rotate a credential, run it again for the same SERVER: it replaces user name and password, also in all copies.

    With --ecr, --acr and similar options, Sutler needs no password: the command creates a RegistryToken, and the tokens
    process fetches and refreshes the password. That needs the component tokens; docs/registries describes the cloud's
    side.
    """
    selector = None if namespaces is None else parse_selector(namespaces)
    clouds = {"ecr": ecr, "ecrPublic": ecr_public, "artifactRegistry": artifact_registry, "acr": acr, "aliyun": aliyun}
    options = {
        "--role": role,
        "--region": region,
        "--tenant": tenant,
        "--client": client,
        "--audience": audience,
        "--impersonate": impersonate,
        "--oidc-provider": oidc_provider,
        "--instance": instance,
    }
    given = {option: value for option, value in options.items() if value is not None}
    choice = _token_choice([each for each, is_wanted in clouds.items() if is_wanted], exec_plugin, identity, given)
    if choice is not None:
        if username is not None or password_stdin:
            raise UsageError("--username and --password-stdin cannot be combined with a cloud, which gives both")
        _add_token(
            cluster,
            RegistryRequest(_server(server).text, b"", b"", name, selector),
            choice,
            dry_run=dry_run,
            output=output,
        )
        return
    if given or identity or dry_run:
        named = next(iter(given), "--identity" if identity else "--dry-run")
        raise UsageError(f"{named} needs --ecr, --ecr-public, --artifact-registry, --acr, --aliyun or --exec")
    if username is None:
        raise UsageError(
            "--username is missing. Add it, or the cloud that gives the password: --ecr, --acr, --aliyun, …"
        )
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
    from sutler.cli.registry.add_token import mappings_and_tokens

    found, tokens, now = cluster.run(mappings_and_tokens)
    rows = [list_rows.as_json(mapping, tokens) for mapping in found]
    print_result(rows, output, list_rows.as_text(rows, now))


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


def _token_choice(
    clouds: list[str], plugin: str | None, identity: str | None, options: dict[str, str]
) -> "TokenChoice | None":
    """None: the password is given."""
    from sutler.cli.registry.token_source import TokenChoice

    named = [*clouds, *(["exec"] if plugin is not None else [])]
    if len(named) > 1:
        raise UsageError(f"a password comes from one place, not from {' and '.join(named)}")
    return TokenChoice(named[0], identity, options, plugin or "") if named else None


def _add_token(
    cluster: ClusterOptions, request: RegistryRequest, choice: "TokenChoice", *, dry_run: bool, output: Format
) -> None:
    from sutler.cli.registry.plan import find_target, mapping_body
    from sutler.cli.registry.token_objects import TokenObjects
    from sutler.cli.registry.token_source import checked_spec

    target = find_target(request, [])
    spec, _ = checked_spec(request.server, target.secret, choice)
    if dry_run:
        manifests = [
            *TokenObjects(target.name, cluster.own_namespace, spec).manifests(),
            mapping_body(request, target),
        ]
        if output is Format.JSON:
            print_result({"apiVersion": "v1", "kind": "List", "items": manifests}, output, "")
        else:
            import yaml

            print_line("---\n".join(yaml.safe_dump(each, sort_keys=False) for each in manifests))
        return
    from sutler.cli.registry.add_token import add_token

    done = cluster.run(lambda client: add_token(client, request, choice, cluster.own_namespace))
    print_result(done.as_json(), output, done.as_text())


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
