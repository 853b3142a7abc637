"""Containerfile, compose and kustomize set: each name that one place gives is known in the other."""

from __future__ import annotations

import fnmatch
import json
import re
import shutil
import subprocess
import tomllib
from importlib.resources import files
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import pytest
import yaml
from facility import DEPLOY
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from typer.main import get_command

from stream.cli.app import app
from stream.core.config import load_config

ROOT = DEPLOY.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
KUSTOMIZATION = yaml.safe_load((DEPLOY / "kustomization.yaml").read_text())
OBJECTS = [each for path in KUSTOMIZATION["resources"] for each in yaml.safe_load_all((DEPLOY / path).read_text())]
WORKLOADS = {
    each["metadata"]["name"]: each["spec"] for each in OBJECTS if each["kind"] in {"Deployment", "StatefulSet"}
}
CONFIGS = {each["name"]: {Path(file).name for file in each["files"]} for each in KUSTOMIZATION["configMapGenerator"]}
USERS = "config/"
"""What the user brings, and the repository does not have."""
VARIABLES = set(re.findall(r"^(\w+)=$", (DEPLOY / "env.example").read_text(), re.M))


@pytest.mark.parametrize(
    ("lock", "wanted"),
    [
        ("requirements.txt", [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dask"]]),
        ("build.txt", [line for line in (DEPLOY / "build.in").read_text().splitlines() if line[0] != "#"]),
    ],
)
def test_a_lock_holds_what_is_needed(lock: str, wanted: list[str]) -> None:
    text = (DEPLOY / lock).read_text()
    blocks = re.findall(r"^([\w.-]+)(?:\[[^]]*\])?==([^\s;]+)[^\n]*\n((?:    .*\n)*)", text, re.M)
    assert all("--hash=sha256:" in hashes for _, _, hashes in blocks)
    locked: dict[str, set[str]] = {}
    for name, version, _ in blocks:
        locked.setdefault(canonicalize_name(name), set()).add(version)
    command = text.splitlines()[1].lstrip("# ")
    for requirement in map(Requirement, wanted):
        versions = locked.get(canonicalize_name(requirement.name), set())
        assert versions, f"{requirement} is not locked; run: {command}"
        wrong = [each for each in versions if not requirement.specifier.contains(each)]
        assert not wrong, f"{requirement}: {wrong}; run: {command}"


def test_what_users_install_is_pinned_by_ranges() -> None:
    extras = [wanted for name, wanted in PROJECT["optional-dependencies"].items() if name != "dev"]
    for requirement in map(Requirement, chain(PROJECT["dependencies"], *extras)):
        assert {each.operator for each in requirement.specifier} == {">=", "<"}, str(requirement)


def instructions() -> list[tuple[str, str]]:
    """(instruction, arguments) of the Containerfile."""
    text = (DEPLOY / "Containerfile").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in lines)]


def test_the_image_copies_what_there_is_and_nobody_is_root_in_it() -> None:
    known = {"FROM", "RUN", "ENV", "WORKDIR", "COPY", "USER", "VOLUME", "EXPOSE", "STOPSIGNAL", "ENTRYPOINT", "CMD"}
    assert {name for name, _ in instructions()} <= known
    let_in = [line[1:] for line in (DEPLOY / "Containerfile.dockerignore").read_text().splitlines() if line[0] == "!"]
    copies = [rest.split() for name, rest in instructions() if name == "COPY" and "--from" not in rest]
    for source in (source for *sources, _ in copies for source in sources):
        assert (ROOT / source).exists()
        assert any(fnmatch.fnmatch(source, each) for each in let_in), f"{source} is ignored"
    assert not any(name in rest for name, rest in instructions() if name == "ENV" for name in ("KEY", "PASSWORD"))
    (user,) = (rest for name, rest in instructions() if name == "USER")
    assert user.isdecimal(), "Kubernetes looks whether it is not 0"
    assert {json.loads(rest)[0] for name, rest in instructions() if name == "ENTRYPOINT"} <= PROJECT["scripts"].keys()
    bases = [rest.split()[0] for name, rest in instructions() if name == "FROM"]
    assert {base.replace("-slim", "") for base in bases} == {bases[0]}, "of one Python and one Debian"


def test_compose_fits_its_schema() -> None:
    schema = json.loads(files("check_jsonschema").joinpath("builtin_schemas/vendor/compose-spec.json").read_text())
    jsonschema.validate(COMPOSE, schema)


def test_compose_names_what_there_is() -> None:
    services = COMPOSE["services"]
    assert set(re.findall(r"\$\{(\w+)", (DEPLOY / "compose.yaml").read_text())) <= VARIABLES
    assert {each["environment"] for each in COMPOSE["secrets"].values()} <= VARIABLES
    mounts = [mount.split(":") for service in services.values() for mount in service["volumes"]]
    for source in (source for source, *_ in mounts if source.startswith("./")):
        assert (DEPLOY / source).exists() or f"{source[2:]}/" == USERS
    assert {source for source, *_ in mounts if not source.startswith("./")} == set(COMPOSE["volumes"])
    for service in services.values():
        assert set(service.get("depends_on", {})) <= services.keys()
        assert set(service.get("secrets", [])) <= COMPOSE["secrets"].keys()
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), "others come by TLS"
    assert services["processor"]["command"][0] in get_command(app).commands  # type: ignore[attr-defined]
    said = services["processor"]["environment"].values()
    assert {each.removeprefix("file:/run/secrets/") for each in said if each.startswith("file:")} <= COMPOSE[
        "secrets"
    ].keys()
    scraped = re.findall(r"/run/secrets/(\w+)", (DEPLOY / "prometheus/prometheus.yml").read_text())
    assert set(scraped) <= set(services["prometheus"]["secrets"])


def test_the_processor_is_told_the_same_in_compose_and_kubernetes(tmp_path: Path) -> None:
    (tmp_path / "d.poni").touch()
    scan = {"name": "a", **{axis: {"start": 0, "step": 1, "count": 9} for axis in ("angles", "positions")}}
    config = {"scan": scan, "detector": {"endpoint": "tcp://detector:31001", "geometry": "d.poni"}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    (container,) = WORKLOADS["processor"]["template"]["spec"]["containers"]
    cluster = {each["name"]: each["value"] for each in container["env"]}
    services = {each["metadata"]["name"] for each in OBJECTS if each["kind"] == "Service"} & COMPOSE["services"].keys()
    for environment in (COMPOSE["services"]["processor"]["environment"], cluster):
        told = load_config(tmp_path / "config.yaml", environment)
        assert urlsplit(told.publish.tiled).hostname in services
        assert not told.dashboard.loopback
        assert told.dashboard.port == container["ports"][0]["containerPort"]
        assert told.dashboard.api_key.startswith("file:/run/")
        assert told.publish.api_key.startswith("file:/run/")


def test_tiled_is_given_each_variable_of_its_config() -> None:
    wanted = set(re.findall(r'"\$\{(\w+)\}"', (DEPLOY / "tiled/config.yml").read_text())) | {"PGPASSWORD"}
    assert wanted <= COMPOSE["services"]["tiled"]["environment"].keys()
    (container,) = WORKLOADS["tiled"]["template"]["spec"]["containers"]
    assert wanted <= {each["name"] for each in container["env"]}


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_pod_mounts_and_reads_what_there_is(name: str) -> None:
    workload = WORKLOADS[name]
    pod = workload["template"]["spec"]
    (container,) = pod["containers"]
    assert workload["selector"]["matchLabels"] == workload["template"]["metadata"]["labels"] == {"app": name}
    volumes = {
        each["name"]
        for each in [*pod.get("volumes", []), *(c["metadata"] for c in workload.get("volumeClaimTemplates", []))]
    }
    assert {mount["name"] for mount in container["volumeMounts"]} == volumes
    for volume in pod.get("volumes", []):
        assert volume.get("configMap", {"name": "tiled"})["name"] in CONFIGS
        assert {item["key"] for item in volume.get("secret", {}).get("items", [])} <= VARIABLES
    read = [each["valueFrom"]["secretKeyRef"] for each in container.get("env", []) if "valueFrom" in each]
    assert {each["key"] for each in read} <= VARIABLES
    ports = {port["name"] for port in container["ports"]}
    probes = [probe for key, probe in container.items() if key.endswith("Probe") and "httpGet" in probe]
    assert {probe["httpGet"]["port"] for probe in probes} <= ports
    assert pod["securityContext"]["runAsNonRoot"], "the namespace refuses others"
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["image"] == COMPOSE["services"].get(name, COMPOSE["services"]["processor"])["image"]


def test_services_and_the_ingress_lead_to_ports_that_there_are() -> None:
    services = {each["metadata"]["name"]: each["spec"] for each in OBJECTS if each["kind"] == "Service"}
    assert services.keys() == WORKLOADS.keys()
    for name, service in services.items():
        (container,) = WORKLOADS[service["selector"]["app"]]["template"]["spec"]["containers"]
        numbers = {port["name"]: port["containerPort"] for port in container["ports"]}
        for port in service["ports"]:
            assert numbers[port["targetPort"]] == port["port"], name
    (ingress,) = (each["spec"] for each in OBJECTS if each["kind"] == "Ingress")
    for rule in ingress["rules"]:
        backend = rule["http"]["paths"][0]["backend"]["service"]
        assert backend["port"]["name"] in {port["name"] for port in services[backend["name"]]["ports"]}
        assert rule["host"] in ingress["tls"][0]["hosts"]


def test_the_set_takes_every_manifest_and_files_that_there_are() -> None:
    assert sorted(KUSTOMIZATION["resources"]) == sorted(
        f"kubernetes/{path.name}" for path in (DEPLOY / "kubernetes").iterdir()
    )
    for path in (path for each in KUSTOMIZATION["configMapGenerator"] for path in each["files"]):
        assert path.startswith(USERS) or (DEPLOY / path).is_file()


def test_kustomize_and_the_schemas_of_kubernetes_find_nothing_wrong(tmp_path: Path) -> None:
    """By hand: pip install kubernetes-validate, 100 MB of schemas."""
    if shutil.which("kubectl") is None:
        pytest.skip("no kubectl here")
    kubernetes_validate = pytest.importorskip("kubernetes_validate")
    folder = tmp_path / "deploy"
    shutil.copytree(DEPLOY, folder, ignore=shutil.ignore_patterns("config"))
    (folder / ".env").write_text("".join(f"{name}=x\n" for name in VARIABLES))
    (folder / USERS).mkdir()
    for path in (
        path for each in KUSTOMIZATION["configMapGenerator"] for path in each["files"] if path.startswith(USERS)
    ):
        (folder / path).write_text("a: 1\n")
    built = subprocess.run(["kubectl", "kustomize", folder], check=True, capture_output=True, text=True).stdout
    objects: list[dict[str, Any]] = list(yaml.safe_load_all(built))
    assert len(objects) == len(OBJECTS) + len(CONFIGS) + 1
    for each in objects:
        kubernetes_validate.validate(each, kubernetes_validate.latest_version(), strict=True)
