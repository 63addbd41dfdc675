"""The only importer of requests: auth, time limits, retry, rate limit, status → error."""

from __future__ import annotations

from etl.client.call import Call, SourceOptions
from etl.client.key import ApiKey
from etl.client.retry import retry_after_s, retrying
from etl.client.source import RoboflowSource

__all__ = ["ApiKey", "Call", "RoboflowSource", "SourceOptions", "retry_after_s", "retrying"]
