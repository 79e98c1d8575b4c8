"""Ways to run a program that was not granted, by another name or through another program, and harmless twins."""

import errno
import mmap
import os
import subprocess

import kit
from kit import in_child, need, probe

WANTED = os.path.realpath("/usr/bin/gcc")
LOADER = "/lib64/ld-linux-x86-64.so.2"
MAY_NOT_RUN = (126, 127)
"""What shells and wrappers exit with when execve was refused, or when no file that may be executed was found."""


def granted():
    need(subprocess.run(["true"], check=False).returncode == 0)


def granted_by_wrapper():
    need(subprocess.run(["env", "nice", "true"], check=False).returncode == 0)


def granted_by_shell():
    need(subprocess.run(["sh", "-c", "true"], check=False).returncode == 0)


def granted_by_link():
    link = f"{kit.own_folder()}/link"
    os.symlink("/usr/bin/true", link)
    need(subprocess.run([link], check=False).returncode == 0)


def run(*argv):
    """Run it; 126 and 127 count as the EACCES they stand for, anything else but 0 as ECANCELED."""
    code = subprocess.run(argv, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
    need(code not in MAY_NOT_RUN, errno.EACCES)
    need(code == 0, errno.ECANCELED)


@probe("program-not-granted", twin=granted)
def plainly():
    in_child(lambda: os.execv(WANTED, ["gcc", "--version"]))


@probe("program-under-another-name", twin=granted_by_link)
def symlinked():
    link = f"{kit.own_folder()}/true"
    os.symlink(WANTED, link)
    in_child(lambda: os.execv(link, ["true", "--version"]))


@probe("program-over-three-links", twin=granted_by_link)
def hopped():
    base = kit.own_folder()
    os.symlink("/usr/bin", f"{base}/a")
    os.symlink("a", f"{base}/b")
    in_child(lambda: os.execv(f"{base}/b/gcc", ["gcc", "--version"]))


@probe("program-by-the-processs-root", twin=granted)
def by_root():
    """/proc/self/root is another way to write the same path."""
    in_child(lambda: os.execv(f"/proc/self/root{WANTED}", ["gcc", "--version"]))


@probe("program-copied", twin=granted)
def copied():
    """Its bytes in a file of one's own; whoever may not run it may not read it either."""
    path = f"{kit.own_folder()}/mine"
    with open(WANTED, "rb") as source, open(path, "wb") as copy:
        copy.write(source.read())
    os.chmod(path, 0o755)
    in_child(lambda: os.execv(path, ["mine", "--version"]))


@probe("granted-program-copied", twin=granted)
def own_program():
    """A copy of one that is granted: what a task may write it may not execute."""
    path = f"{kit.own_folder()}/mine"
    with open("/usr/bin/true", "rb") as source, open(path, "wb") as copy:
        copy.write(source.read())
    os.chmod(path, 0o755)
    in_child(lambda: os.execv(path, ["mine"]))


@probe("script-with-its-name", twin=granted_by_shell)
def shebang():
    path = f"{kit.own_folder()}/script"
    with open(path, "w") as file:
        file.write(f"#!{WANTED} --version\n")
    os.chmod(path, 0o755)
    in_child(lambda: os.execv(path, ["script"]))


@probe("program-by-the-loader", twin=granted)
def by_loader():
    """The loader is a program too, and loads what it is told."""
    code = subprocess.run([LOADER, WANTED, "--version"], check=False, capture_output=True)
    need(b"Permission denied" not in code.stderr, errno.EACCES)
    need(code.returncode == 0, errno.ECANCELED)


@probe("program-by-its-descriptor", twin=granted)
def by_descriptor():
    """Opened as a path only, which takes no right to read, and executed by the descriptor's name."""
    handle = os.open(WANTED, os.O_PATH)
    in_child(lambda: os.execv(f"/proc/self/fd/{handle}", ["gcc", "--version"]))


@probe("program-by-execveat", twin=granted)
def by_execveat():
    handle = os.open("/usr/bin/true", os.O_PATH)
    argv = (kit.ctypes.c_char_p * 2)(b"true", None)
    in_child(lambda: kit.syscall(322, handle, b"", argv, None, 0x1000))


@probe("program-in-memory", twin=granted)
def in_memory():
    """A file that is in no file system: memfd_create."""
    handle = os.memfd_create("mine")
    with open("/usr/bin/true", "rb") as source:
        os.write(handle, source.read())
    in_child(lambda: os.execv(f"/proc/self/fd/{handle}", ["mine"]))


@probe("program-by-the-shell", twin=granted_by_shell)
def by_shell():
    run("sh", "-c", "gcc --version")


@probe("program-by-env", twin=granted_by_wrapper)
def by_env():
    run("env", "gcc", "--version")


@probe("program-by-xargs", twin=granted_by_wrapper)
def by_xargs():
    run("sh", "-c", "echo --version | xargs gcc")


@probe("program-by-find", twin=granted_by_wrapper)
def by_find():
    """find's own exit status does not tell; what it ran does."""
    said = subprocess.run(["find", "/etc/passwd", "-exec", "gcc", "--version", ";"], check=False, capture_output=True)
    need(b"Free Software" in said.stdout, errno.EACCES)


@probe("program-by-awk", twin=granted_by_shell)
def by_awk():
    said = subprocess.run(["mawk", 'BEGIN { exit system("gcc --version >/dev/null") }'], check=False)
    need(said.returncode not in MAY_NOT_RUN, errno.EACCES)
    need(said.returncode == 0, errno.ECANCELED)


@probe("program-behind-timeout-and-nohup", twin=granted_by_wrapper)
def by_wrappers():
    run("setsid", "-w", "timeout", "5", "nohup", "nice", "gcc", "--version")


@probe("own-file-mapped-executable", twin=granted)
def mapped():
    """What a loader does with a library of one's own."""
    path = f"{kit.own_folder()}/code"
    with open(path, "wb") as file:
        file.write(bytes(4096))
    with open(path, "rb") as file:
        mmap.mmap(file.fileno(), 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC).close()
