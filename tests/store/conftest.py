"""A real S3 server in a process of its own, and the places where the same tests put a store."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

# Lets test modules share interrupted_source.py, whatever pytest's import mode.
sys.path.insert(0, str(Path(__file__).parent))

# moto's server, which can be told to answer the next requests of a method with an error.
PROGRAM = """
import re, sys
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple

moto = DomainDispatcherApplication(create_backend_app)
faults = []
seen = {}

def app(environ, start_response):
    path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
    if path.startswith("/-fault/"):
        _, _, status, code, hit, times, after = path.split("/")
        faults[:] = [status, code, hit, int(times), int(after)] if int(times) else []
        start_response("204 No Content", [])
        return []
    if path == "/-seen":
        text = repr(seen).encode()
        seen.clear()
        start_response("200 OK", [("Content-Length", str(len(text)))])
        return [text]
    seen[method] = seen.get(method, 0) + 1
    if faults and faults[2] in (method, "ANY") and faults[3] > 0:
        faults[4] -= 1
        if faults[4] < 0:
            faults[3] -= 1
            text = f"<Error><Code>{faults[1]}</Code><Message>told to</Message></Error>".encode()
            head = [("Content-Type", "application/xml"), ("Content-Length", str(len(text)))]
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            start_response(f"{faults[0]} Told", head)
            return [] if method == "HEAD" else [text]
    return moto(environ, start_response)

run_simple("127.0.0.1", int(sys.argv[1]), app, threaded=True)
"""
NEEDED = ("moto", "flask", "s3fs")
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing-id",
    "AWS_SECRET_ACCESS_KEY": "testing-secret",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class S3Server:
    """An S3 server on this machine."""

    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        quiet = subprocess.DEVNULL
        command = [sys.executable, "-c", PROGRAM, str(self.port)]
        self.process = subprocess.Popen(command, stdout=quiet, stderr=quiet)  # noqa: S603
        give_up = time.monotonic() + 60
        while True:
            try:
                self.ask("/-seen")
                break
            except OSError:
                if time.monotonic() > give_up or self.process.poll() is not None:
                    raise
                time.sleep(0.05)
        self.ask("/bucket", "PUT")

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def ask(self, path: str, method: str = "GET", data: bytes | None = None) -> bytes:
        plain = {"Content-Type": "text/plain"}
        request = urllib.request.Request(self.endpoint + path, data, plain, method=method)  # noqa: S310
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return bytes(answer.read())

    def fail(
        self,
        status: int,
        code: str = "InternalError",
        method: str = "ANY",
        times: int = 10**9,
        after: int = 0,
    ) -> None:
        """Answer requests with an error, after so many that are answered well."""
        self.ask(f"/-fault/{status}/{code}/{method}/{times}/{after}")

    def recover(self) -> None:
        self.fail(200, times=0)

    def enforce(self, *, keys: bool) -> None:
        """Let nobody in whom the server doesn't know, which is everybody; or all."""
        self.ask("/moto-api/reset-auth", "POST", b"0" if keys else b"inf")


def no_server() -> str | None:
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    return f"no S3 server: {missing[0]} is not installed" if missing else None


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    if reason := no_server():
        pytest.skip(reason)
    server = S3Server()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def s3(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    """The server, where everything in AWS's environment names it."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in {**ENVIRONMENT, "AWS_ENDPOINT_URL": s3_server.endpoint}.items():
        monkeypatch.setenv(name, value)
    yield s3_server
    s3_server.recover()


@pytest.fixture(params=["folder", "file", "memory", "s3"])
def place(request: pytest.FixtureRequest, tmp_path) -> str:
    """Somewhere to put stores in, as text without a slash at the end."""
    if request.param == "s3":
        request.getfixturevalue("s3")
        return f"s3://bucket/{tmp_path.name}"
    if request.param == "memory":
        return f"memory://{tmp_path.name}"
    return str(tmp_path) if request.param == "folder" else tmp_path.as_uri()
