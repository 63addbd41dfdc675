"""What every test shares: how many examples the property tests try, by `HYPOTHESIS_PROFILE` (quick, many)."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

settings.register_profile("quick", max_examples=40, deadline=None, database=None, derandomize=True)
settings.register_profile(
    "many",
    max_examples=20_000,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))
