"""`cordon keys`: make, list, rotate, register and retire keys. Private keys are never printed."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final

from cordon.terminal import print_json, table
from executor.clock import SystemClock, rfc3339
from executor.keys import ROLES, KeyRing, KeyStore, parse_role
from executor.paths import state_dir
from executor.svf import SvfLog

HELP: Final = "make, list, rotate, register and retire signing keys"
AGENTS: Final = ("cp14", "cp18")
"""Agents whose cosigning keys are made together with the issuer's."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("init", help="make the issuer's first key and those of cp14 and cp18")
    actions.add_parser("list", help="show every key and when the next rotation is due")
    actions.add_parser("rotate", help="sign with a new key; the current one stays trusted, the one before is retired")
    register = actions.add_parser("register", help="register a cosigner's public key, or make one that is kept here")
    register.add_argument("role", choices=ROLES)
    register.add_argument("holder", help="whose key it is, for example ada, cp14, architect")
    source = register.add_mutually_exclusive_group(required=True)
    source.add_argument("--public", metavar="HEX", help="64 hex digits; the private key stays with its holder")
    source.add_argument(
        "--generate", action="store_true", help="make a key; its private half is kept in the key folder"
    )
    curve = actions.add_parser("curve", help="make a CURVE pair: the service's, a client's or an operator's")
    curve.add_argument("name", help="whose it is, for example bridge, control, cbo")
    retire = actions.add_parser("retire", help="trust a key no longer")
    retire.add_argument("kid", help="key id, from `cordon keys list`")
    for action in actions.choices.values():
        action.add_argument("--json", action="store_true", help="as JSON")
    parser.epilog = (
        "examples:\n  cordon keys init\n  cordon keys list --json\n  cordon keys rotate\n"
        "  cordon keys register human ada --public 3d40...660c\n  cordon keys register persona architect --generate\n"
        "  cordon keys curve cbo\n  cordon keys retire 5f3a...09c1\n\n"
        "Every change is recorded in the audit trail before it is made."
    )


def run(args: argparse.Namespace) -> int:
    """Do one action."""
    store = KeyStore(state_dir(), SystemClock())
    actions: dict[str, Callable[[argparse.Namespace, KeyStore], None]] = {
        "init": _init,
        "list": _list,
        "rotate": _rotate,
        "register": _register,
        "retire": _retire,
        "curve": _curve,
    }
    actions[args.action](args, store)
    return 0


class _Later:
    """Holds the events of the first keys until there is a key to sign the trail's head with."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, dict[str, Any]]] = []

    def emit(self, kind: str, actor: str, *, data: Mapping[str, Any] | None = None) -> None:
        """Keep one event."""
        self.events.append((kind, actor, dict(data or {})))


def _init(args: argparse.Namespace, store: KeyStore) -> None:
    later = _Later()
    trust = store.init(later)
    for agent in AGENTS:
        store.create("agent", agent, later)
    with _trail(store) as log:
        for kind, actor, data in later.events:
            log.emit(kind, actor, data=data)
    due = rfc3339(trust.rotation_due_ns())
    said = {"current": trust.current.kid, "rotation_due": due, "agents": list(AGENTS)}
    _say(args, said, f"issuer key {trust.current.kid}; rotation is due {due[:10]}")


def _list(args: argparse.Namespace, store: KeyStore) -> None:
    ring = store.ring()
    due_ns = ring.trust.rotation_due_ns()
    overdue = SystemClock().now_ns() >= due_ns
    rows = _rows(ring)
    if args.json:
        print_json({"keys": rows, "rotation_due": rfc3339(due_ns), "rotation_overdue": overdue})
        return
    table(["kid", "role", "holder", "state", "since"], [list(row.values())[:5] for row in rows])
    if overdue:
        sys.stderr.write(f"cordon: rotation was due on {rfc3339(due_ns)[:10]}: run `cordon keys rotate`\n")


def _rows(ring: KeyRing) -> list[dict[str, str]]:
    trusted = [("current", ring.trust.current), *([("previous", ring.trust.previous)] if ring.trust.previous else [])]
    rows = [
        {
            "kid": key.kid,
            "role": "issuer",
            "holder": "cp20",
            "state": state,
            "since": rfc3339(key.since_ns),
            "public": key.public.hex(),
        }
        for state, key in trusted
    ]
    rows += [
        {
            "kid": key.kid,
            "role": key.role,
            "holder": key.holder,
            "state": "retired" if key.retired_ns else "registered",
            "since": rfc3339(key.retired_ns or key.registered_ns),
            "public": key.public.hex(),
        }
        for key in ring.registered.values()
    ]
    empty = {"role": "issuer", "holder": "cp20", "state": "retired", "since": "", "public": ""}
    return [*rows, *({"kid": kid, **empty} for kid in sorted(ring.retired))]


def _rotate(args: argparse.Namespace, store: KeyStore) -> None:
    with _trail(store) as log:
        done = store.rotate(log)
    retired = f", {done.retired} is retired" if done.retired else ""
    said = {"current": done.current, "previous": done.previous, "retired": done.retired}
    _say(args, said, f"current key {done.current}; {done.previous} stays trusted for verifying{retired}")


def _register(args: argparse.Namespace, store: KeyStore) -> None:
    role = parse_role(args.role)
    with _trail(store) as log:
        if args.generate:
            key = store.create(role, args.holder, log)
        else:
            key = store.register(role, args.holder, args.public, log)
    said = {"kid": key.kid, "role": key.role, "holder": key.holder, "public": key.public.hex()}
    _say(args, said, " ".join(said.values()))


def _retire(args: argparse.Namespace, store: KeyStore) -> None:
    with _trail(store) as log:
        store.retire(args.kid, log)
    _say(args, {"retired": args.kid}, f"{args.kid} is retired")


def _curve(args: argparse.Namespace, _: KeyStore) -> None:
    """Not a signing key and not in the audit trail: what it may do is in the service's configuration."""
    from executor.bridge.curve import FOLDER, make_pair  # noqa: PLC0415 - libzmq is needed for this action only

    pair = make_pair(state_dir(), args.name)
    said = {"file": f"{state_dir() / FOLDER / args.name}.key", "public": pair.public.decode()}
    _say(args, said, f"{said['file']}\npublic {said['public']}")


def _say(args: argparse.Namespace, said: Mapping[str, Any], words: str) -> None:
    if args.json:
        print_json(dict(said))
    else:
        sys.stdout.write(f"{words}\n")


def _trail(store: KeyStore) -> SvfLog:
    return SvfLog.open(state_dir() / "logs" / "svf_audit", SystemClock(), store.issuer())
