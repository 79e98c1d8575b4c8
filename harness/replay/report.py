"""A replay in words: for a terminal, for a pull request (Markdown), for a program (JSON)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from cordon.terminal import one_line
from harness.replay.run import Replay
from harness.replay.tally import DIRECTIONS, Direction, Group, codes_of
from harness.report.escape import markdown_line

SCHEMA: Final = "cordon.replay/1"
MAX_MARKDOWN: Final = 60_000
"""Characters: GitHub takes 65,536 in a comment."""
TITLES: Final[dict[Direction, str]] = {
    "newly-allowed": "Newly allowed",
    "newly-denied": "Newly denied",
    "changed": "Same verdict, other reasons or obligations",
}


def shown_directions(*, changes: bool) -> tuple[Direction, ...]:
    """The directions whose groups are listed; changes without a flip only when they are asked for."""
    return DIRECTIONS if changes else DIRECTIONS[:2]


def as_json(replay: Replay) -> dict[str, Any]:
    """Everything, for programs."""
    tally = replay.tally
    return {
        "schema": SCHEMA,
        "against": replay.digest,
        "baseline": replay.baseline_digest or sorted(tally.digests),
        "decisions": tally.rows,
        "allowed": tally.allowed,
        "malformed": tally.malformed,
        **{direction.replace("-", "_"): tally.directions[direction] for direction in DIRECTIONS},
        "not_replayed": dict(replay.intake.lacking),
        "unreadable": replay.intake.shown,
        "groups": [_group_json(group) for group in tally.ordered()],
        "seconds": round(replay.seconds, 3),
    }


def _group_json(group: Group) -> dict[str, Any]:
    example = group.example
    return {
        "direction": group.direction,
        "codes": list(group.codes),
        "actor": group.actor,
        "count": group.count,
        "example": {
            "where": example.where,
            "intent_id": example.intent_id,
            "asks": example.asks,
            "input": example.input,
            "before": example.before,
            "after": example.after,
        },
    }


def summary(replay: Replay) -> str:
    """The result in a sentence."""
    counts = replay.tally.directions
    with_what = "the baseline" if replay.baseline_digest else "the recording"
    return (
        f"{replay.tally.rows} decisions, compared with {with_what}: {counts['newly-allowed']} newly allowed, "
        f"{counts['newly-denied']} newly denied, {counts['changed']} changed without a flip"
    )


def caveats(replay: Replay) -> Iterator[str]:
    """What the numbers do not cover."""
    lacking = replay.intake.lacking
    if lacking["too_long"]:
        yield f"{lacking['too_long']} inputs were recorded as a digest only (too long for an event) and not replayed"
    if lacking["malformed"]:
        yield f"{lacking['malformed']} records never had a decision (the engine was sick) and were not compared"
    if lacking["unreadable"]:
        yield f"{lacking['unreadable']} lines could not be read: {'; '.join(map(one_line, replay.intake.shown[:3]))}"
    if replay.tally.malformed:
        yield f"{replay.tally.malformed} inputs get no well-formed answer from these policies: they would be denied"


def text(replay: Replay, *, changes: bool) -> Iterator[str]:
    """Lines for a terminal."""
    for direction in shown_directions(changes=changes):
        groups = replay.tally.ordered(direction)
        if not groups:
            continue
        yield f"{TITLES[direction]}: {replay.tally.directions[direction]}"
        for group in groups:
            yield f"  {group.count:>6}  {one_line(rule_words(group))}  by {one_line(group.actor)}"
            example = group.example
            yield f"          e.g. {one_line(example.intent_id)} ({one_line(example.where)}): {one_line(example.asks)}"
            yield from (f"               {line}" for line in why(group))
        yield ""
    yield summary(replay)
    yield from (f"note: {line}" for line in caveats(replay))


def rule_words(group: Group) -> str:
    """The rules of a group: what denied and no longer does, or what denies now."""
    codes = ", ".join(group.codes) or "(nothing granted it)"
    return {"newly-allowed": f"no longer {codes}", "newly-denied": codes, "changed": codes}[group.direction]


def why(group: Group) -> Iterator[str]:
    """The reasons of the side that denies, in its words."""
    side = group.example.before if group.direction == "newly-allowed" else group.example.after
    if group.direction == "changed":
        yield f"was: {', '.join(codes_of(group.example.before)) or 'allowed'}"
    reasons = side.get("reasons")
    for reason in reasons if isinstance(reasons, list) else []:
        if isinstance(reason, dict):
            yield one_line(f"{reason.get('code')}: {reason.get('msg')}")


def markdown(replay: Replay, *, changes: bool) -> str:
    """A pull-request comment; cut, and saying so, before it is too long for one."""
    counts = replay.tally.directions
    mark = ":warning:" if counts["newly-allowed"] else ":white_check_mark:"
    parts = [f"### {mark} Policy replay\n\n{summary(replay)}.\n"]
    for direction in shown_directions(changes=changes):
        groups = replay.tally.ordered(direction)
        if groups:
            parts.append(f"\n#### {TITLES[direction]} ({counts[direction]})\n")
            parts.append("| count | rule | actor | example |\n| ---: | --- | --- | --- |")
            parts += [_markdown_row(group) for group in groups]
    parts += [f"\n> {_cell(line)}" for line in caveats(replay)]
    details = [_details(group) for group in replay.tally.ordered("newly-allowed")[:5]]
    return _within(parts, details)


def _markdown_row(group: Group) -> str:
    codes = ", ".join(f"`{_code(code)}`" for code in group.codes) or "nothing granted it"
    example = group.example
    words = f"{_cell(example.intent_id)}: {_cell(example.asks)}"
    return f"| {group.count} | {codes} | {_cell(group.actor)} | {words} |"


def _details(group: Group) -> str:
    shown = json.dumps(group.example.input, indent=1, ensure_ascii=True)[:4000].replace("```", "` ` `")
    title = f"Input of <code>{_cell(group.example.intent_id)}</code>, newly allowed"
    return f"\n<details><summary>{title}</summary>\n\n```json\n{shown}\n```\n</details>"


def _cell(value: str) -> str:
    """A requester's words in a table, cut where they are long."""
    return markdown_line(value[:200])


def _code(value: str) -> str:
    return one_line(value)[:120].replace("`", "'").replace("|", "\\|")


def _within(parts: list[str], details: list[str]) -> str:
    kept: list[str] = []
    length = 0
    for part in (*parts, *details):
        length += len(part) + 1
        if length > MAX_MARKDOWN:
            kept.append("\n*Cut here: too long for a comment. `cordon replay --format json` has it all.*")
            break
        kept.append(part)
    return "\n".join(kept) + "\n"
