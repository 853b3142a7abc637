"""The plans as a queue server runs them: arguments in JSON, checked by its own code, devices by their names."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq
from helpers import beamline
from helpers.beamline import KEYS, Beamline
from helpers.chain import Command, results, until
from helpers.hutch import Hutch
from helpers.ports import free_port

from stream.bluesky import Forwarder, plans
from stream.bluesky.processor import Processor
from stream.bluesky.virtual_flyer import VirtualFlyer
from stream.core.documents import KeptDocuments

profile_ops = pytest.importorskip(
    "bluesky_queueserver.manager.profile_ops", reason="BLUESKY-QUEUESERVER MISSING: the plans are not run from a queue"
)

ANGLES = {"start": 0, "step": 45, "count": 5}
POSITIONS = {"start": -2, "step": 2, "count": 3}
SLICES = {"count": 2, "step": 5}
SECTION: dict[str, Any] = {"angles": ANGLES, "positions": POSITIONS, "slices": SLICES}
NAMES = ("xrdct_scan", "xrd_raster", "xrdct_until", "xrdct_adaptive", "align_axis", "calibrate")
PLANS = {name: getattr(plans, name) for name in NAMES}
AXES = [["detector"], "rot", "x"]
ITEMS: list[dict[str, Any]] = [
    {"name": "xrdct_scan", "args": [*AXES, ANGLES, POSITIONS], "kwargs": {**KEYS, "md": {"proposal": 7}}},
    {"name": "xrdct_scan", "args": [*AXES, ANGLES, POSITIONS], "kwargs": {"flyer": "flyer", "seconds": 0.002}},
    {"name": "xrd_raster", "args": [["detector"], "x", "z", POSITIONS, SLICES], "kwargs": KEYS},
    {"name": "calibrate", "args": [["detector"], "x", "z", POSITIONS, SLICES, "Si"], "kwargs": KEYS},
    {"name": "align_axis", "args": [*AXES, POSITIONS], "kwargs": {"count": 5, **KEYS}},
    {"name": "xrdct_until", "args": [["detector"], "processor", "rot", "x", ANGLES, POSITIONS],
     "kwargs": {"criterion": "classes", "agreement": 0.96, "seconds": 600}},
    {"name": "xrdct_adaptive", "args": [["detector"], "processor", "rot", "x", ANGLES, POSITIONS, 4],
     "kwargs": {"height": "z", "slices": SLICES, **KEYS}},
]  # fmt: skip
LIVE: dict[str, Any] = {
    "name": "xrdct_until", "args": [["camera"], "live", "turn", "shift", beamline.ANGLES, beamline.POSITIONS],
    "kwargs": {"criterion": "time", "seconds": 0, **KEYS},
}  # fmt: skip
WRONG: list[dict[str, Any]] = [
    {"name": "xrdct_scan", "args": [["detector"], 3.5, "x", ANGLES, POSITIONS]},
    {"name": "xrdct_scan", "args": [*AXES, ANGLES]},
    {"name": "xrdct_scan", "args": [*AXES, ANGLES, {"start": "left"}]},
    {"name": "xrdct_until", "args": [["detector"], "processor", "rot", "x", ANGLES, POSITIONS, "beauty"]},
]


def namespace(hutch: Hutch) -> dict[str, Any]:
    """What a start-up script makes."""
    detector, _ = hutch.detector(SECTION)
    motors = {motor.name: motor for motor in hutch.motors.values()}
    flyer = VirtualFlyer(detector, "position").with_device("flyer")
    return {**PLANS, **motors, "detector": detector, "flyer": flyer, "processor": Processor("http://127.0.0.1:9")}


def with_a_processor(hutch: Hutch, live: Beamline) -> dict[str, Any]:
    """Devices beside, whose frames go to a processor; the first plan's documents do, too."""
    hutch.engine.subscribe(Forwarder(live.site.config["bluesky"]["endpoint"]))
    return {"camera": live.detector, "turn": live.angle, "shift": live.position, "live": live.processor}


def test_plans_are_described_checked_and_run(tmp_path: Path) -> None:
    hutch = Hutch(tmp_path / "documents")
    space = namespace(hutch)
    try:
        described, devices, callables, objects = profile_ops.existing_plans_and_devices_from_nspace(nspace=space)
        allowed, permitted = profile_ops.load_allowed_plans_and_devices(
            existing_plans=described, existing_devices=devices
        )
        assert set(described) == set(PLANS)
        for plan in described.values():
            assert all("annotation" in parameter for parameter in plan["parameters"]), plan["name"]
            assert plan["description"]
        lists = {"allowed_plans": allowed["root"], "allowed_devices": permitted["root"]}
        for item in ITEMS:
            assert profile_ops.validate_plan(json.loads(json.dumps(item)), **lists) == (True, "")
        for item in WRONG:
            assert not profile_ops.validate_plan(item, **lists)[0], item
        item = {**ITEMS[0], "user_group": "root"}
        ready = profile_ops.prepare_plan(
            item, plans_in_nspace=callables, devices_in_nspace=objects, allowed_plans=allowed, allowed_devices=permitted
        )
        hutch.engine(ready["callable"](*ready["args"], **ready["kwargs"]))
    finally:
        space["detector"].close()
        hutch.close()
    documents = list(KeptDocuments(hutch.path).new())
    assert (documents[0].content["plan_name"], documents[0].content["proposal"]) == ("xrdct_scan", 7)
    assert sum(document.name == "event" for document in documents) == 15


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[str]:
    """The address of a real RE Manager, whose worker has the devices of a hutch."""
    if shutil.which("redis-server") is None:
        pytest.skip("REDIS MISSING (apt install redis-server): no queue server runs the plans")
    folder = Path(__file__).parent
    script = tmp_path / "startup.py"
    script.write_text(
        f"import sys\nfrom pathlib import Path\nsys.path[:0] = {[str(folder), str(folder.parent)]!r}\n"
        "from helpers.beamline import make_beamline\nfrom helpers.hutch import Hutch\n"
        "from test_queue import namespace, with_a_processor\n"
        f"hutch = Hutch(Path({str(tmp_path / 'documents')!r}))\nRE = hutch.engine\nglobals().update(namespace(hutch))\n"
        f"held = make_beamline(Path({str(tmp_path / 'live')!r}))\n"
        "globals().update(with_a_processor(hutch, held.__enter__()))\n"
    )
    redis, control, info = free_port(), f"tcp://127.0.0.1:{free_port()}", f"tcp://127.0.0.1:{free_port()}"
    commands = [
        ["redis-server", "--port", str(redis), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)],
        [str(Path(sys.executable).with_name("start-re-manager")), "--startup-script", str(script), "--keep-re",
         "--redis-addr", f"127.0.0.1:{redis}", "--zmq-control-addr", control, "--zmq-info-addr", info,
         "--existing-plans-devices", str(tmp_path / "existing.yaml"), "--update-existing-plans-devices", "ALWAYS",
         "--user-group-permissions", str(permissions(tmp_path))],
    ]  # fmt: skip
    processes = []
    with (tmp_path / "manager.log").open("wb") as told:
        for command in commands:
            processes.append(subprocess.Popen(command, stdout=told, stderr=subprocess.STDOUT, cwd=tmp_path))
            time.sleep(1.0)
        yield control
        for process in reversed(processes):
            process.terminate()
            process.wait(30)


def permissions(folder: Path) -> Path:
    """Everything is allowed to the one group."""
    path = folder / "permissions.yaml"
    allowed = {key: [None] for key in ("allowed_plans", "forbidden_plans", "allowed_devices", "forbidden_devices")}
    path.write_text(json.dumps({"user_groups": {"root": allowed, "primary": allowed}}))
    return path


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_real_worker_runs_a_queue_of_plans(manager: str, tmp_path: Path) -> None:
    def ask(method: str, **parameters: Any) -> dict[str, Any]:
        time.sleep(0.5)
        with zmq.Context() as context, context.socket(zmq.REQ) as socket:
            socket.setsockopt(zmq.LINGER, 0)
            socket.setsockopt(zmq.RCVTIMEO, 60_000)
            socket.connect(manager)
            socket.send_json({"method": method, "params": parameters})
            return dict(socket.recv_json())  # type: ignore[call-overload]

    until(lambda: ask("status").get("manager_state") == "idle", "the manager")
    assert ask("environment_open")["success"]
    until(lambda: ask("status")["worker_environment_exists"], "its worker", 180)
    run = Command(["run", "config.yaml", "--output", "run", "--once"], tmp_path / "live", {})
    for item in (LIVE, *ITEMS[:5]):
        added = ask("queue_item_add", item={**item, "item_type": "plan"}, user="test", user_group="primary")
        assert added["success"], added["msg"]
    try:
        assert ask("queue_start")["success"]
        until(lambda: ask("status")["items_in_history"] == 6, "the end of the queue", 300)
        outcomes = [item["result"]["exit_status"] for item in ask("history_get")["items"]]
        assert outcomes == ["completed"] * 6, (tmp_path / "manager.log").read_text()[-4000:]
        assert run.wait() == 3, "its time was out after the first projection"
    finally:
        run.end()
    ask("environment_close")
    stops = [d.content for d in KeptDocuments(tmp_path / "documents").new() if d.name == "stop"]
    assert [stop["num_events"]["primary"] for stop in stops] == [6, 15, 15, 6, 6, 15]
    assert np.isfinite(results(tmp_path / "live" / "run")["patterns"]).any(axis=-1).sum() == 6
