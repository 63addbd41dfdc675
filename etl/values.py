"""How the values of settings are written: durations, addresses, patterns of projects, lists."""

# No message quotes a value: it may be a secret that was put in the wrong place.

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, StringConstraints

from etl.address import accepted


def _duration(value: object) -> object:
    """Read `15m` and `1h30m` as the ISO 8601 that they abbreviate, and digits as seconds."""
    if not isinstance(value, str):
        return value
    text = value.strip().upper()
    if text.isdecimal():
        return int(text)
    short = re.fullmatch(r"(\d+D)?((?:\d+H)?(?:\d+M)?(?:\d+S)?)", text)
    return f"P{short[1] or ''}{short[2] and 'T' + short[2]}" if short else text


def _items(value: object) -> object:
    return re.split(r"[,\s]+", value.strip(", \t\r\n")) if isinstance(value, str) else value


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _api_url(value: str) -> str:
    """Accept the address of an API: scheme and host, perhaps a path, and nothing that could hold a key."""
    try:
        parts = urlsplit(value)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address:
        raise ValueError("must be an address such as https://api.roboflow.com")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError("must be an address alone, without user, key or query")
    return value.rstrip("/")


def _database_url(value: SecretStr) -> SecretStr:
    return SecretStr(accepted(value.get_secret_value()))


def _timezone(value: str) -> str:
    """Accept the name of an IANA time zone."""
    try:
        ZoneInfo(value)
    except (ValueError, OSError, KeyError):
        is_known = False
    else:
        is_known = True
    if not is_known:
        raise ValueError("must be the IANA name of a time zone, such as UTC or Europe/Berlin")
    return value


def _cron(value: str) -> str:
    """Accept what the scheduler will accept as a crontab line."""
    # Only who sets a cron expression pays for the import.
    from apscheduler.triggers.cron import CronTrigger  # noqa: PLC0415

    try:
        CronTrigger.from_crontab(value, timezone="UTC")
    except (ValueError, TypeError):
        is_cron = False
    else:
        is_cron = True
    if not is_cron:
        raise ValueError('must be a cron expression of five fields, such as "*/15 * * * *"')
    return value


_RULE = re.compile(r"!?([^/\s\[\]!]+)/([^/\s\[\]!]+)")


def _project_rule(value: str) -> str:
    """Accept `workspace/project`, with `*` and `?` in either part, and `!` before it."""
    if not _RULE.fullmatch(value):
        raise ValueError(
            "must be workspace/project, such as acme/*, acme/cars or !acme/scratch-* (* and ? only)"
        )
    return value


def _age_rule(value: object) -> object:
    """Read `workspace/project=7d`."""
    if not isinstance(value, str):
        return value
    pattern, sign, age = value.partition("=")
    if not sign:
        raise ValueError("must be workspace/project=age, such as acme/archive-*=7d; 0 promises nothing")
    return (pattern.strip(), age.strip())


AnyCase = BeforeValidator(_lower)
"""A word whose capitals do not matter."""

Listed = BeforeValidator(_items)
"""A list, which a variable gives with commas or spaces between its items."""

Number = Annotated[float, Field(allow_inf_nan=False)]
Duration = Annotated[timedelta, BeforeValidator(_duration)]
Age = Annotated[Duration, Field(ge=timedelta(0), le=timedelta(days=3660))]
TimeZone = Annotated[str, AfterValidator(_timezone)]
Cron = Annotated[str, AfterValidator(_cron)]

ProjectRule = Annotated[str, AfterValidator(_project_rule)]
AgeRule = Annotated[tuple[ProjectRule, Age], BeforeValidator(_age_rule)]
SlugText = Annotated[str, StringConstraints(pattern=r"^[^/\s]+$")]

ApiUrl = Annotated[str, AfterValidator(_api_url)]
DatabaseUrl = Annotated[SecretStr, AfterValidator(_database_url)]
HostName = Annotated[str, AnyCase, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9._-]{0,251}[a-z0-9])?$")]
