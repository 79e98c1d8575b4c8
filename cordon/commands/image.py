"""`cordon image`: build, show, verify and find the gold image that every VM starts from."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any, Final

from executor.errors import MisuseError
from executor.image import agent_disk, build, gold, recipe
from executor.image.gold import GoldImage
from executor.paths import runtime_dir

HELP: Final = "build, show and verify the gold image and the agent disk"

_EPILOG: Final = """\
examples:
  cordon image build             build what the recipe asks for, unless the cache has it (about two minutes)
  cordon image show --json       digests, sizes, packages, capability lists
  cordon image verify            read every byte again and compare with the manifest; exit 1 when one differs
  cordon image path              the folder, for scripts
  cordon image prune --dry-run   old images that nobody uses; without --dry-run they go, but for the latest --keep N
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.add_argument("action", choices=("build", "show", "verify", "path", "prune"), help="what to do")
    parser.add_argument("--dry-run", action="store_true", help="prune: say what would go, and leave it")
    parser.add_argument("--keep", type=_count, default=1, metavar="N", help="prune: old images to keep; default 1")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Do `args.action`; 1 when there is no image to show, or a byte of it is wrong."""
    if args.action != "prune" and (args.dry_run or args.keep != 1):
        raise MisuseError("--dry-run and --keep go with `cordon image prune`")
    if args.action == "prune":
        return _prune(args)
    image = gold.ensure_gold_image(_progress) if args.action == "build" else _cached()
    if image is None:
        _say(args, {"built": False}, "not built yet; run: cordon image build")
        return 1
    if args.action == "path":
        _say(args, {"path": str(image.manifest.parent)}, str(image.manifest.parent))
        return 0
    if args.action == "verify":
        wrong = gold.verify(image)
        _say(args, {"digest": image.digest, "wrong": wrong}, "\n".join(wrong) or f"whole: {image.digest}")
        return 1 if wrong else 0
    facts = _facts(image)
    _say(args, facts, _table(facts))
    return 0


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 0")
    return int(text)


def _prune(args: argparse.Namespace) -> int:
    """Old images nobody uses go; the recipe's own stays, and the latest others."""
    from executor.domain import prune  # noqa: PLC0415 - needs libvirt, which showing an image does not

    folder, runtime = gold.images_dir(), runtime_dir()
    current = recipe.input_digest(recipe.input_files())
    chosen = prune.choose(prune.look(folder, runtime), current=current, keep=args.keep)
    if not args.dry_run:
        prune.sweep(folder)
    gone = [
        choice.image
        for choice in chosen
        if choice.reason == "old" and (args.dry_run or prune.remove(folder, runtime, choice.image.key))
    ]
    rows = [(choice.image.key, choice.image.bytes, choice.reason, choice.image in gone) for choice in chosen]
    freed, would = sum(image.bytes for image in gone), "would go" if args.dry_run else "gone"
    names = ("key", "bytes", "reason", "gone")
    images = [dict(zip(names, row, strict=True)) for row in rows]
    lines = [f"{key[:16]}  {size / 1e6:7.1f} MB  {would if goes else reason}" for key, size, reason, goes in rows]
    lines.append(f"{len(gone)} of {len(chosen)} images {would}: {freed / 1e6:.1f} MB")
    _say(args, {"dry_run": args.dry_run, "freed_bytes": freed, "images": images}, "\n".join(lines))
    return 0


def _progress(line: str) -> None:
    # Standard error: with --json, standard output holds the answer and nothing else.
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _cached() -> GoldImage | None:
    folder = gold.images_dir() / recipe.input_digest(recipe.input_files())
    return gold.load(folder) if (folder / build.MANIFEST).is_file() else None


def _facts(image: GoldImage) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads(image.manifest.read_bytes())
    agent = agent_disk.ensure_agent_disk()
    return {
        "built": True,
        "digest": image.digest,
        "path": str(image.manifest.parent),
        "agent": {"digest": agent.digest, "path": str(agent.path)},
        **{name: manifest[name] for name in ("kernel", "cmdline", "files", "packages", "capabilities")},
    }


def _table(facts: dict[str, Any]) -> str:
    rows = [
        ("gold image", facts["digest"]),
        ("agent disk", facts["agent"]["digest"]),
        ("folder", facts["path"]),
        ("kernel", facts["kernel"]),
        ("packages", str(len(facts["packages"]))),
        *((name, f"{entry['bytes'] / 1e6:.1f} MB") for name, entry in facts["files"].items()),
        *((name, f"{len(programs)} programs") for name, programs in facts["capabilities"].items()),
    ]
    return "\n".join(f"{name:<14} {value}" for name, value in rows)


def _say(args: argparse.Namespace, facts: dict[str, Any], text: str) -> None:
    print(json.dumps(facts, indent=1, sort_keys=True) if args.json else text)  # noqa: T201 - the command's answer
