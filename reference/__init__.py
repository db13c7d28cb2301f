"""The instrumented reference decoder of speculative Jacobi decoding, and the models it is shown on.

Read :mod:`reference.kernel` first: one step is the whole theory. Then :mod:`reference.drafting` (what differs between
methods), :mod:`reference.verification` (what does not) and :mod:`reference.decoder` (the loop).
"""

from reference.decoder import DecodeOutput, decode
from reference.drafting import Gumbel, Independent, Maximal, Mixture
from reference.methods import METHODS, Method, coupling_mixture, get_method
from reference.methods.sjd_pac import AdaptiveContinuation
from reference.methods.sjd_vp import VerificationPrediction
from reference.models.base import TargetModel, check_model
from reference.models.hf import HuggingFaceModel, load_hf
from reference.models.image import ImageModel, load_model
from reference.models.processors import GuidedModel, ProcessedModel, Processors
from reference.models.tabular import TabularModel

__all__ = [
    "METHODS",
    "AdaptiveContinuation",
    "DecodeOutput",
    "GuidedModel",
    "Gumbel",
    "HuggingFaceModel",
    "ImageModel",
    "Independent",
    "Maximal",
    "Method",
    "Mixture",
    "ProcessedModel",
    "Processors",
    "TabularModel",
    "TargetModel",
    "VerificationPrediction",
    "check_model",
    "coupling_mixture",
    "decode",
    "get_method",
    "load_hf",
    "load_model",
]
