"""Static encoders made of a BERT-type teacher; encoding with them needs numpy alone."""

from bedside.tuning.static.distillation import distill, distill_files
from bedside.tuning.static.token_vectors import Recipe

__all__ = ["Recipe", "distill", "distill_files"]
