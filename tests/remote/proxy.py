"""An HTTP proxy in front of a server, which counts what passes and fails as it is told.

It stands for a network: requests that are throttled, answered with an error, cut off or reset, before they reach the
server or while the answer is under way.
"""

from __future__ import annotations

import http.client
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

Fault = str
"""``throttle``, ``error``, ``reset``, ``cut`` or ``refuse``."""

_ANSWERS = {"throttle": (503, "SlowDown"), "error": (500, "InternalError"), "refuse": (403, "AccessDenied")}


@dataclass
class Traffic:
    """What passed: of each request its method, path and range; bytes of content sent to the client."""

    requests: list[tuple[str, str, str]] = field(default_factory=list)
    bytes_sent: int = 0
    faults: int = 0

    def clear(self) -> None:
        self.requests.clear()
        self.bytes_sent = self.faults = 0


class Proxy:
    """Forwards to `port` on this machine; `fault` says of each request what goes wrong with it, if anything.

    `latency` is how long each answer takes at least, in seconds: 0 in tests, something else where speed is measured.
    """

    def __init__(self, port: int) -> None:
        self.traffic = Traffic()
        self.fault: Callable[[str, str], Fault | None] = lambda method, path: None
        self.latency = 0.0
        proxy, lock = self, threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                pass

            def handle_one_request(self) -> None:
                try:
                    super().handle_one_request()
                except ConnectionError:  # a client that was killed
                    self.close_connection = True

            def forward(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                body = self.rfile.read(length)
                if len(body) < length:  # a client that was killed while it sent
                    self.close_connection = True
                    return
                with lock:
                    proxy.traffic.requests.append((self.command, self.path, self.headers.get("Range", "")))
                    fault = proxy.fault(self.command, self.path)
                    proxy.traffic.faults += fault is not None
                if proxy.latency:
                    time.sleep(proxy.latency)
                if fault == "reset":
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    self.close_connection = True
                    self.connection.close()
                    return
                if fault in _ANSWERS:
                    status, code = _ANSWERS[fault]
                    content = f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode()
                    self.answer(status, [("Content-Type", "application/xml")], content, cut=False)
                    return
                server = http.client.HTTPConnection("127.0.0.1", port)
                server.request(self.command, self.path, body, dict(self.headers))
                response = server.getresponse()
                content = response.read()
                headers = [
                    (k, v) for k, v in response.getheaders() if k.lower() not in {"connection", "transfer-encoding"}
                ]
                server.close()
                self.answer(response.status, headers, content, cut=fault == "cut")

            def answer(self, status: int, headers: list[tuple[str, str]], content: bytes, *, cut: bool) -> None:
                self.send_response_only(status)
                for name, value in headers:
                    if name.lower() != "content-length" or self.command == "HEAD":
                        self.send_header(name, value)
                if self.command != "HEAD":
                    self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if self.command == "HEAD":
                    return
                sent = content[: len(content) // 2] if cut else content
                with lock:
                    proxy.traffic.bytes_sent += len(sent)
                self.wfile.write(sent)
                if cut:
                    self.close_connection = True

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = forward  # noqa: N815

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
