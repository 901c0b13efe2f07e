"""A server of shards and of their download plan on loopback, with the faults of real ones."""

import contextlib
import hashlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

STALL = 0.6  # seconds


class Shards:
    """What is served, how, and what was asked for.

    files: name -> bytes, of the partition 2/video/train. faults: name -> list of what happens to
    the next requests for it: "cut" (the connection closes half-way), "stall" (and nothing comes for
    a while), "moved" (a redirect), "wrong" (other bytes), or a status code.
    """

    def __init__(self, files: dict[str, bytes], partition: str = "2/video/train"):
        self.files, self.partition = files, partition
        self.plan = json.dumps({"files": {n: hashlib.md5(b).hexdigest() for n, b in files.items()}})
        self.faults: dict[str, list] = {}
        self.knows_ranges = self.tells_sizes = True
        self.asked: list[tuple[str, str, str]] = []  # method, name, range
        self.address = ""

    def gets(self) -> list[tuple[str, str]]:
        """(name, range) of the downloads of shards."""
        names = [(name, asked) for method, name, asked in self.asked if method == "GET"]
        return [pair for pair in names if not pair[0].endswith(".json")]


@contextlib.contextmanager
def serving(shards: Shards):
    """Serves until the block ends."""

    class Handler(_Handler):
        served = shards

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        shards.address = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield shards
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    served: Shards

    def log_message(self, *arguments):
        pass

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        shards, name = self.served, self.path.rpartition("/")[2]
        asked = self.headers.get("Range", "")
        shards.asked.append((self.command, name, asked))
        version, kind, split = shards.partition.split("/")
        if self.path == f"/{version}/download_plans/{kind}_{split}.json":
            return self._send(200, shards.plan.encode(), {})
        if self.path == f"/moved/{name}" and name in shards.files:
            self.path = f"/{shards.partition}/{name}"
        if self.path != f"/{shards.partition}/{name}" or name not in shards.files:
            return self._send(404, b"", {})
        faults = shards.faults.get(name, []) if self.command == "GET" else []
        fault = faults.pop(0) if faults else None
        if fault == "moved":
            return self._send(302, b"", {"Location": f"/moved/{name}"})
        if isinstance(fault, int):
            return self._send(fault, b"", {})
        return self._send_file(shards.files[name], asked, fault)

    def _send_file(self, content, asked, fault):
        if fault == "wrong":
            content = bytes(len(content))
        begins = int(asked[6:-1]) if asked and self.served.knows_ranges else 0
        if begins and begins >= len(content):
            return self._send(416, b"", {})
        whole, content = len(content), content[begins:]
        told = {"Content-Range": f"bytes {begins}-{whole - 1}/{whole}"} if begins else {}
        return self._send(206 if begins else 200, content, told, fault)

    def _send(self, status, content, headers, fault=None):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if self.served.tells_sizes or fault:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content[: len(content) // 2] if fault in ("cut", "stall") else content)
        if fault == "stall":
            time.sleep(STALL)
