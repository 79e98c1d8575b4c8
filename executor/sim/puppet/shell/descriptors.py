"""Redirections: done for a command, and put back."""

import contextlib
import os

from shell.expansion import ShellError
from shim import call

FLAGS = {"<": os.O_RDONLY, ">": os.O_WRONLY | os.O_CREAT | os.O_TRUNC, ">|": os.O_WRONLY | os.O_CREAT | os.O_TRUNC,
         ">>": os.O_WRONLY | os.O_CREAT | os.O_APPEND, "<>": os.O_RDWR | os.O_CREAT}  # fmt: skip
PIPE = 4096
"""Bytes of a here-document that are written at once; a longer one has a writer of its own."""


class Redirections:
    """What a shell does with descriptors."""

    @contextlib.contextmanager
    def redirected(self, redirections, *, needed=False):
        """A body with redirections; says whether they worked, and ends the shell where they are `needed`."""
        saved = []
        failed = self.redirect(redirections, saved=saved)
        try:
            if failed and needed:
                raise SystemExit(failed)
            yield not failed
        finally:
            for number, old in reversed(saved):
                if old is None:
                    with contextlib.suppress(OSError):
                        os.close(number)
                else:
                    os.dup2(old, number)
                    os.close(old)

    def redirect(self, redirections, *, saved):
        """Do them, with what was there kept in `saved`; 0, or the code when one cannot be done."""
        for number, kind, word in redirections:
            try:
                if saved is not None:
                    saved.append((number, spare(number)))
                source = self.source(kind, word)
                if source is None:
                    with contextlib.suppress(OSError):
                        os.close(number)
                elif source != number:
                    try:
                        os.dup2(source, number)
                    except OSError as error:
                        raise ShellError(f"{source}: {error.strerror}") from None
                    if kind not in {"<&", ">&"}:
                        os.close(source)
            except ShellError as error:
                self.say(str(error))
                return 2
        return 0

    def source(self, kind, word):
        """The descriptor that a redirection puts into place; None closes it."""
        if kind == "<<":
            return self.document(self.text(word))
        target = self.text(word)
        if kind in {"<&", ">&"}:
            if target != "-" and not target.isdecimal():
                raise ShellError("Syntax error: Bad fd number")
            return None if target == "-" else int(target)
        flags = FLAGS[kind]
        try:
            if kind == ">" and "C" in self.options and os.path.isfile(target):
                raise FileExistsError(17, "File exists")
            return os.open(target, flags, 0o666)
        except OSError as error:
            made = flags & os.O_CREAT
            words = ("Directory nonexistent" if made else "No such file") if error.errno == 2 else error.strerror
            raise ShellError(f"cannot {'create' if made else 'open'} {target}: {words}") from None

    def document(self, text):
        """The end of a pipe from which a here-document is read."""
        data = text.encode("utf-8", "surrogateescape")
        ours, theirs = os.pipe()
        if len(data) <= PIPE:
            os.write(theirs, data)
        elif self.fork() == 0:
            os.close(ours)
            while data:
                data = data[os.write(theirs, data) :]
            self.leave(0)
        os.close(theirs)
        return ours


def spare(number):
    """A copy of a descriptor, out of the way of scripts; None where there is none."""
    try:
        return call("dup_high", number)
    except OSError:
        return None
