"""A facility's Tiled as deploy/ sets it up: PostgreSQL and Redis of Debian's packages, `tiled serve config`."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from helpers.ports import free_port

DEPLOY = Path(__file__).parents[2] / "deploy"
USER = "postgres" if os.geteuid() == 0 else None  # PostgreSQL refuses root
LOCAL = {**os.environ, "NO_PROXY": "127.0.0.1"}


@dataclass
class Service:
    """One process, and what it writes."""

    name: str
    folder: Path
    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    user: str | None = None
    ending: signal.Signals = signal.SIGTERM
    process: subprocess.Popen[bytes] = field(init=False)

    @property
    def log(self) -> Path:
        return self.folder / f"{self.name}.log"

    def start(self, ready: Callable[[], bool]) -> None:
        """Start, and wait until it answers."""
        environment = {**LOCAL, **self.environment}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, env=environment, stdout=log, stderr=log, user=self.user, cwd=self.folder
            )
        deadline = time.monotonic() + 600  # the first start makes two databases, seconds each on an idle machine
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(httpx.TransportError):
                if ready():
                    return
            time.sleep(0.05)
        raise AssertionError(self.log.read_text())

    def stop(self) -> None:
        self.process.send_signal(self.ending)
        self.process.wait(30)


@dataclass
class Facility:
    """The three services, in a folder of their own; their passwords are new ones."""

    folder: Path
    binaries: dict[str, str]
    passwords: dict[str, str] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.passwords = {name: secrets.token_hex(16) for name in ("super", "tiled", "redis", "operator", "signing")}
        self.ports = {name: free_port() for name in ("postgres", "redis", "tiled")}
        config = [str(DEPLOY / "redis/redis.conf"), "--bind", "127.0.0.1", "--port", str(self.ports["redis"])]
        config += ["--dir", str(self.folder), "--requirepass", self.passwords["redis"]]
        cluster = ["-D", str(self.folder / "data"), "-p", str(self.ports["postgres"]), "-c", "fsync=off"]
        cluster += ["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]
        serve = [sys.executable, "-m", "tiled", "serve", "config", str(DEPLOY / "tiled/config.yml")]
        serve += ["--host", "127.0.0.1", "--port", str(self.ports["tiled"])]
        database = f"postgresql://tiled@127.0.0.1:{self.ports['postgres']}"
        environment = {
            "CATALOG_URI": f"{database}/tiled_catalog",
            "AUTHN_URI": f"{database}/tiled_authn",
            "PGPASSWORD": self.passwords["tiled"],
            "REDIS_URI": f"redis://:{self.passwords['redis']}@127.0.0.1:{self.ports['redis']}/0",
            "ARRAYS": str(self.folder / "arrays"),
            "OPERATOR_PASSWORD": self.passwords["operator"],
            "SIGNING_KEY": self.passwords["signing"],
        }
        self.redis = Service("redis", self.folder, [self.binaries["redis-server"], *config], user=USER)
        ending = signal.SIGINT  # at SIGTERM it would wait for the last of its clients
        self.postgres = Service(
            "postgres", self.folder, [self.binaries["postgres"], *cluster], user=USER, ending=ending
        )
        self.tiled = Service("tiled", self.folder, serve, environment)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports['tiled']}"

    @property
    def said(self) -> str:
        """All that the services wrote."""
        return "".join(service.log.read_text() for service in (self.postgres, self.redis, self.tiled))

    def key(self, kind: str) -> str:
        """A new key, made as the documentation says."""
        command = [sys.executable, DEPLOY / "tiled/make_key.py", self.url, kind]
        environment = {**LOCAL, "OPERATOR_PASSWORD": self.passwords["operator"]}
        return subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()

    def start(self, stack: contextlib.ExitStack) -> None:
        """Begin with empty databases; all of it ends with the stack."""
        self._create_cluster()
        for service, ready in (
            (self.postgres, self.databases_answer),
            (self.redis, self.stream_answers),
            (self.tiled, lambda: httpx.get(f"{self.url}/healthz", trust_env=False).is_success),
        ):
            service.start(ready)
            stack.callback(service.stop)
            if service is self.postgres:
                environment = {**self._superuser, "TILED_PASSWORD": self.passwords["tiled"]}
                subprocess.run(["sh", DEPLOY / "postgres/init.sh"], env=environment, check=True)

    def databases_answer(self) -> bool:
        command = [self.binaries["psql"], "--command", "select 1", "postgres"]
        return subprocess.run(command, env=self._superuser, capture_output=True).returncode == 0

    def stream_answers(self) -> bool:
        command = [self.binaries["redis-cli"], "-p", str(self.ports["redis"]), "ping"]
        environment = {**LOCAL, "REDISCLI_AUTH": self.passwords["redis"]}
        return b"PONG" in subprocess.run(command, env=environment, capture_output=True).stdout

    @property
    def _superuser(self) -> dict[str, str]:
        access = {"PGHOST": "127.0.0.1", "PGPORT": str(self.ports["postgres"]), "PGUSER": "postgres"}
        return {**LOCAL, **access, "PGPASSWORD": self.passwords["super"]}

    def _create_cluster(self) -> None:
        password = self.folder / "superuser"
        password.write_text(self.passwords["super"])
        if USER is not None:
            for path in (self.folder, password):
                shutil.chown(path, USER)
        command = [self.binaries["initdb"], "--no-sync", "--auth=scram-sha-256", "--username=postgres"]
        command += [f"--pwfile={password}", "--encoding=UTF8", "--locale=C", "--pgdata", str(self.folder / "data")]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, user=USER, cwd=self.folder)


@contextlib.contextmanager
def facility() -> Iterator[Facility]:
    """All of it running; skipped where a package is missing."""
    binaries = needed("initdb", "postgres", "psql", "redis-server", "redis-cli")
    with contextlib.ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="facility-"))
        stack.callback(shutil.rmtree, folder)
        served = Facility(folder, binaries)
        served.start(stack)
        yield served


def needed(*names: str) -> dict[str, str]:
    """Where the programs are; Debian keeps PostgreSQL's own out of the path."""
    folders = sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True)
    found = {name: shutil.which(name, path=os.pathsep.join([*folders, os.environ["PATH"]])) for name in names}
    missing = [name for name, path in found.items() if path is None]
    if missing:
        pytest.skip(f"no {', '.join(missing)} here (Debian: apt install postgresql redis-server)")
    return {name: str(path) for name, path in found.items()}
