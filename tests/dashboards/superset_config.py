"""The settings of the Superset of these tests: it keeps what it knows in a file, and its secret is new."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path

SECRET_KEY = os.environ["SUPERSET_TEST_SECRET"]
SQLALCHEMY_DATABASE_URI = f"sqlite:///{Path(os.environ['SUPERSET_HOME'], 'superset.db')}"
# Otherwise charts that are not in sight are not drawn, and are not in the picture.
FEATURE_FLAGS = {"DASHBOARD_VIRTUALIZATION": False}

# As the page on Superset says, so that no picture is fetched that counts installations.
TALISMAN_CONFIG = import_module("superset.config").TALISMAN_CONFIG
TALISMAN_CONFIG["content_security_policy"]["img-src"] = ["'self'", "blob:", "data:"]
