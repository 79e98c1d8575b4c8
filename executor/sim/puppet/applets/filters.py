"""Programs that change lines: sort, uniq, cut, tr, grep, sed."""

import os
import re

from applets.registry import complain, content, each, escaped, options, program, put
from shim import Unmodelled


@program("sort", "uniq", "tac", "rev")
def lines_of(argv):
    name = argv[0].rpartition("/")[2]
    known, rest = options(argv, "rnuc")
    try:
        rows = b"".join(content(path) for path in rest or ["-"]).decode("utf-8", "surrogateescape").splitlines()
    except OSError as error:
        return complain(name, f"cannot read: {rest[0]}: {error.strerror}") + (1 if name == "sort" else 0)
    if name == "sort":
        rows.sort(key=(lambda row: float(re.match(r"\s*(-?[\d.]*)", row)[1] or 0)) if "n" in known else None,
                  reverse="r" in known)  # fmt: skip
        if "u" in known:
            rows = list(dict.fromkeys(rows))
    elif name == "uniq":
        runs = []
        for row in rows:
            if runs and runs[-1][1] == row:
                runs[-1][0] += 1
            else:
                runs.append([1, row])
        rows = [f"{count:7} {row}" if "c" in known else row for count, row in runs]
    else:
        rows.reverse()
    put("".join(f"{row}\n" for row in rows))
    return 0


@program("cut")
def cut(argv):
    known, rest = options(argv, "s", "dfc")

    def chosen(items):
        found = []
        for one in known.get("f", known.get("c", "")).split(","):
            first, dash, last = one.partition("-")
            low, high = int(first or 1), int(last or (len(items) if dash else first))
            found += items[low - 1 : high]
        return found

    def work(_path, data):
        for row in data.decode("utf-8", "surrogateescape").splitlines():
            if "c" in known:
                put("".join(chosen(list(row))) + "\n")
            else:
                mark = known.get("d", "\t")
                put((mark.join(chosen(row.split(mark))) if mark in row else row) + "\n")

    return each("cut", rest, work)


@program("tr")
def tr(argv):
    known, rest = options(argv, "ds")

    def spread(text):
        text = text.replace("[:upper:]", "A-Z").replace("[:lower:]", "a-z").replace("[:digit:]", "0-9")
        return re.sub(r"(.)-(.)", lambda m: "".join(map(chr, range(ord(m[1]), ord(m[2]) + 1))), escaped(text))

    while piece := os.read(0, 65536):
        text = piece.decode("latin-1")
        first = spread(rest[0])
        if "d" in known:
            text = "".join(one for one in text if one not in first)
        else:
            second = spread(rest[1])
            second += second[-1:] * (len(first) - len(second))
            text = text.translate(str.maketrans(first, second[: len(first)]))
        put(text.encode("latin-1"))
    return 0


@program("grep", "egrep", "fgrep")
def grep(argv):
    known, rest = options(argv, "qvicnlEFhosHxr", "em")
    if known.keys() & {"r", "o"}:
        raise Unmodelled("grep -r or -o")
    pattern = known.get("e") or rest.pop(0)
    fixed = "F" in known or argv[0].endswith("fgrep")
    if not fixed and not ("E" in known or argv[0].endswith("egrep")) and set(pattern) & set("+?{|("):
        fixed_pattern = re.sub(r"([+?{|()}])", r"\\\1", pattern)
    else:
        fixed_pattern = pattern
    wanted = re.compile(re.escape(pattern) if fixed else fixed_pattern, re.IGNORECASE if "i" in known else 0)
    match = wanted.fullmatch if "x" in known else wanted.search
    found, failed = False, False
    for path in rest or ["-"]:
        try:
            rows = content(path).decode("utf-8", "surrogateescape").splitlines()
        except OSError as error:
            failed = True
            if "s" not in known:
                complain("grep", f"{path}: {error.strerror}")
            continue
        hits = [(n, row) for n, row in enumerate(rows, 1) if bool(match(row)) != ("v" in known)]
        found |= bool(hits)
        if "q" in known:
            continue
        prefix = f"{path}:" if (len(rest) > 1 and "h" not in known) or "H" in known else ""
        if "c" in known:
            put(f"{prefix}{len(hits)}\n")
        elif "l" in known:
            put(f"{path}\n" if hits else "")
        else:
            put("".join(f"{prefix}{f'{n}:' if 'n' in known else ''}{row}\n" for n, row in hits))
    return 2 if failed and not ("q" in known and found) else 0 if found else 1


@program("sed")
def sed(argv):
    known, rest = options(argv, "nEr", "e")
    script = known.get("e") or (rest.pop(0) if rest else "")

    def work(_path, data):
        rows = data.decode("utf-8", "surrogateescape").splitlines()
        for row, text in enumerate(rows, 1):
            found = re.fullmatch(r"s(.)(.*?)\1(.*?)\1([gIp]*)", script)
            if found and not set(found[2]) & set("\\[]+?{}|()"):
                put(re.sub(found[2], found[3].replace("&", r"\g<0>"), text, count=0 if "g" in found[4] else 1) + "\n")
            elif re.fullmatch(r"\d+p", script) and "n" in known:
                put(text + "\n" if int(script[:-1]) == row else "")
            elif re.fullmatch(r"\d+q", script):
                put(text + "\n" if row <= int(script[:-1]) else "")
            else:
                raise Unmodelled(f"sed {script}")

    return each("sed", rest, work)
