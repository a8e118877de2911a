"""Text encoders: :func:`load_encoder` and what it is made of. Heavy libraries load when a model does."""

from bedside.encoders.load import load_encoder
from bedside.encoders.prepare import prepare
from bedside.encoders.transformer import TransformerEncoder

__all__ = ["TransformerEncoder", "load_encoder", "prepare"]
