"""A local stand-in for model providers, whose opinions about brands are known beforehand."""

from __future__ import annotations

from devkit.simulator.answers import Answer, draw
from devkit.simulator.app import create_app
from devkit.simulator.config import (
    SimulatorConfig,
    default_config,
    load_config,
    parse_config,
)
from devkit.simulator.drawing import (
    BrandDraw,
    Draw,
    Message,
    Outcome,
    Question,
    Sentiment,
    sample_name,
)
from devkit.simulator.faults import FaultRates
from devkit.simulator.ground_truth import (
    Brand,
    BrandOdds,
    GroundTruth,
    GroundTruthError,
    ModelTruth,
    PromptTag,
)
from devkit.simulator.server import RunningSimulator, serve
from devkit.simulator.settings import ModelSettings, Prices, SettingsError
from devkit.simulator.tables import ConfigError

__all__ = [
    "Answer",
    "Brand",
    "BrandDraw",
    "BrandOdds",
    "ConfigError",
    "Draw",
    "FaultRates",
    "GroundTruth",
    "GroundTruthError",
    "Message",
    "ModelSettings",
    "ModelTruth",
    "Outcome",
    "Prices",
    "PromptTag",
    "Question",
    "RunningSimulator",
    "Sentiment",
    "SettingsError",
    "SimulatorConfig",
    "create_app",
    "default_config",
    "draw",
    "load_config",
    "parse_config",
    "sample_name",
    "serve",
]
