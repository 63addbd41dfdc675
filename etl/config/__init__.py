"""Turn the environment, a TOML file and key files into Settings, and name every fault at once."""

from __future__ import annotations

from etl.config.keys import required_keys, secrets_of
from etl.config.loading import Origins, load, origins

__all__ = ["Origins", "load", "origins", "required_keys", "secrets_of"]
