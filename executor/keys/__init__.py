"""Ed25519 keys: who signs, whom a signature is believed from, and how that changes over time."""

from executor.keys.ring import ISSUER, ROLES, KeyRing, RegisteredKey, Role, Trust, TrustedKey, parse_role
from executor.keys.signer import ALGORITHM, ProgramSigner, SeedSigner, Signer, key_id, parse_public, signature_fits
from executor.keys.store import KeyStore, Rotation

__all__ = [
    "ALGORITHM",
    "ISSUER",
    "ROLES",
    "KeyRing",
    "KeyStore",
    "ProgramSigner",
    "RegisteredKey",
    "Role",
    "Rotation",
    "SeedSigner",
    "Signer",
    "Trust",
    "TrustedKey",
    "key_id",
    "parse_public",
    "parse_role",
    "signature_fits",
]
