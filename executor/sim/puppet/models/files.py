"""Files in `posix` over the model: opening, reading, writing, names, attributes, descriptors."""

import posix as real
import stat

from models.folders import Scan, like, result, status, text
from shim import call, close, named, opened


def add(m, put):
    """Put the functions into the module that is made."""

    @put
    def open_(path, flags, mode=0o777, *, dir_fd=None):
        handle = named("open", path, text(path), flags | real.O_CLOEXEC, mode, dir_fd)
        opened.add(handle)
        return handle

    for name in ("read", "pread"):
        put(lambda *a, _n=name: call(_n, *a), name)

    @put
    def write(fd, data):
        return call("write", fd, bytes(data))

    @put
    def pwrite(fd, data, offset):
        return call("pwrite", fd, bytes(data), offset)

    @put
    def writev(fd, parts):
        return call("write", fd, b"".join(bytes(part) for part in parts))

    @put
    def readv(fd, buffers):
        done = 0
        for buffer in buffers:
            got = call("read", fd, len(buffer))
            buffer[: len(got)] = got
            done += len(got)
            if len(got) < len(buffer):
                break
        return done

    put(close)

    @put
    def closerange(low, high):
        call("closerange", low, high)

    @put
    def dup2(fd, fd2, inheritable=True):
        return call("dup2", fd, fd2, inheritable)

    @put
    def pipe():
        return tuple(call("pipe", real.O_CLOEXEC))

    @put
    def pipe2(flags):
        return tuple(call("pipe", flags))

    put(status, "stat")

    @put
    def lstat(path, *, dir_fd=None):
        return status(path, dir_fd=dir_fd, follow_symlinks=False)

    @put
    def fstat(fd):
        return result(call("fstat", fd))

    @put
    def access(path, mode, *, dir_fd=None, effective_ids=False, follow_symlinks=True):
        try:
            call("access", text(path), mode, dir_fd)
        except OSError:
            return False
        return True

    @put
    def listdir(path="."):
        return [like(path, entry[0]) for entry in named("listdir", path, text("." if path is None else path))]

    put(Scan, "scandir")

    @put
    def mkdir(path, mode=0o777, *, dir_fd=None):
        named("mkdir", path, text(path), mode, dir_fd)

    @put
    def rmdir(path, *, dir_fd=None):
        named("rmdir", path, text(path), dir_fd)

    def unlink(path, *, dir_fd=None):
        named("unlink", path, text(path), dir_fd)

    put(unlink)
    put(unlink, "remove")

    def rename(src, dst, *, src_dir_fd=None, dst_dir_fd=None):
        try:
            call("rename", text(src), text(dst), src_dir_fd, dst_dir_fd)
        except OSError as error:
            raise OSError(error.errno, error.strerror, src, None, dst) from None

    put(rename)
    put(rename, "replace")

    @put
    def link(src, dst, *, src_dir_fd=None, dst_dir_fd=None, follow_symlinks=True):
        try:
            call("link", text(src), text(dst), src_dir_fd, dst_dir_fd)
        except OSError as error:
            raise OSError(error.errno, error.strerror, src, None, dst) from None

    @put
    def symlink(src, dst, target_is_directory=False, *, dir_fd=None):
        try:
            call("symlink", text(src), text(dst), dir_fd)
        except OSError as error:
            raise OSError(error.errno, error.strerror, src, None, dst) from None

    @put
    def readlink(path, *, dir_fd=None):
        return like(path, named("readlink", path, text(path), dir_fd))

    @put
    def chmod(path, mode, *, dir_fd=None, follow_symlinks=True):
        if isinstance(path, int):
            return call("fchmod", path, mode)
        return named("chmod", path, text(path), mode, dir_fd)

    @put
    def chown(path, uid, gid, *, dir_fd=None, follow_symlinks=True):
        if isinstance(path, int):
            return call("fchown", path, uid, gid)
        return named("chown", path, text(path), uid, gid, dir_fd, follow_symlinks)

    @put
    def lchown(path, uid, gid):
        named("chown", path, text(path), uid, gid, None, False)

    @put
    def fchown(fd, uid, gid):
        call("fchown", fd, uid, gid)

    @put
    def utime(path, times=None, *, ns=None, dir_fd=None, follow_symlinks=True):
        if times is not None:
            ns = tuple(round(one * 1e9) for one in times)
        named("utime", path, text(path), list(ns) if ns else None, dir_fd)

    @put
    def truncate(path, length):
        if isinstance(path, int):
            return call("ftruncate", path, length)
        return named("truncate", path, text(path), length)

    @put
    def getcwd():
        return call("getcwd")

    @put
    def getcwdb():
        return call("getcwd").encode()

    @put
    def chdir(path):
        if isinstance(path, int):
            return call("fchdir", path)
        return named("chdir", path, text(path))

    @put
    def chroot(path):
        named("chroot", path, text(path))

    @put
    def mkfifo(path, mode=0o666, *, dir_fd=None):
        named("mknod", path, text(path), stat.S_IFIFO | mode, 0, dir_fd)

    @put
    def mknod(path, mode=0o600, device=0, *, dir_fd=None):
        named("mknod", path, text(path), mode, device, dir_fd)

    @put
    def statvfs(path):
        raw = call("fstatvfs", path) if isinstance(path, int) else named("statvfs", path, text(path))
        return real.statvfs_result(raw)

    m.fstatvfs = statvfs

    for name in ("getxattr", "removexattr"):
        put(lambda path, key, *, follow_symlinks=True, _n=name: named(_n, path, text(path), text(key)), name)

    @put
    def setxattr(path, key, value, flags=0, *, follow_symlinks=True):
        named("setxattr", path, text(path), text(key), bytes(value))

    @put
    def listxattr(path=".", *, follow_symlinks=True):
        return named("listxattr", path, text(path))

    @put
    def isatty(fd):
        return False

    @put
    def set_inheritable(fd, inheritable):
        call("set_inheritable", fd, bool(inheritable))

    @put
    def get_inheritable(fd):
        return call("get_inheritable", fd)

    @put
    def set_blocking(fd, blocking):
        call("set_blocking", fd, bool(blocking))

    @put
    def get_blocking(fd):
        return call("get_blocking", fd)

    @put
    def memfd_create(name, flags=1):
        return call("memfd_create", text(name), flags)

    @put
    def sendfile(out_fd, in_fd, offset, count):
        data = call("pread", in_fd, count, offset) if offset is not None else call("read", in_fd, count)
        return call("write", out_fd, data) if data else 0

    @put
    def copy_file_range(src, dst, count, offset_src=None, offset_dst=None):
        data = call("pread", src, count, offset_src) if offset_src is not None else call("read", src, count)
        return call("write", dst, data) if data else 0
