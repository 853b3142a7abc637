"""The config of a run: what the user wrote, checked, with every default filled in."""

from stream.core.config.load import load_config, parse_config, read_resolved, write_resolved
from stream.core.config.models import (
    AmorphousPhase,
    Config,
    CrystallinePhase,
    DashboardConfig,
    DetectorConfig,
    IntegrationConfig,
    Phase,
    PublishConfig,
    ReconstructionConfig,
    Region,
    StrainConfig,
)
from stream.core.config.scan import ScanConfig

__all__ = [
    "AmorphousPhase",
    "Config",
    "CrystallinePhase",
    "DashboardConfig",
    "DetectorConfig",
    "IntegrationConfig",
    "Phase",
    "PublishConfig",
    "ReconstructionConfig",
    "Region",
    "ScanConfig",
    "StrainConfig",
    "load_config",
    "parse_config",
    "read_resolved",
    "write_resolved",
]
