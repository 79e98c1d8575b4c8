"""`pwd` and `grp` from the guest's own files."""

import types

import shim


def _table(path, width):
    rows = []
    for row in shim.whole(path).decode().splitlines():
        fields = row.split(":")
        if len(fields) == width:
            rows.append(fields)
    return rows


class Record(tuple):
    """A line of a table, by the names of its fields too."""

    names = ()

    def __getattr__(self, name):
        if name not in self.names:
            raise AttributeError(name)
        return self[self.names.index(name)]


def pwd_module():
    """`pwd` from the guest's /etc/passwd."""
    m = types.ModuleType("pwd")

    class struct_passwd(Record):
        names = ("pw_name", "pw_passwd", "pw_uid", "pw_gid", "pw_gecos", "pw_dir", "pw_shell")

    def every():
        return [
            struct_passwd((r[0], r[1], int(r[2]), int(r[3]), *r[4:])) for r in _table("/etc/passwd", 7)
        ]

    def find(key, index):
        for one in every():
            if one[index] == key:
                return one
        raise KeyError(f"getpwnam(): name not found: {key!r}" if index == 0 else f"getpwuid(): uid not found: {key}")

    m.struct_passwd, m.getpwall = struct_passwd, every
    m.getpwnam = lambda name: find(name, 0)
    m.getpwuid = lambda uid: find(uid, 2)
    return m


def grp_module():
    """`grp` from the guest's /etc/group."""
    m = types.ModuleType("grp")

    class struct_group(Record):
        names = ("gr_name", "gr_passwd", "gr_gid", "gr_mem")

    def every():
        return [
            struct_group((r[0], r[1], int(r[2]), r[3].split(",") if r[3] else [])) for r in _table("/etc/group", 4)
        ]

    def find(key, index):
        for one in every():
            if one[index] == key:
                return one
        raise KeyError(key)

    m.struct_group, m.getgrall = struct_group, every
    m.getgrnam = lambda name: find(name, 0)
    m.getgrgid = lambda gid: find(gid, 2)
    return m
