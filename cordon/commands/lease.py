"""`cordon lease`: issue, verify, cosign, revoke, expire, renew, list and show leases."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from cordon.parser import count
from cordon.terminal import one_line, print_json, table
from executor import canonical
from executor.clock import SystemClock, rfc3339
from executor.errors import AuditError, InvalidInputError, LeaseRefusedError
from executor.intent import Intent
from executor.keys import KeyStore, SeedSigner, parse_role
from executor.lease import (
    MAX_LIFETIME_S,
    Cosigning,
    Facts,
    Lease,
    LeaseAuthority,
    LeaseScope,
    LeaseVerifier,
    intent_digest,
)
from executor.lease.admission import read_document
from executor.paths import state_dir
from executor.svf import SvfLog

HELP: Final = "issue, verify, cosign, revoke, expire, renew, list and show leases"
MAX_INPUT: Final = 4 << 20
"""Bytes read from a file or standard input."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    issue = actions.add_parser("issue", help="a lease for all that an intent asks for")
    issue.add_argument("intent", help="the intent's JSON file, - for standard input")
    issue.add_argument("--policy-digest", required=True, metavar="sha256:HEX", help="the policy it was decided under")
    issue.add_argument(
        "--expires", type=int, default=MAX_LIFETIME_S, metavar="SECONDS", help="its life (600, the most)"
    )
    issue.add_argument("--task", default="", metavar="ID", help="the one task that may use it")
    issue.add_argument("--uses", type=int, default=1, metavar="COUNT", help="how often it may be used (1)")
    issue.add_argument("--cosign", action="append", default=[], metavar="AGENT", help="an agent whose key is kept here")
    check = actions.add_parser(
        "verify", help="check a lease without using it; exit 1 and the reason when it is refused"
    )
    check.add_argument("lease", help="the lease's JSON file, - for standard input")
    check.add_argument("--intent", metavar="FILE", help="for this intent (without: for whatever the lease itself says)")
    check.add_argument("--policy-digest", default="", metavar="sha256:HEX", help="under this policy")
    check.add_argument("--task", default="", metavar="ID", help="for this task")
    check.add_argument("--offline", action="store_true", help="without the registry: use and revocation stay unknown")
    cosign = actions.add_parser("cosign", help="add a second signature over the same bytes")
    cosign.add_argument("lease_id")
    cosign.add_argument("role", choices=("human", "agent", "persona"))
    cosign.add_argument("holder")
    how = cosign.add_mutually_exclusive_group()
    how.add_argument("--key", type=Path, metavar="FILE", help="private key file (default: the key kept here)")
    how.add_argument("--signature", nargs=2, metavar=("KID", "HEX"), help="a signature made elsewhere")
    how.add_argument("--bytes", action="store_true", help="only print the bytes to sign")
    revoke = actions.add_parser("revoke", help="take a lease back; a command running under it is killed")
    revoke.add_argument("lease_id")
    revoke.add_argument("--why", required=True)
    revoke.add_argument("--by", default="human", help="who takes it back (human)")
    actions.add_parser("expire", help="record the ends of leases whose time is over (a running service does it itself)")
    renew = actions.add_parser("renew", help="the same permission with a new life; the old lease is revoked")
    renew.add_argument("lease_id")
    renew.add_argument("--policy-digest", required=True, metavar="sha256:HEX")
    renew.add_argument("--expires", type=int, default=MAX_LIFETIME_S, metavar="SECONDS")
    listing = actions.add_parser("list", help="the latest leases")
    listing.add_argument("--intent", default="", metavar="ID")
    listing.add_argument("-n", type=count, default=20, metavar="COUNT")
    show = actions.add_parser("show", help="one lease, and what the registry knows of it")
    show.add_argument("lease_id")
    always = (issue, renew, show)
    for action in actions.choices.values():
        action.add_argument(
            "--json", action="store_true", help="as JSON, as it is anyway" if action in always else "as JSON"
        )
    parser.epilog = """\
examples:
  cordon lease issue intent.json --policy-digest sha256:0123... --expires 120
  cordon lease verify lease.json --intent intent.json
  cordon lease verify lease.json --offline --json
  cordon lease cosign lease-0123... human ada --key ada.key
  cordon lease revoke lease-0123... --why 'wrong target'
  cordon lease expire
  cordon lease renew lease-0123... --policy-digest sha256:0123...
  cordon lease list --intent intent-1
  cordon lease show lease-0123..."""


def run(args: argparse.Namespace) -> int:
    """Do one action."""
    actions: dict[str, Callable[[argparse.Namespace, KeyStore, LeaseAuthority], int]] = {
        "issue": _issue,
        "verify": _verify,
        "cosign": _cosign,
        "revoke": _revoke,
        "expire": _expire,
        "renew": _renew,
        "list": _list,
        "show": _show,
    }
    store = KeyStore(state_dir(), SystemClock())
    authority = LeaseAuthority(state_dir(), SystemClock(), store.issuer(), store.ring)
    try:
        return actions[args.action](args, store, authority)
    finally:
        authority.close()


def _issue(args: argparse.Namespace, store: KeyStore, authority: LeaseAuthority) -> int:
    intent = Intent.parse(_read_json(args.intent), where=args.intent)
    cosigners = [Cosigning("agent", holder, store.signer_for(holder)) for holder in args.cosign]
    with _trail(store) as log:
        lease = authority.issue(
            intent,
            limits=intent.limits,
            policy_digest=args.policy_digest,
            expires_in_s=args.expires,
            task_id=args.task,
            uses=args.uses,
            cosigners=cosigners,
        )
        _record_issue(log, lease)
    sys.stdout.write(lease.document().decode() + "\n")
    return 0


def _verify(args: argparse.Namespace, store: KeyStore, authority: LeaseAuthority) -> int:
    document = _read(args.lease).rstrip(b"\n")
    registry = None if args.offline else authority.registry
    try:
        lease, _ = read_document(document)
        LeaseVerifier(store.ring, registry).verify(
            document, now_ns=SystemClock().now_ns(), facts=_facts(args, lease), consume=False
        )
    except LeaseRefusedError as refused:
        if args.json:
            print_json({"good": False, "reason": refused.reason, "message": str(refused)})
        else:
            sys.stdout.write(f"refused: {refused.reason}: {one_line(str(refused))}\n")
        return 1
    if args.json:
        print_json({"good": True, "lease_id": lease.lease_id, "expires_at": lease.expires_at, "offline": args.offline})
    else:
        sys.stdout.write(f"good until {lease.expires_at}{' (registry not asked)' if args.offline else ''}\n")
    return 0


def _facts(args: argparse.Namespace, lease: Lease) -> Facts:
    policy = args.policy_digest or lease.policy_digest
    task = args.task or lease.task_id
    if args.intent is None:
        return Facts(lease.intent_id, lease.issued_to, policy, lease.scope.commands_allowlist, lease.phase, task)
    intent = Intent.parse(_read_json(args.intent), where=args.intent)
    return Facts(
        intent.intent_id,
        intent.requester,
        policy,
        tuple(command.argv for command in intent.commands),
        intent.phase,
        task,
        tuple(intent.env),
        intent.capabilities,
        intent.scope.network,
        LeaseScope.of(intent).artefacts,
        intent_digest(intent),
    )


def _cosign(args: argparse.Namespace, store: KeyStore, authority: LeaseAuthority) -> int:
    if args.bytes:
        signed = authority.get(args.lease_id).signed_bytes().decode()
        if args.json:
            print_json({"lease_id": args.lease_id, "bytes": signed})
        else:
            sys.stdout.write(signed)
        return 0
    with _trail(store) as log:
        if args.signature:
            lease = authority.add_cosignature(args.lease_id, args.role, args.holder, *args.signature)
        else:
            signer = SeedSigner.from_file(args.key) if args.key else store.signer_for(args.holder)
            lease = authority.cosign(args.lease_id, parse_role(args.role), args.holder, signer)
        newest = lease.cosigners[-1]
        _emit(log, "lease_event.COSIGNED", args.role if args.role == "human" else args.holder, lease,
              {"role": newest.role, "id": newest.id, "kid": newest.kid})  # fmt: skip
    sys.stdout.write(lease.document().decode() + "\n")
    return 0


def _revoke(args: argparse.Namespace, store: KeyStore, authority: LeaseAuthority) -> int:
    # The registry first: a revocation counts at once, also when a running service holds the trail and records it then.
    record = authority.revoke(args.lease_id, by=args.by, why=args.why)
    try:
        with _trail(store) as log:
            authority.expire(log)
        recorded, words = True, "recorded"
    except AuditError as error:
        recorded, words = False, f"not recorded here ({one_line(str(error))}); whoever writes the trail records it"
    if args.json:
        print_json({"lease_id": record.lease_id, "state": "revoked", "recorded": recorded})
    else:
        sys.stdout.write(f"{record.lease_id} is revoked; {words}\n")
    return 0


def _expire(args: argparse.Namespace, store: KeyStore, authority: LeaseAuthority) -> int:
    with _trail(store) as log:
        ended = authority.expire(log)
    if args.json:
        print_json([{"lease_id": record.lease_id, "state": record.state(SystemClock().now_ns())} for record in ended])
    else:
        for record in ended:
            sys.stdout.write(f"{record.lease_id} {record.state(SystemClock().now_ns())}\n")
        sys.stdout.write(f"recorded: {len(ended)}\n")
    return 0


def _renew(args: argparse.Namespace, store: KeyStore, authority: LeaseAuthority) -> int:
    with _trail(store) as log:
        lease = authority.renew(args.lease_id, policy_digest=args.policy_digest, expires_in_s=args.expires)
        authority.expire(log)
        _record_issue(log, lease, renews=args.lease_id)
    sys.stdout.write(lease.document().decode() + "\n")
    return 0


def _list(args: argparse.Namespace, _: KeyStore, authority: LeaseAuthority) -> int:
    now_ns = SystemClock().now_ns()
    rows = [
        {
            "lease_id": record.lease_id,
            "intent_id": record.intent_id,
            "requester": record.requester,
            "phase": record.phase,
            "state": record.state(now_ns),
            "used": record.used,
            "expires_at": rfc3339(record.expires_ns),
        }
        for record in authority.list(intent_id=args.intent, limit=args.n)
    ]
    if args.json:
        print_json(rows)
    else:
        table(
            ["lease", "intent", "requester", "phase", "state", "used", "expires"], [list(row.values()) for row in rows]
        )
    return 0


def _show(args: argparse.Namespace, _: KeyStore, authority: LeaseAuthority) -> int:
    print_json(authority.show(args.lease_id))
    return 0


def _record_issue(log: SvfLog, lease: Lease, *, renews: str = "") -> None:
    data = {"expires_at": lease.expires_at, "kid": lease.sig.kid, **({"renews": renews} if renews else {})}
    _emit(log, "lease_event.ISSUED", "cp20", lease, data)
    for cosigner in lease.cosigners:
        said = {"role": cosigner.role, "id": cosigner.id, "kid": cosigner.kid}
        _emit(log, "lease_event.COSIGNED", cosigner.id, lease, said)


def _emit(log: SvfLog, kind: str, actor: str, lease: Lease, data: dict[str, Any]) -> None:
    # No intent id: a lease made by hand is not part of an intent's trace.
    log.emit(kind, actor, lease_id=lease.lease_id, policy_digest=lease.policy_digest, data=data)


@contextmanager
def _trail(store: KeyStore) -> Iterator[SvfLog]:
    with SvfLog.open(state_dir() / "logs" / "svf_audit", SystemClock(), store.issuer()) as log:
        yield log


def _read(name: str) -> bytes:
    if name == "-":
        return sys.stdin.buffer.read(MAX_INPUT)
    try:
        with Path(name).open("rb") as stream:
            return stream.read(MAX_INPUT)
    except OSError as error:
        raise InvalidInputError(f"cannot read {name}: {error.strerror}") from error


def _read_json(name: str) -> dict[str, Any]:
    raw = canonical.loads(_read(name), where=name)
    if not isinstance(raw, dict):
        raise InvalidInputError(f"{name}: an intent is a JSON object, not {json.dumps(raw)[:40]}")
    return raw
