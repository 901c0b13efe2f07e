"""Command lines: one verb is one `main` function, and its signature is its usage.

A parameter without a default is positional; one with a default is a `--flag`. What a user did
wrong ends in one line on stderr and exit status 2; a traceback is always a bug of ours.
"""

import argparse
import contextlib
import errno
import gc
import inspect
import os
import resource
import signal
import sys
import threading
import typing
from collections.abc import Sequence

# A user named a path that cannot be used.
PATHS = (
    FileNotFoundError,
    FileExistsError,
    PermissionError,
    IsADirectoryError,
    NotADirectoryError,
)
# Ids and names come from anyone: no terminal obeys what is in them.
HIDDEN = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if code not in (9, 10)}
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class InputError(ValueError):
    """Something the user can mend. Text: `where: what is wrong; what is allowed; what to run`."""


def log(text: str) -> None:
    """Prints one line at once, also into a file or pipe.

    In one write, so that lines of jobs that share a pipe do not run into each other. Control
    characters, as an id may have, are spelled.
    """
    sys.stdout.write(text.translate(HIDDEN) + "\n")
    sys.stdout.flush()


def name_some(names: Sequence[str], most: int = 5) -> str:
    """The first names, for a line; those that cannot be printed are quoted."""
    shown = [name if name.isprintable() else repr(name) for name in names[:most]]
    return ", ".join(shown) + (", ..." if len(names) > most else "")


def peak_memory_mb() -> float:
    """Largest resident memory of this process so far, in MB (10^6 bytes)."""
    kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kib * 1024 / 1e6 if sys.platform != "darwin" else kib / 1e6


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        """One line, as all errors are."""
        self.exit(2, f"error: {message.removeprefix('argument ')}; see {self.prog} --help\n")


def _number(kind: type):
    """int or float of a text, for argparse, which puts the option before what is wrong."""

    def read(text: str):
        with contextlib.suppress(ValueError):
            return kind(text)
        what = "whole number" if kind is int else "number"
        raise argparse.ArgumentTypeError(f"{text}: a {what} is needed")

    return read


def parser_of(main) -> argparse.ArgumentParser:
    """Builds the parser from `main`'s signature, annotations and docstring."""
    doc = inspect.getdoc(main) or inspect.getdoc(inspect.getmodule(main)) or ""
    parser = _Parser(
        prog=f"python -m {_module_name(main)}",
        description=doc,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    hints = typing.get_type_hints(main)
    for name, parameter in inspect.signature(main).parameters.items():
        kind, many = _element_type(hints.get(name, str))
        options = {"type": _number(kind) if kind in (int, float) else kind, "metavar": name.upper()}
        if many:
            options["nargs"] = "+"
        if parameter.default is inspect.Parameter.empty:
            parser.add_argument(name, **options)
            continue
        if kind is bool:
            options = {"action": argparse.BooleanOptionalAction}
        flag, default = "--" + name.replace("_", "-"), parameter.default
        if many and not default:
            options["action"], default = "extend", []  # the option may be repeated
        parser.add_argument(flag, default=default, help="default: %(default)s", **options)
    return parser


def run(main, argv: list[str] | None = None) -> None:
    """Runs a verb from the command line. Errors of the user: one line, exit status 2.

    A process that has done its work ends at once: to take all modules down, torch's among them,
    needs a tenth of a second, and a demo has some two hundred processes. One with other threads,
    as a pool of processes has, ends as usual.
    """
    arguments = vars(parser_of(main).parse_args(argv))
    if argv is None:
        if callable(signal.getsignal(signal.SIGINT)):  # not while imports ran: see yt8m/__init__.py
            signal.signal(signal.SIGINT, signal.default_int_handler)
        gc.freeze()  # collections, the last one at the exit too, need not walk through all imports
    try:
        with _record(main) if argv is None else contextlib.nullcontext(True) as needed:
            if needed:
                main(**arguments)
        sys.stdout.flush()
        sys.stderr.flush()
    except (InputError, *PATHS) as error:
        sys.stderr.write(f"error: {' '.join(_text_of(error).split())}\n".translate(HIDDEN))
        sys.stderr.flush()
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(141)
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        where = f"{error.filename}: " if error.filename else ""
        sys.stderr.write(f"error: {where}{error.strerror}; free some and run the command again\n")
        sys.stderr.flush()
        sys.exit(2)
    if argv is None and threading.active_count() == 1:
        os._exit(0)


def _text_of(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror.lower()}; choose another path"
    return str(error)


@contextlib.contextmanager
def _record(main):
    """Writes the receipt of the job that make started this process for, if one did.

    Yields False when the job's receipt says that there is nothing to do: what it needs was made
    again, and came out the same.
    """
    if "YT8M_PLANNED" not in os.environ:
        yield True
        return
    from yt8m.base.receipts import Recorder  # it imports this module

    recorder = Recorder.of_command(_module_name(main), sys.argv[1:])
    if recorder is None:
        yield True
        return
    with recorder.lock():
        if recorder.is_done():
            log(f"{recorder.job['name']}: what it is made from is the same; nothing to do")
            yield False
        else:
            with recorder.recording():
                yield True


def _module_name(main) -> str:
    spec = getattr(inspect.getmodule(main), "__spec__", None)
    return spec.name if spec else main.__module__


def _element_type(hint):
    """(type of one value, whether several are taken) of an annotation such as `list[Path]`."""
    if typing.get_origin(hint) is list:
        return typing.get_args(hint)[0], True
    members = [member for member in typing.get_args(hint) if member is not type(None)]
    return (members[0] if members else hint), False
