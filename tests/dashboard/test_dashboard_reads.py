"""What can be read of a run over a real socket: the same numbers in every form."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import tifffile
from helpers.dashboard import SCAN, sentence, serving
from helpers.fake_run import CLASSES, FakeRun
from PIL import Image

from stream.analyse.crystal.reasons import Reason
from stream.core.errors import FitError
from stream.core.revision import Revision, read_revision
from stream.dashboard.catalogue import catalogue


def arrays(run: FakeRun) -> dict[str, Any]:
    revision = read_revision(run.directory.revision)
    assert revision is not None
    return dict(revision.arrays)


def test_status_carries_the_metadata_and_the_figures(client: httpx.Client, run: FakeRun) -> None:
    status = client.get("/api/v1/status").json()
    frames = status["frames"]
    assert (status["scan"], status["status"], status["revision"]) == ("ncm622-cycled", "acquiring", 1)
    rejected, dropped = sum(frames["rejected"].values()), sum(frames["dropped"].values())
    assert frames["received"] == frames["integrated"] + frames["duplicate"] + rejected + dropped + frames["in_flight"]
    assert frames["expected"] == frames["integrated"] + frames["missing"] == run.grid.size
    assert status["eta"] == pytest.approx(frames["missing"] / status["rate"])
    assert [text for _, text in status["notes"]] == ["frame 17 was truncated", "series 1 opened by its header"]


def test_a_class_map_says_what_it_could_not_see(run: FakeRun) -> None:
    revision = read_revision(run.directory.revision)
    assert revision is not None
    for unseen, title in (([], "Class"), (["carbon", "glass"], "Class, carbon and glass hardly measured")):
        model = {**revision.metadata["model"], "unseen": unseen}
        told = replace(revision, metadata={**revision.metadata, "model": model})
        assert next(entry.title for entry in catalogue(told, run.config) if entry.name == "class_index") == title


def test_maps_are_listed_with_group_unit_and_error(client: httpx.Client) -> None:
    entries = client.get(f"{SCAN}/maps").json()["maps"]
    by_name = {entry["name"]: entry for entry in entries if entry["plane"] is None}
    assert by_name["strain_layered"]["error"] == "strain_error_layered"
    assert by_name["a_layered"]["unit"] == "Angstrom"
    assert by_name["hump"]["group"] == "Intensity"
    assert [entry["plane"] for entry in entries if entry["plane"]] == CLASSES


@pytest.mark.parametrize("index", [0, 1])
def test_a_map_is_the_same_in_every_format(client: httpx.Client, run: FakeRun, index: int) -> None:
    expected = arrays(run)["maps/strain_layered"][index]

    def get(form: str) -> httpx.Response:
        return client.get(f"{SCAN}/maps/strain_layered", params={"slice": index, "format": form}).raise_for_status()

    data = np.array(get("json").json()["data"], dtype=np.float32)
    np.testing.assert_array_equal(data, expected)
    answer = get("npy")
    np.testing.assert_array_equal(np.load(io.BytesIO(answer.content)), expected)
    assert json.loads(answer.headers["X-Braggstream"])["revision"] == 1
    np.testing.assert_array_equal(tifffile.imread(io.BytesIO(get("tiff").content)), expected)
    np.testing.assert_allclose(np.loadtxt(io.StringIO(get("csv").text), delimiter=","), expected, rtol=1e-6)
    picture = np.asarray(Image.open(io.BytesIO(get("png").content)))
    np.testing.assert_array_equal(picture[..., 3] > 0, np.isfinite(expected))


def test_the_colours_of_a_picture_follow_the_limits(client: httpx.Client) -> None:
    answer = client.get(f"{SCAN}/maps/coverage", params={"format": "png", "low": 5, "high": 6})
    picture = np.asarray(Image.open(io.BytesIO(answer.content)))
    assert (picture[picture[..., 3] > 0][:, :3] == [0x00, 0x22, 0x4E]).all()  # the darkest colour of cividis


def test_class_probability_by_label_and_whole(client: httpx.Client, run: FakeRun) -> None:
    expected = arrays(run)["maps/class_probability"][0]
    one = client.get(f"{SCAN}/maps/class_probability", params={"class": "particle", "format": "npy"})
    np.testing.assert_array_equal(np.load(io.BytesIO(one.content)), expected[3])
    whole = client.get(f"{SCAN}/maps/class_probability", params={"format": "npy"})
    np.testing.assert_array_equal(np.load(io.BytesIO(whole.content)), expected)
    assert "ask for one plane" in sentence(client.get(f"{SCAN}/maps/class_probability?format=png"), 422)


def test_sinograms_pattern_and_frame(client: httpx.Client, run: FakeRun) -> None:
    stored = arrays(run)
    assert set(client.get(f"{SCAN}/sinograms").json()["sinograms"]) == {"global", "hump", "layered", "spinel"}
    sinogram = client.get(f"{SCAN}/sinograms/hump?format=npy")
    np.testing.assert_array_equal(np.load(io.BytesIO(sinogram.content)), stored["sinograms/hump"][0])
    pattern = client.get(f"{SCAN}/pattern").json()
    np.testing.assert_allclose(pattern["axis"], stored["radial"])
    assert pattern["regions"] == [{"name": "hump", "range": [1.5, 3.0]}]
    frame = client.get(f"{SCAN}/frame").json()
    assert (frame["saturated"], frame["factor"], frame["shape"]) == (3, 16, [130, 140])
    assert frame["data"][65][0] is None


def test_a_voxel_tells_pattern_values_errors_and_classes(client: httpx.Client, run: FakeRun) -> None:
    stored = arrays(run)
    volume = np.fromfile(run.directory.volume, dtype="<f4").reshape(2, 21, 21, run.bins)
    voxel = client.get(f"{SCAN}/voxels/1/9/12").json()
    np.testing.assert_array_equal(np.float32(voxel["pattern"]), volume[1, 9, 12])
    assert voxel["position_um"] == {"y": -1.0, "x": 2.0}
    by_name = {value["name"]: value for value in voxel["values"]}
    assert by_name["coverage"]["value"] == pytest.approx(stored["maps/coverage"][1, 9, 12])
    error = stored["maps/strain_error_layered"][1, 9, 12].item()
    assert by_name["strain_layered"]["error"] == (pytest.approx(error) if np.isfinite(error) else None)
    assert list(voxel["classes"]["probabilities"]) == CLASSES
    assert sum(voxel["classes"]["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    energy = stored["fluorescence/voxel_energy"]
    spectra = np.fromfile(run.directory.fluorescence.volume, dtype="<f4").reshape(2, 21, 21, len(energy))
    assert voxel["fluorescence"]["energy"] == energy.tolist()
    np.testing.assert_array_equal(np.float32(voxel["fluorescence"]["spectrum"]), spectra[1, 9, 12])
    assert voxel["fit"] is None


def test_a_voxel_says_why_a_number_is_missing(client: httpx.Client, run: FakeRun) -> None:
    stored = arrays(run)
    layered, ratio = stored["maps/mask_layered"], stored["maps/ratio_003_104_layered"]

    def masked(where: Any) -> dict[str, str | None]:
        s, y, x = np.argwhere(where)[0]
        values = client.get(f"{SCAN}/voxels/{s}/{y}/{x}").json()["values"]
        return {value["name"]: value["masked"] for value in values}

    absent = masked(layered == Reason.NO_SIGNAL)
    assert absent["strain_layered"] == absent["c_over_a_layered"] == "the phase is not there"
    assert absent["coverage"] is None
    there = masked((layered == 0) & np.isnan(ratio))
    assert (there["strain_layered"], there["ratio_003_104_layered"]) == (None, "intensities tied to the structure")
    assert masked(layered == -1)["size_layered"] == "outside the field of view"
    entries = {entry["name"]: entry for entry in client.get(f"{SCAN}/maps").json()["maps"]}
    assert entries["cell_volume_layered"]["mask"] == "mask_layered"
    assert entries["phase_layered"]["mask"] is None
    assert entries["mask_layered"]["labels"] == client.get("/api/v1/status").json()["mask_reasons"]


def test_particles_have_an_address_of_their_own(client: httpx.Client, run: FakeRun) -> None:
    found = client.get(f"{SCAN}/particles").json()
    sizes = [particle["diameter_um"] for particle in found["particles"]]
    assert sizes == sorted(sizes, reverse=True)
    assert len(sizes) == arrays(run)["maps/particle_index"].max() + 1
    assert set(found["particle_correlation"]) == {"diameter", "contact"}
    assert "particles" not in client.get("/api/v1/status").json()


def test_a_voxel_outside_the_field_of_view_has_no_numbers(client: httpx.Client) -> None:
    voxel = client.get(f"{SCAN}/voxels/0/0/0").json()
    assert not voxel["inside"]
    numbers = [value for value in voxel["values"] if not value["name"].endswith("_index")]
    assert {value["value"] for value in numbers if not value["name"].startswith("mask_")} == {None}
    assert voxel["classes"]["label"] is None


def test_a_profile_follows_the_line(client: httpx.Client, run: FakeRun) -> None:
    volume = np.fromfile(run.directory.volume, dtype="<f4").reshape(2, 21, 21, run.bins)
    profile = client.get(f"{SCAN}/profile", params={"from": "2,3", "to": "8,6"}).json()
    assert [(point["y"], point["x"]) for point in profile["points"]][::2] == [(2, 3), (4, 4), (6, 5), (8, 6)]
    assert profile["points"][-1]["distance_um"] == pytest.approx(np.hypot(6, 3))
    np.testing.assert_array_equal(np.float32(profile["patterns"][-1]), volume[0, 8, 6])


def test_the_fit_of_a_voxel_is_passed_on(tmp_path: Path) -> None:
    run = FakeRun(tmp_path, size=21)
    run.advance(0.2)

    def fit(revision: Revision, index: int, pattern: Any) -> dict[str, Any]:
        if pattern.max() < 0.5:
            raise FitError("fewer than three usable reflections")
        return {"curve": pattern * 0 + revision.arrays["radial"].max()}

    with serving(run, fit_voxel=fit) as url, httpx.Client(base_url=url + SCAN, trust_env=False) as client:
        volume = np.fromfile(run.directory.volume, dtype="<f4").reshape(21, 21, run.bins)
        strong = np.argwhere(volume.max(axis=-1) > 0.5)[0]
        assert client.get(f"/voxels/0/{strong[0]}/{strong[1]}").json()["fit"]["curve"][0] == pytest.approx(20.0)
        weak = client.get("/voxels/0/0/0").json()
        assert (weak["fit"], weak["fit_refused"]) == (None, "fewer than three usable reflections")
