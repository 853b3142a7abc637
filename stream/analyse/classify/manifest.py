"""`manifest.json` of a folder of models: which files belong to it, and what they must be."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from stream.core.errors import ConfigError

MANIFEST = "manifest.json"
CLASSES = ("empty", "capillary", "carbon_binder", "particle", "particle_with_carbon")


class Entry(BaseModel):
    """One model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    file: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*\.onnx$", description="in the manifest's folder")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="of the file's bytes")
    opset: int
    input: str = Field(description="float32 (n, 2 · bins + 2): see preprocess.features")
    output: str = Field(description="float32 (n, classes + 1): probabilities, the last of an unfamiliar pattern")
    classes: tuple[str, ...]
    q_low: float = Field(gt=0, description="Å⁻¹")
    q_high: float = Field(gt=0, description="Å⁻¹")
    q_bins: int = Field(gt=0)
    threshold: float = Field(ge=0, le=1, description="a voxel whose best class is less probable is unknown")
    min_known: float = Field(ge=0, le=1, description="share of the q grid below which every voxel is unknown")
    golden_input: tuple[tuple[float, ...], ...] = Field(description="rows of the input …")
    golden_output: tuple[tuple[float, ...], ...] = Field(description="… and what the model makes of them")


class Manifest(BaseModel):
    """The models of a folder, and the one that `auto` means."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    default: str
    models: tuple[Entry, ...]

    def entry(self, name: str) -> Entry:
        """The model of that name, or the default for `auto`.

        Raises
        ------
        ConfigError
            naming the known ones.
        """
        wanted = self.default if name == "auto" else name
        for entry in self.models:
            if entry.name == wanted:
                return entry
        known = ", ".join(entry.name for entry in self.models)
        raise ConfigError(f"model is {name!r}, which is neither a folder nor one of auto, {known}")


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
