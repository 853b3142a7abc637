"""Keys: where they may be, what is said of them, and who can read what is kept."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
import zmq
from zmq.auth import create_certificates

from stream.core.config import load_config, read_resolved, write_resolved
from stream.core.errors import ConfigError
from stream.core.keys import curve_key
from stream.core.rundir import RunDirectory
from stream.service.keys import dashboard_key, facility_key, store_key, users_key, write_opener

SECRET = "hunter2-which-nobody-may-see"
SMALLEST = """
scan: {{name: a, angles: {{start: 0, step: 1, count: 9}}, positions: {{count: 9}}}}
detector: {{endpoint: "tcp://127.0.0.1:31001", geometry: d.poni}}
{more}
"""


def written(folder: Path, more: str) -> Path:
    """A config with these lines; a section that comes again replaces the one before."""
    (folder / "d.poni").touch()
    (folder / "config.yaml").write_text(SMALLEST.format(more=more))
    return folder / "config.yaml"


@pytest.mark.parametrize(
    "more",
    [
        f"dashboard: {{api_key: {SECRET}}}",
        f"dashboard: {{api_key: [{SECRET}]}}",
        f"dashboard: {{apikey: {SECRET}}}",
        f"dashboard: {{password: {SECRET}}}",
        f"publish: {{api_key: {SECRET}}}",
        f"publish: {{tiled: 'https://user:{SECRET}@tiled.example'}}",
        f"publish: {{tiled: 'https://tiled.example?api_key={SECRET}'}}",
        f"bluesky: {{curve: {{secret_key: {SECRET}, client_keys: [env:A]}}}}",
        f"detector: {{endpoint: 'tcp://a:1', geometry: x, curve: {{server_key: env:A, secret_key: {SECRET}}}}}",
    ],
)
def test_a_key_in_the_config_is_refused_and_not_repeated(tmp_path: Path, more: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_config(written(tmp_path, more), {})
    assert SECRET not in str(error.value)
    assert "not shown" in str(error.value)


def test_a_facilitys_tiled_needs_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = load_config(written(tmp_path, "publish: {tiled: 'https://tiled.example'}"), {})
    monkeypatch.delenv("TILED_API_KEY", raising=False)
    with pytest.raises(ConfigError, match=r"publish\.tiled is 'https://tiled\.example'.*TILED_API_KEY"):
        facility_key(config)
    monkeypatch.setenv("TILED_API_KEY", SECRET)
    assert facility_key(config) == SECRET


@pytest.mark.parametrize("value", [SECRET, f"[{SECRET}"])
def test_nor_one_in_a_variable_of_the_config(tmp_path: Path, value: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_config(written(tmp_path, ""), {"BRAGGSTREAM__DASHBOARD__API_KEY": value})
    assert SECRET not in str(error.value)


def test_a_key_from_a_file_beside_the_config(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, "dashboard: {host: '::', api_key: 'file:page.key'}"), {})
    with pytest.raises(ConfigError, match=r"page\.key cannot be read"):
        users_key(config)
    for text, words in (("", "is empty"), ("a b", "without spaces"), ("ключ", "ASCII"), ("x" * 20_000, "too large")):
        (tmp_path / "page.key").write_text(text)
        with pytest.raises(ConfigError, match=words) as error:
            users_key(config)
        assert len(str(error.value)) < 300
    (tmp_path / "page.key").write_text(f"{SECRET}\n")
    assert users_key(config) == SECRET
    write_resolved(config, tmp_path / "resolved.yaml")
    assert SECRET not in (tmp_path / "resolved.yaml").read_text()
    assert users_key(read_resolved(tmp_path / "resolved.yaml")) == SECRET


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "192.0.2.1", "2001:db8::1", "detector.example", "", "::ffff:192.0.2.1"]
)
def test_who_can_be_reached_by_others_needs_a_key(tmp_path: Path, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BRAGGSTREAM_KEY", raising=False)
    config = load_config(written(tmp_path, f"dashboard: {{host: '{host}'}}"), {})
    with pytest.raises(ConfigError, match="set a key in BRAGGSTREAM_KEY"):
        users_key(config)
    monkeypatch.setenv("BRAGGSTREAM_KEY", SECRET)
    assert users_key(config) == SECRET


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.8.8.8"])
def test_on_loopback_a_key_is_made(tmp_path: Path, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BRAGGSTREAM_KEY", raising=False)
    config = load_config(written(tmp_path, f"dashboard: {{host: '{host}'}}"), {})
    made = {dashboard_key(config, RunDirectory(tmp_path / "run")) for _ in range(20)}
    assert len(made) == 20
    assert min(map(len, made)) >= 32


def test_what_keeps_a_key_is_for_its_user_alone(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    other = tmp_path / "other"
    other.write_text("left alone")
    directory.key.symlink_to(other)
    store_key(SECRET, directory)
    write_opener(f"http://127.0.0.1:8080/#key={SECRET}", tmp_path / "open.html")
    for path in (directory.key, tmp_path / "open.html"):
        assert stat.S_IMODE(path.lstat().st_mode) == 0o600
        assert SECRET in path.read_text()
    assert other.read_text() == "left alone"


def test_curve_keys_of_certificates_and_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    public_file, secret_file = create_certificates(tmp_path, "detector")
    public = curve_key(f"file:{public_file}", "a", "public")
    assert zmq.curve_public(curve_key(f"file:{secret_file}", "a", "secret")) == public
    monkeypatch.setenv("A_KEY", public.decode())
    assert curve_key("env:A_KEY", "a", "public") == public
    for place in (f"file:{public_file}", "env:NOT_THERE"):
        with pytest.raises(ConfigError, match=r"detector\.curve\.secret_key is"):
            curve_key(place, "detector.curve.secret_key", "secret")
