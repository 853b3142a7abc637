"""`manifest.json` of a folder of models: which files belong to it, and what they must be."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from stream.core.errors import ConfigError

MANIFEST = "manifest.json"
SHA256 = r"^[0-9a-f]{64}$"
CLASSES = ("empty", "capillary", "carbon_binder", "particle", "particle_with_carbon")


class Golden(BaseModel):
    """Inputs kept beside the models, to see that they compute what they did when they were made."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*\.npy$", description="float32 (y, x, features)")
    sha256: str = Field(pattern=SHA256, description="of the file's bytes")


class Entry(BaseModel):
    """One model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    family: str = Field(description="cnn, mlp, svm or knn")
    file: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*\.onnx$", description="in the manifest's folder")
    sha256: str = Field(pattern=SHA256, description="of the file's bytes")
    opset: int
    input: str = Field(description="float32 (y, x, features): see preprocess.features")
    output: str = Field(description="float32 (y, x, classes + 1): probabilities, the last of an unfamiliar pattern")
    classes: tuple[str, ...]
    q_low: float = Field(gt=0, description="Å⁻¹")
    q_high: float = Field(gt=0, description="Å⁻¹")
    q_bins: int = Field(gt=0)
    threshold: float = Field(ge=0, le=1, description="a voxel that is as probably unfamiliar is unknown")
    min_known: float = Field(ge=0, le=1, description="share of the q grid below which every voxel is unknown")
    accuracy: float = Field(ge=0, le=1, description="of voxels of complete scans of phantoms never seen: see the card")
    golden_output: tuple[tuple[float, ...], ...] = Field(description="(y · x, classes + 1) of the golden input")


class Manifest(BaseModel):
    """The models of a folder, and the one that `auto` means."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    default: str
    golden: Golden
    models: tuple[Entry, ...]

    def entry(self, name: str) -> Entry:
        """The model of that name.

        Raises
        ------
        ConfigError
            naming the known ones.
        """
        for entry in self.models:
            if entry.name == name:
                return entry
        known = ", ".join(entry.name for entry in self.models)
        raise ConfigError(f"model is {name!r}, which is neither a folder nor one of auto, ensemble, {known}")


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a folder.

    Raises
    ------
    ConfigError
        if there is none, or a value in it is wrong.
    """
    path = folder / MANIFEST
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"the models' manifest {path} cannot be read: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"the models' manifest {path} is wrong at {where}: {first['msg']}") from None
