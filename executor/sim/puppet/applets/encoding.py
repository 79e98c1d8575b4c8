"""Digests and encodings."""

import base64
import hashlib

from applets.registry import each, options, program, put


@program("md5sum", "sha1sum", "sha224sum", "sha256sum", "sha384sum", "sha512sum", "b2sum", "md5sum.textutils")
def digest(argv):
    name = argv[0].rpartition("/")[2].removesuffix(".textutils")
    _, rest = options(argv, "b")
    kind = {"b2sum": "blake2b"}.get(name, name.removesuffix("sum"))
    return each(name, rest, lambda path, data: put(f"{hashlib.new(kind, data).hexdigest()}  {path}\n"))


@program("base64", "base32")
def encode(argv):
    name = argv[0].rpartition("/")[2]
    known, rest = options(argv, "di", "w")
    kind = name.removeprefix("base")

    def work(_path, data):
        if "d" in known:
            put(getattr(base64, f"b{kind}decode")(b"".join(data.split())))
            return
        text = getattr(base64, f"b{kind}encode")(data).decode()
        width = int(known.get("w", "76"))
        put("".join(text[at : at + width] + "\n" for at in range(0, len(text), width)) if width else text)

    return each(name, rest, work)
