"""A Python that starts in milliseconds: a fork of a server that has imported the given modules.

`ForkedPython.write` makes a script that takes what `python` takes. It hands folder, environment,
arguments and open files to the server, whose fork runs them and ends when the script is killed.
"""

import atexit
import contextlib
import gc
import importlib
import marshal
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import traceback
from pathlib import Path

ROOT = str(Path(__file__).parents[2])
SCRIPT = """#!{python} -IS
import _socket, marshal, os, sys
server = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
server.connect({address!r})
asked = marshal.dumps((os.getcwd(), dict(os.environ), [*{first!r}, *sys.argv[1:]]))
files = b"".join(fd.to_bytes(4, sys.byteorder) for fd in (0, 1, 2))
server.sendmsg([asked], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, files)])
os._exit(int(server.recv(9) or b"1"))
"""


class ForkedPython:
    """The server, and scripts that run in its forks."""

    def __init__(self, folder: Path, *modules: str):
        self.address = str(folder / "server")
        command = [sys.executable, __file__, self.address, *modules]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        one_thread = os.environ | {"OMP_NUM_THREADS": "1"}  # others would be absent in a fork
        self.process = subprocess.Popen(command, **pipes, env=one_thread)
        assert self.process.stdout.readline() == b"ready\n"

    def write(self, path: Path, *first: str) -> Path:
        """A script like `python first...`."""
        names = {"python": sys.executable, "address": self.address, "first": list(first)}
        path.write_text(SCRIPT.format(**names))
        path.chmod(0o755)
        return path

    def stop(self) -> None:
        with self.process:
            self.process.stdin.close()  # the server ends with its input


def _serve(address: str, *modules: str) -> None:
    sys.path[0] = ROOT
    for name in modules:
        importlib.import_module(name)
    gc.freeze()
    server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    server.bind(address)
    server.listen(256)
    print("ready", flush=True)
    forks = {}  # what tells that it has ended -> its number, and who asked for it
    while True:
        asked_for = {caller: end for end, (_, caller) in forks.items()}
        for ready in select.select([server, sys.stdin, *forks, *asked_for], [], [])[0]:
            if ready is sys.stdin:
                return
            if ready is server:
                caller, _ = server.accept()
                asked, files, *_ = socket.recv_fds(caller, 1 << 20, 3)
                pid = os.fork()
                if pid == 0:
                    _run(*marshal.loads(asked), files)
                for file in files:
                    os.close(file)
                forks[os.pidfd_open(pid)] = pid, caller
            elif ready in forks:
                pid, caller = forks.pop(ready)
                os.close(ready)
                code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                with caller, contextlib.suppress(OSError):
                    caller.send(b"%d" % (code if code >= 0 else 128 - code))
            elif asked_for[ready] in forks:  # it says nothing more: it was killed
                os.kill(forks[asked_for[ready]][0], signal.SIGKILL)


def _run(folder: str, environment: dict, words: list[str], files: list[int]) -> None:
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    sys.stdin, sys.stdout, sys.stderr = (open(n, mode, 1) for n, mode in enumerate("rww"))
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    code = 1
    try:
        code = _outcome(words)
        threading._shutdown()
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _outcome(words: list[str]) -> int:
    """Runs what stands behind `python`; the status with which that ends."""
    kind, what, *rest = words if len(words) > 1 else [*words, ""]
    sys.argv, sys.path[0] = [kind, *rest], os.getcwd() if kind == "-m" else ""
    try:
        if kind == "-m":
            runpy.run_module(what, run_name="__main__", alter_sys=True)
        elif kind == "-c":
            exec(compile(what, "<string>", "exec"), {"__name__": "__main__"})
        else:
            sys.argv, sys.path[0] = words, str(Path(kind).parent)
            runpy.run_path(kind, run_name="__main__")
        return 0
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1


if __name__ == "__main__":
    _serve(*sys.argv[1:])
