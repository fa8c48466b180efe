"""A ``python`` for stages that DVC starts, which begins with torch imported.

Most of a small stage's time goes into importing torch and Lightning: on a busy machine ten seconds
of its eleven. Here one process imports them, once for a worker of the tests, and forks for each
``python -m pipeline``. All of the project's own code is imported by the stage itself, from its
working folder, as ever; its environment, files and exit code are its own.

A client that is killed has its stage killed, and hands SIGINT, SIGTERM and SIGHUP on. What it is
not for: tests of how processes start, and of those that a killed dvc leaves. A stage here is no
child of the dvc that runs it, so it does not watch that dvc.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import random
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# What stages import, the project's own code excepted.
IMPORTS = (
    "torch", "torch._dynamo", "torchvision", "torchvision.transforms.v2", "pytorch_lightning",
    "safetensors.torch", "numpy", "pandas", "matplotlib.figure", "matplotlib.backends.backend_agg",
    "PIL.Image", "pydantic", "typer", "rich", "jinja2", "tabulate", "filelock", "psutil",
    "ruamel.yaml", "yaml",
)  # fmt: skip
# The ``python`` that a shell finds: it hands ``-m pipeline`` on, and all else to the real one.
CLIENT = """#!{python} -IS
import json, os, signal, socket, sys
if sys.argv[1:3] != ["-m", "pipeline"]:
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
said = json.dumps([sys.argv[3:], os.getcwd(), dict(os.environ)]).encode()
socket.send_fds(server, [len(said).to_bytes(8, "big")], [0, 1, 2])
server.sendall(said)
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, lambda number, frame: server.sendall(bytes([number])))
code = server.recv(1)
sys.exit(code[0] if code else 1)
"""


@contextmanager
def run_server() -> Iterator[Path]:
    """Run a server; the folder of its ``python`` is for the beginning of a PATH."""
    with tempfile.TemporaryDirectory(prefix="warm-") as folder:
        server = start(Path(folder))
        try:
            yield Path(folder)
        finally:
            server.communicate()


def start(folder: Path) -> subprocess.Popen[bytes]:
    """Start a server, and write the ``python`` that uses it.

    Args:
        folder: empty; ``python`` stands there then, for the beginning of a PATH. The path is short
            enough for a socket's, of 107 bytes at most.

    Returns:
        The server. It ends when its standard input is closed.
    """
    address = folder / "socket"
    server = subprocess.Popen(
        [sys.executable, "-P", __file__, str(address)],
        env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"OMP_NUM_THREADS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert server.stdout is not None
    assert server.stdout.readline() == b"ready\n"
    client = folder / "python"
    client.write_text(CLIENT.format(python=sys.executable, address=str(address)))
    client.chmod(0o755)
    return server


def serve(address: str) -> None:
    """Fork for each request, until the standard input is closed."""
    for name in IMPORTS:
        importlib.import_module(name)
    gc.freeze()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen()
    print("ready", flush=True)
    waiting = selectors.DefaultSelector()
    waiting.register(0, selectors.EVENT_READ)
    waiting.register(listener, selectors.EVENT_READ)
    while True:
        for key, _ in waiting.select():
            if key.fileobj == 0:
                os._exit(0)
            if key.fileobj is listener:
                client, _ = listener.accept()
                begin(client, waiting)
            elif waiting.get_map().get(key.fd) is key:  # else it has ended in this round
                attend(key, waiting)


def begin(client: socket.socket, waiting: selectors.BaseSelector) -> None:
    """Read a request and fork a process for it."""
    size, files, _, _ = socket.recv_fds(client, 8, 3)
    text, more = b"", size
    while more and len(text) < int.from_bytes(size, "big"):
        more = client.recv(1 << 16)
        text += more
    if not more:  # killed before it had said all
        client.close()
        for file in files:
            os.close(file)
        return
    process = os.fork()
    if process == 0:
        run(*json.loads(text), files=files)
    for file in files:
        os.close(file)
    ended = os.pidfd_open(process)
    waiting.register(client, selectors.EVENT_READ, (process, client, ended))
    waiting.register(ended, selectors.EVENT_READ, (process, client, ended))


def attend(key: selectors.SelectorKey, waiting: selectors.BaseSelector) -> None:
    """Say that a process has ended, or send it what its client was sent."""
    process, client, ended = key.data
    if key.fileobj is client:
        number = client.recv(1)
        # A client that was killed says nothing.
        signal.pidfd_send_signal(ended, number[0] if number else signal.SIGKILL)
        if number:
            return
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    for each in (client, ended):
        waiting.unregister(each)
    with suppress(OSError):
        client.sendall(bytes([code if code >= 0 else 128 - code]))
    client.close()
    os.close(ended)


def run(arguments: list[str], folder: str, environment: dict[str, str], files: list[int]) -> None:
    """Be ``python -m pipeline`` in a folder, and end."""
    for target, file in enumerate(files):
        os.dup2(file, target)
        os.close(file)
    # Streams remember whether their file has positions. They stay open to the end.
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", 1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    random.seed()
    sys.argv = ["pipeline", *arguments]
    more = environment.get("PYTHONPATH", "")
    sys.path[:0] = [folder, *filter(None, more.split(os.pathsep))]
    importlib.invalidate_caches()
    code = 1
    try:
        runpy.run_module("pipeline", run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve(sys.argv[1])
