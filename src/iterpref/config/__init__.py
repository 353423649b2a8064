"""The schema under every YAML: one dataclass a section, one sentence with its unit a field.

`configs/` holds values, this package holds what a value may be. `load` turns a composed Hydra config into a `Config`, or stops
with a `UserError` that names the override and the nearest valid one. Rules between options are in `rules` and `codeflow_rules`.
"""

from iterpref.config.codeflow import DebugConfig, ProblemsConfig, SandboxConfig
from iterpref.config.evaluate import BenchmarkConfig, EvaluateConfig
from iterpref.config.generate import GenerateConfig
from iterpref.config.load import load, unknown_key
from iterpref.config.model import ConvertConfig, ModelConfig
from iterpref.config.pairs import PairsConfig
from iterpref.config.root import SECTIONS, Config, ExportConfig, PathsConfig, ReportConfig, schema_keys, to_dict
from iterpref.config.sweep import SweepConfig
from iterpref.config.training import DataConfig, LoggerConfig, LossConfig, MaskConfig, OptimConfig, TrainerConfig

__all__ = [
    "SECTIONS", "BenchmarkConfig", "Config", "ConvertConfig", "DataConfig", "DebugConfig", "EvaluateConfig", "ExportConfig",
    "GenerateConfig", "LoggerConfig", "LossConfig", "MaskConfig", "ModelConfig", "OptimConfig", "PairsConfig", "PathsConfig",
    "ProblemsConfig", "ReportConfig", "SandboxConfig", "SweepConfig", "TrainerConfig", "load", "schema_keys", "to_dict", "unknown_key",
]  # fmt: skip
