"""The config of a run: what the user wrote, checked, with every default filled in."""

from stream.core.config.detector import (
    BlueskyCurve,
    Column,
    Curve,
    DetectorConfig,
    FluorescenceConfig,
    FrameStream,
    MonitorStream,
)
from stream.core.config.integration import Background, Filter, IntegrationConfig, Method
from stream.core.config.load import load_config, parse_config, read_resolved, write_resolved
from stream.core.config.models import (
    BlueskyConfig,
    Config,
    DashboardConfig,
    PublishConfig,
    ReconstructionConfig,
    StrainConfig,
)
from stream.core.config.phases import AmorphousPhase, CrystallinePhase, Phase, Region
from stream.core.config.scan import ScanConfig

__all__ = [
    "AmorphousPhase",
    "Background",
    "BlueskyConfig",
    "BlueskyCurve",
    "Column",
    "Config",
    "CrystallinePhase",
    "Curve",
    "DashboardConfig",
    "DetectorConfig",
    "Filter",
    "FluorescenceConfig",
    "FrameStream",
    "IntegrationConfig",
    "Method",
    "MonitorStream",
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
