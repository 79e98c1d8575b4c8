"""`cordon image`: build, show, verify and find the gold image that every VM starts from."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any, Final

from executor.image import agent_disk, build, gold, recipe
from executor.image.gold import GoldImage

HELP: Final = "build, show and verify the gold image and the agent disk"

_EPILOG: Final = """\
examples:
  cordon image build             build what the recipe asks for, unless the cache has it (about two minutes)
  cordon image show --json       digests, sizes, packages, capability lists
  cordon image verify            read every byte again and compare with the manifest; exit 1 when one differs
  cordon image path              the folder, for scripts
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.add_argument("action", choices=("build", "show", "verify", "path"), help="what to do")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Do `args.action`; 1 when there is no image to show, or a byte of it is wrong."""
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
