"""Text encoders: :func:`load_encoder` and what it is made of. Heavy libraries load when a model does."""

from bedside.encoders.cache import CachedEncoder, VectorCache
from bedside.encoders.calibration import Calibration, fit_calibration
from bedside.encoders.export import Export, Fidelity, export_model
from bedside.encoders.folders import fetch_model, push_to_hub
from bedside.encoders.load import load_encoder
from bedside.encoders.masked import MaskedLanguageModel, Prediction
from bedside.encoders.pair import PairedEncoder
from bedside.encoders.parallel import encode_parallel
from bedside.encoders.prepare import prepare, verify
from bedside.encoders.presets import PRESETS, Preset
from bedside.encoders.remote import Azure, RemoteEncoder
from bedside.encoders.static import StaticEncoder, load_static
from bedside.encoders.transformer import TransformerEncoder

__all__ = [
    "PRESETS",
    "Azure",
    "CachedEncoder",
    "Calibration",
    "Export",
    "Fidelity",
    "MaskedLanguageModel",
    "PairedEncoder",
    "Prediction",
    "Preset",
    "RemoteEncoder",
    "StaticEncoder",
    "TransformerEncoder",
    "VectorCache",
    "encode_parallel",
    "export_model",
    "fetch_model",
    "fit_calibration",
    "load_encoder",
    "load_static",
    "prepare",
    "push_to_hub",
    "verify",
]
