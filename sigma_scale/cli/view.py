"""The command that shows maps in a browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sigma_scale.cli.options import PATH_OR_URL

if TYPE_CHECKING:
    from sigma_scale.store import Location

__all__ = ["view"]


@click.command()
@click.argument("stores", nargs=-1, required=True, type=PATH_OR_URL)
@click.option(
    "--address",
    default="127.0.0.1",
    show_default=True,
    help="Network interface to listen on; others than this one are open to the network.",
)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port; 0: any that is free.")
@click.option("--token", metavar="TEXT", help="Token of the address, instead of a random one.")
@click.option("--no-token", is_flag=True, help="Let everyone in who reaches the port.")
@click.option(
    "--open/--no-open", "open_", default=True, show_default=True, help="Open a browser as well."
)
def view(
    stores: tuple[Location, ...],
    *,
    address: str,
    port: int,
    token: str | None,
    no_token: bool,
    open_: bool,
) -> None:
    """
    Show the maps of STORES in a browser: look, measure, embed, cluster, edit and unmix.

    STORES are stores or folders of results. Edits are saved to them at once. Ctrl-C ends the
    server.
    """
    from sigma_scale.errors import ParameterError
    from sigma_scale.gui.app.access import is_loopback
    from sigma_scale.gui.app.server import make_server

    if token is not None and (no_token or not token):
        raise ParameterError("--token takes a text, and goes without --no-token.")
    if not is_loopback(address):
        click.echo(
            f"Warning: {address} is open to the network, and what is sent is not encrypted: who "
            "sees the address can edit these maps. An SSH tunnel to 127.0.0.1 is safer.",
            err=True,
        )
    if no_token:
        click.echo(
            "Warning: without a token, every user of this machine can edit these maps.", err=True
        )
    server = make_server(
        stores, address=address, port=port, token=None if no_token else token or ""
    )
    click.echo(f"{server.address}\nCtrl-C ends the server.")
    if open_:
        click.launch(server.address)
    try:
        server.serve()
    except KeyboardInterrupt:
        click.echo("\nThe server has ended. Edits are in the stores.", err=True)
