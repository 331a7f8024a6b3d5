"""The options that `sutler volumes adopt` and `sutler volumes restore` share."""

from typing import Annotated, NamedTuple

import typer

from sutler.cli.options import Output, option, with_options
from sutler.cli.output import Format

_FsType = Annotated[
    str, typer.Option("--fstype", metavar="TYPE", help="Filesystem in the image.  [default: the class's]")
]
_CreateClaim = Annotated[
    bool,
    typer.Option(
        "--create-claim/--wait-for-claim",
        help="Create the claim with the image's size if it does not exist, or wait until its team creates it.",
    ),
]
_AccessMode = Annotated[str, typer.Option("--access-mode", metavar="MODE", help="Access mode of a created claim.")]
_Block = Annotated[bool, typer.Option("--block", help="Create the claim with volumeMode Block.")]
_Timeout = Annotated[
    float,
    typer.Option(
        "--timeout", metavar="SECONDS", help="Time to wait for the adoption, such as while the image is in use."
    ),
]


class AdoptOptions(NamedTuple):
    """How an image becomes the volume of a claim."""

    fstype: str
    """The filesystem in the image; empty: the class's."""
    create_claim: bool
    access_mode: str
    """Access mode of a created claim."""
    block: bool
    """A created claim has volumeMode Block."""
    timeout: float
    """Seconds."""
    output: Format


with_adopt_options = with_options(
    AdoptOptions,
    option("fstype", _FsType, ""),
    option("create_claim", _CreateClaim, default=True),
    option("access_mode", _AccessMode, "ReadWriteOnce"),
    option("block", _Block, default=False),
    option("timeout", _Timeout, 120.0),
    option("output", Output, Format.TABLE),
)
