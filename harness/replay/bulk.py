"""Decisions in bulk: an OPA that holds a policy directory and one rule more, which maps the decision over a batch.

Only what the running system would take for a decision counts: an input that does not fit the directory's own schema, an
undefined, failing or misshapen answer is `malformed`, which denies.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

import requests

from executor.clock import Clock, SystemClock
from executor.errors import InvalidInputError, OutsideError
from executor.policy import OpaServer, find_opa, load_bundle
from executor.policy.client import UnixOpaClient
from executor.policy.decision import MalformedDecisionError, parse_decision
from executor.policy.schema import InputSchema
from harness.policydir import OpaTool
from harness.replay.brief import denials_stand_alone
from harness.replay.memo import Memo
from harness.replay.reads import reads_module

BATCH_DEADLINE_S: Final = 120.0
"""For one batch; measured: 500 rows in under a second."""
ROW_DEADLINE_S: Final = 10.0
"""For one row asked alone, because its batch failed."""
RULE: Final = Path(__file__).with_name("bulk.rego")
PACKAGE: Final = "cordon/replay_bulk"
READS: Final = "cordon/replay_reads"

KEYS: Final = frozenset({"allow", "reasons", "grants", "obligations", "risk", "policy_digest"})
"""Of a decision, DESIGN 5.1; one with others, or without one of them, is none."""
BRIEF_KEYS: Final = frozenset({"allow", "reasons"})

Answer = dict[str, Any]
"""A decision as OPA gives it (DESIGN 5.1), or `malformed(cause)`."""


def malformed(cause: str) -> Answer:
    """The answer where there is none; `cause` as the policy engine names it."""
    return {
        "allow": False,
        "verdict": "malformed",
        "reasons": [{"code": f"policy.{cause}", "msg": cause, "remedy": ""}],
    }


def check_shape(answer: Answer) -> Answer:
    """`answer`, or `malformed` when the executor would not take it for a decision."""
    try:
        parse_decision(answer)
    except MalformedDecisionError:
        return malformed("garbage")
    return answer


def is_brief(answer: Answer) -> bool:
    """Whether this is a denial with its reasons alone."""
    return answer.keys() == BRIEF_KEYS


class BulkDecider:
    """One OPA with the policies of one directory. One thread at a time."""

    def __init__(self, policies: Path, *, clock: Clock | None = None, memo: Memo | None = None) -> None:
        """Start it; raises `PolicyUnavailableError` when OPA does not take the policies.

        Without a `memo`, to be shared only by those with the same policies, every input is asked.
        """
        bundle = load_bundle(policies)
        self.digest: Final = bundle.digest
        self._schema = InputSchema(bundle.input_schema)
        with tempfile.TemporaryDirectory(prefix="cordon-replay-") as scratch:
            root = Path(scratch)
            _write(root, bundle.files)
            # Asked of the copy: the directory itself may be an archive.
            opa = OpaTool(find_opa())
            self.brief: Final = denials_stand_alone(root, opa)
            reads = reads_module(root, opa) if memo is not None else None
            self._memo: Final = memo if reads is not None else None
            _write(root, {f"{PACKAGE}/bulk.rego": RULE.read_bytes()})
            if reads is not None:
                _write(root, {f"{READS}/reads.rego": reads.encode()})
            self._server = OpaServer(find_opa(), load_bundle(root), clock=clock or SystemClock())
        self._server.start()
        self._client = UnixOpaClient(self._server.socket, timeout_s=BATCH_DEADLINE_S)
        self._single = UnixOpaClient(self._server.socket, timeout_s=ROW_DEADLINE_S)

    def answers(self, inputs: Sequence[Mapping[str, Any]], *, brief: bool = False) -> list[Answer]:
        """One answer for each input, in order; with `brief`, denials may hold reasons only (where `self.brief`).

        Raises `OutsideError` when OPA is gone.
        """
        rule = "brief_answers" if brief and self.brief else "answers"
        fits = [self._fits(document) for document in inputs]
        asked = iter(self._recall_or_ask([one for one, good in zip(inputs, fits, strict=True) if good], rule))
        return [next(asked) if good else malformed("input_invalid") for good in fits]

    def close(self) -> None:
        """Stop OPA; a second call is silent."""
        self._client.close_connection()
        self._single.close_connection()
        self._server.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def _fits(self, document: Mapping[str, Any]) -> bool:
        try:
            self._schema.validate(document)
        except InvalidInputError:
            return False
        return True

    def _recall_or_ask(self, inputs: Sequence[Mapping[str, Any]], rule: str) -> list[Answer]:
        """Answers to inputs that fit, from memory where an input was asked that had to be answered alike."""
        memo = self._memo
        if memo is None:
            return self._ask(inputs, rule)
        brief = rule != "answers"
        keys = [memo.key(document) for document in inputs]
        again = [number for number, known in enumerate(memo.again(keys)) if known]
        reads = dict(zip(again, self._reads([inputs[number] for number in again]), strict=True))
        answers: dict[int, Answer] = {}
        first: dict[tuple[bytes, str], int] = {}
        """Of inputs in this batch that will be answered alike, the one that is asked."""
        todo = []
        for number, key in enumerate(keys):
            look = reads.get(number)
            if look and (known := memo.recall(key, look, brief=brief)) is not None:
                answers[number] = known
            elif not look or first.setdefault((key, look), number) == number:
                todo.append(number)
        for number, answer in zip(todo, self._ask([inputs[number] for number in todo], rule), strict=True):
            answers[number] = answer
            if look := reads.get(number):
                memo.keep(keys[number], look, answer, brief=brief)
        return [answers[n] if n in answers else dict(answers[first[key, reads[n]]]) for n, key in enumerate(keys)]

    def _reads(self, inputs: Sequence[Mapping[str, Any]]) -> list[str]:
        """What the rules that look at what varies say of each input, as a digest; empty texts when they fail."""
        if not inputs:
            return []
        try:
            rows = self._client.query_rule({"rows": list(inputs)}, READS, "answers")["result"]
        except (requests.RequestException, json.JSONDecodeError, KeyError, TypeError) as error:
            if not self._server.alive():
                raise OutsideError(f"OPA ended during the replay: {type(error).__name__}") from error
            return [""] * len(inputs)
        return rows if len(rows) == len(inputs) and all(isinstance(row, str) for row in rows) else [""] * len(inputs)

    def _ask(self, inputs: Sequence[Mapping[str, Any]], rule: str) -> list[Answer]:
        """Answers of one request; halves of the batch one after the other when it fails as a whole."""
        if not inputs:
            return []
        client = self._single if len(inputs) == 1 else self._client
        try:
            body = client.query_rule({"rows": list(inputs)}, PACKAGE, rule)
            rows = body["result"]
        except requests.Timeout:
            cause = "timeout"
        except requests.HTTPError as error:
            cause = "conflict" if error.response is not None and "conflict" in error.response.text else "error"
        except (requests.RequestException, json.JSONDecodeError, KeyError, TypeError) as error:
            if not self._server.alive():
                raise OutsideError(f"OPA ended during the replay: {type(error).__name__}") from error
            cause = "error"
        else:
            return [_only(row) for row in rows]
        if len(inputs) == 1:
            return [malformed(cause)]
        middle = len(inputs) // 2
        return [*self._ask(inputs[:middle], rule), *self._ask(inputs[middle:], rule)]


def _write(root: Path, files: Mapping[str, bytes]) -> None:
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)


def _only(row: list[Answer]) -> Answer:
    """The one decision of a row; undefined leaves none."""
    if not row:
        return malformed("undefined")
    answer = row[0]
    shaped = (
        isinstance(answer, dict)
        and (answer.keys() == KEYS or (answer.keys() == BRIEF_KEYS and not answer["allow"]))
        and isinstance(answer["allow"], bool)
        and _coded(answer["reasons"])
    )
    return answer if shaped else malformed("garbage")


def _coded(reasons: object) -> bool:
    return isinstance(reasons, list) and all(
        isinstance(reason, dict) and isinstance(reason.get("code"), str) for reason in reasons
    )
