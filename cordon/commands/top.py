"""`cordon top`: how a running executor stands, again and again."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from cordon.commands._bridge import add_connection, own_pair, server_key
from cordon.terminal import console, one_line, print_json, table
from executor.control.client import ControlClient
from executor.metrics.figures import flat

if TYPE_CHECKING:
    from rich.table import Table

HELP: Final = "show how a running executor stands, live"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_connection(parser, control=True)
    parser.add_argument("--every", type=float, default=1.0, metavar="S", help="seconds between two looks; default 1")
    parser.add_argument("--once", action="store_true", help="look once")
    parser.add_argument("--json", action="store_true", help="look once, as JSON")
    parser.epilog = "examples:\n  cordon top\n  cordon top --json | jq .queue.depths\n\nCtrl-C ends it."


def run(args: argparse.Namespace) -> int:
    """Show it."""
    with ControlClient(
        args.connect, server_key=server_key(args, control=True), pair=own_pair(args, "operator")
    ) as control:
        if args.json:
            print_json(control.status())
        elif args.once or not console().is_terminal:
            table(["figure", "value"], rows(control.status()))
        else:
            _live(control, max(0.1, args.every))
    return 0


def rows(status: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What is shown of a status: how it stands first, then every number."""
    safe_mode = status["safe_mode"]
    why = f", since {safe_mode['since']} by {safe_mode['by']}: {safe_mode['why']}" if safe_mode["on"] else ""
    yield "mode", one_line(f"{status['queue']['mode']}{why}")
    yield "engine", one_line(str(status["engine"]))
    for name, value in flat({key: value for key, value in status.items() if key != "safe_mode"}):
        yield name.replace("_", " "), f"{value:g}"


def _live(control: ControlClient, every: float) -> None:
    from rich.live import Live  # noqa: PLC0415 - as in cordon.terminal: only where it is shown

    try:
        with Live(_grid(control.status()), console=console(), screen=True, auto_refresh=False) as live:
            while True:
                time.sleep(every)
                live.update(_grid(control.status()), refresh=True)
    except KeyboardInterrupt:
        return


def _grid(status: dict[str, Any]) -> Table:
    from rich import box  # noqa: PLC0415 - see _live
    from rich.table import Table  # noqa: PLC0415 - see _live

    grid = Table("figure", "value", box=box.SIMPLE_HEAD)
    for name, value in rows(status):
        grid.add_row(name, value)
    return grid
