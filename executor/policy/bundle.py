"""Policies as an OPA bundle: read once, digested, stamped with their digest, optionally signed.

What is loaded is always a bundle held in memory, so that what was digested, verified and loaded are the same bytes.
The digest covers every source file by path and content; tests are not part of it and are never loaded.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

import rfc8785

from executor.errors import PolicyUnavailableError
from executor.policy.schema import INPUT_SCHEMA_FILE

MANIFEST: Final = ".manifest"
SIGNATURES: Final = ".signatures.json"
STAMP: Final = "cordon/stamp/data.json"
LARGEST_BYTES: Final = 16 * 1024 * 1024
"""Of all policy files together: far above what people write, far below what hurts."""
_SIGN_TIMEOUT_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Verification:
    """How a signature is checked: `key` is the public key's PEM file (or an HMAC secret's), `alg` as OPA names it."""

    key: Path
    alg: str = "ES256"


@dataclass(frozen=True, slots=True)
class Bundle:
    """One set of policies. `files` are the sources; `archive` is what OPA loads: the sources and the stamp."""

    files: Mapping[str, bytes]
    digest: str
    archive: bytes
    signed: bool = False

    @property
    def modules(self) -> tuple[bytes, ...]:
        """Every Rego module that OPA must have after loading, sorted."""
        return tuple(sorted(content for path, content in self.files.items() if path.endswith(".rego")))

    @property
    def input_schema(self) -> dict[str, Any]:
        """The JSON Schema of the input that these policies judge; raises `PolicyUnavailableError` without one."""
        try:
            schema = json.loads(self.files[INPUT_SCHEMA_FILE.as_posix()])
        except (KeyError, ValueError) as error:
            raise PolicyUnavailableError(f"the policies have no readable {INPUT_SCHEMA_FILE}") from error
        if not isinstance(schema, dict):
            raise PolicyUnavailableError(f"{INPUT_SCHEMA_FILE} is not an object")
        return schema


def load_bundle(source: Path) -> Bundle:
    """The bundle of `source`: a directory of policies, or an archive that `write_bundle` made.

    Raises `PolicyUnavailableError` when it cannot be read or holds what no bundle may hold.
    """
    try:
        return _from_archive(source.read_bytes()) if source.is_file() else _from_directory(source)
    except OSError as error:
        raise PolicyUnavailableError(f"cannot read the policies in {source}: {error.strerror or error}") from error
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, ValueError) as error:
        raise PolicyUnavailableError(f"{source} is not a policy bundle: {error}") from error


def write_bundle(source: Path, target: Path) -> Bundle:
    """Pack the directory `source` into the archive `target`, unsigned."""
    bundle = load_bundle(source)
    target.write_bytes(bundle.archive)
    return bundle


def sign_bundle(opa: Path, source: Path, target: Path, *, key: Path, alg: str = "ES256") -> Bundle:
    """Pack the directory `source` into `target`, signed by OPA with the private key in the PEM file `key`."""
    bundle = load_bundle(source)
    with tempfile.TemporaryDirectory(prefix="cordon-sign-") as scratch:
        root = Path(scratch) / "bundle"
        packed = _packed(bundle.files, bundle.digest)
        for path, content in packed.items():
            place = root / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
        # From inside, or the names in the signature would begin with the scratch directory's.
        command: list[str | Path] = [
            opa,
            "sign",
            "--bundle",
            ".",
            "--signing-key",
            key.absolute(),
            "--signing-alg",
            alg,
        ]
        command += ["--output-file-path", scratch]
        answer = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=_SIGN_TIMEOUT_S, check=False)
        if answer.returncode:
            raise PolicyUnavailableError(f"the bundle cannot be signed: {answer.stderr.strip()}")
        signatures = (Path(scratch) / SIGNATURES).read_bytes()
    archive = _archive({**packed, SIGNATURES: signatures})
    target.write_bytes(archive)
    return Bundle(bundle.files, bundle.digest, archive, signed=True)


def digest_of(files: Mapping[str, bytes]) -> str:
    """`sha256:<hex>` over paths and contents, in canonical JSON."""
    listing = {path: hashlib.sha256(content).hexdigest() for path, content in files.items()}
    return f"sha256:{hashlib.sha256(rfc8785.dumps(listing)).hexdigest()}"


def is_source(path: str) -> bool:
    """True for a file that takes part in decisions: Rego that is no test, data, the manifest, the input's schema."""
    name = PurePosixPath(path).name
    if name.endswith(".rego"):
        return not name.endswith("_test.rego")
    return name in {"data.yaml", "data.json"} or path in {MANIFEST, INPUT_SCHEMA_FILE.as_posix()}


def _from_directory(root: Path) -> Bundle:
    if not root.is_dir():
        raise PolicyUnavailableError(f"no policies at {root}: not a directory")
    files: dict[str, bytes] = {}
    total = 0
    for place in sorted(root.rglob("*")):
        path = place.relative_to(root).as_posix()
        if not is_source(path) or any(part.startswith(".") for part in path.split("/")[:-1]):
            continue
        if place.is_symlink() or not place.is_file():
            raise PolicyUnavailableError(f"{place} is not an ordinary file; policies are not linked in")
        files[path] = place.read_bytes()
        total += len(files[path])
        if total > LARGEST_BYTES:
            raise PolicyUnavailableError(f"the policies in {root} are larger than {LARGEST_BYTES} bytes")
    return _made_of(files)


def _made_of(files: dict[str, bytes]) -> Bundle:
    if reserved := sorted(path for path in files if path.startswith("cordon/stamp/")):
        raise PolicyUnavailableError(f"policies may not define {reserved[0]}: cordon/stamp is set at load")
    if not any(path.endswith(".rego") for path in files):
        raise PolicyUnavailableError("there is no policy: no .rego file")
    manifest = json.loads(files.get(MANIFEST, b"{}"))
    if not isinstance(manifest, dict):
        raise PolicyUnavailableError(f"{MANIFEST} is not an object")
    files[MANIFEST] = _source_manifest(manifest)
    digest = digest_of(files)
    return Bundle(files, digest, _archive(_packed(files, digest)))


def _packed(files: Mapping[str, bytes], digest: str) -> dict[str, bytes]:
    manifest = {**json.loads(files[MANIFEST]), "revision": digest, "roots": ["cordon"]}
    stamp = {"digest": digest}
    return {**files, MANIFEST: json.dumps(manifest).encode(), STAMP: json.dumps(stamp).encode()}


def _archive(files: Mapping[str, bytes]) -> bytes:
    """A tar.gz with nothing in it that varies: same files, same bytes."""
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0, compresslevel=1) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for path in sorted(files):
            member = tarfile.TarInfo(path)
            member.size = len(files[path])
            member.mode = 0o444
            tar.addfile(member, io.BytesIO(files[path]))
    return buffer.getvalue()


def _from_archive(archive: bytes) -> Bundle:
    """The bundle in `archive`, kept byte for byte: a signature covers it. What it says of itself is checked."""
    packed: dict[str, bytes] = {}
    total = 0
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
        for member in tar:
            path = member.name.removeprefix("./").removeprefix("/")
            total += member.size
            if not member.isfile() or path in packed or ".." in path.split("/"):
                raise PolicyUnavailableError(f"the bundle holds {member.name!r}, which is no plain file of its own")
            if total > LARGEST_BYTES:
                raise PolicyUnavailableError(f"the bundle unpacks to more than {LARGEST_BYTES} bytes")
            content = tar.extractfile(member)
            packed[path] = content.read() if content else b""
    files = {path: content for path, content in packed.items() if path not in {STAMP, SIGNATURES}}
    if strange := sorted(path for path in files if not is_source(path)):
        raise PolicyUnavailableError(f"the bundle holds {strange[0]}, which is no policy")
    manifest = json.loads(packed.get(MANIFEST, b"null"))
    digest = json.loads(packed.get(STAMP, b"null"))
    if not isinstance(manifest, dict) or not isinstance(digest, dict):
        raise PolicyUnavailableError("the bundle was not made by Cordon: it has no manifest or no stamp")
    files[MANIFEST] = _source_manifest(manifest)
    computed = digest_of(files)
    if digest != {"digest": computed}:
        raise PolicyUnavailableError("the bundle's stamp does not belong to what it holds")
    return Bundle(files, computed, archive, signed=SIGNATURES in packed)


def _source_manifest(manifest: dict[str, Any]) -> bytes:
    """The manifest in the form it is digested in: without what is set at load."""
    return rfc8785.dumps({key: value for key, value in manifest.items() if key not in {"revision", "roots"}})
