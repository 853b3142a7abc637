"""A real NGINX as deploy/ configures it, with TLS, in front of the page."""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from facility import DEPLOY
from helpers.dashboard import AUTH, KEY, SCAN, serving
from helpers.fake_run import FakeRun
from helpers.ports import free_port
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

NAME = "braggstream.example.org"
SUBPROTOCOL = "bearer." + base64.urlsafe_b64encode(KEY.encode()).decode().rstrip("=")


@dataclass(frozen=True)
class Proxy:
    """Where it answers, by TLS and without."""

    port: int
    plain: int
    trust: ssl.SSLContext

    @property
    def origin(self) -> str:
        return f"https://{NAME}:{self.port}"

    def client(self) -> httpx.Client:
        """A client that takes the name for this machine."""
        base = f"https://127.0.0.1:{self.port}"
        client = httpx.Client(base_url=base, verify=self.trust, trust_env=False, headers={"Host": self.origin[8:]})
        client.event_hooks["request"].append(lambda request: request.extensions.update(sni_hostname=NAME))
        return client


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """The example, with ports, certificate and folders of the test's own."""
    nginx = shutil.which("nginx", path=f"/usr/sbin:{os.environ['PATH']}")
    if nginx is None:
        pytest.skip("no nginx here (Debian: apt install nginx-light)")
    folder, page, port, plain = tmp_path_factory.mktemp("nginx"), free_port(), free_port(), free_port()
    certificate(folder)
    site = (DEPLOY / "nginx/braggstream.conf").read_text()
    for old, new in {
        "/etc/nginx/tls": str(folder),
        "127.0.0.1:8080": f"127.0.0.1:{page}",
        "listen 443": f"listen 127.0.0.1:{port}",
        "listen 80;": f"listen 127.0.0.1:{plain};",
    }.items():
        assert old in site
        site = site.replace(old, new)
    (folder / "site.conf").write_text(site)
    places = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    http = f"http {{ access_log off; {places} include site.conf; }}"
    main = f"daemon off; pid {folder}/pid; error_log stderr; events {{}} {http}"
    (folder / "nginx.conf").write_text(main)
    command = [nginx, "-p", str(folder), "-e", "stderr", "-c", str(folder / "nginx.conf")]
    done = subprocess.run([*command, "-t"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "warn" not in done.stderr
    run = FakeRun(folder / "run", size=5, angles=4)
    run.advance(0.5)
    trust = ssl.create_default_context(cafile=str(folder / "fullchain.pem"))
    with serving(run, host="0.0.0.0", port=page), subprocess.Popen(command) as process:
        try:
            proxy = Proxy(port, plain, trust)
            await_(proxy)
            yield proxy
        finally:
            process.terminate()


def certificate(folder: Path) -> None:
    """One that signs itself."""
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "1", "-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}"]
    command += ["-keyout", str(folder / "privkey.pem"), "-out", str(folder / "fullchain.pem")]
    subprocess.run(command, check=True, capture_output=True)


def await_(proxy: Proxy) -> None:
    deadline = time.monotonic() + 20
    with proxy.client() as client:
        while time.monotonic() < deadline:
            try:
                client.get("/healthz")
            except httpx.TransportError:
                time.sleep(0.02)
            else:
                return
    raise AssertionError("nginx did not start")


def test_the_page_comes_by_tls_and_the_run_with_its_key(proxy: Proxy) -> None:
    with proxy.client() as client:
        assert client.get("/").status_code == 200
        assert client.get("/").headers["strict-transport-security"] == "max-age=31536000"
        assert client.get("/").headers["content-security-policy"].startswith("default-src 'self'")
        assert client.get("/api/v1/status").status_code == 401
        assert client.get("/api/v1/status", headers=AUTH).json()["scan"] == "ncm622-cycled"
        assert client.post(f"{SCAN}/finish", headers=AUTH, content=bytes(2_000_000)).status_code == 413


def test_without_tls_there_is_only_the_way_to_it(proxy: Proxy) -> None:
    answer = httpx.get(f"http://127.0.0.1:{proxy.plain}/api/v1/status", headers={"Host": NAME}, trust_env=False)
    assert (answer.status_code, answer.headers["location"]) == (301, f"https://{NAME}/api/v1/status")


def test_live_updates_pass_to_the_pages_own_origin_alone(proxy: Proxy) -> None:
    with live(proxy, proxy.origin, [SUBPROTOCOL]) as updates:
        assert json.loads(updates.recv(timeout=20))["revision"] == 1
    for origin, offered in (("https://evil.example", [SUBPROTOCOL]), (proxy.origin, None)):
        with pytest.raises(InvalidStatus, match="403"), live(proxy, origin, offered):
            pass


def live(proxy: Proxy, origin: str, offered: list[str] | None) -> ClientConnection:
    """A page's subscription."""
    there = socket.create_connection(("127.0.0.1", proxy.port))
    address = f"{proxy.origin.replace('https', 'wss')}/api/v1/live"
    return connect(address, sock=there, ssl=proxy.trust, origin=origin, subprotocols=offered, proxy=None)
