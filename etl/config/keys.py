"""The secrets: which layer gives which key, whether there is one, and all that must never be shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from etl.address import passwords
from etl.config.key_files import key_fault, key_in_file, login_key
from etl.config.layers import KEY_FIELDS, put, resolved
from etl.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from etl.config.faults import Faults
    from etl.config.layers import Layer
    from etl.config.names import Place
    from etl.settings import Key, Settings


def required_keys(settings: Settings) -> tuple[Key, ...]:
    """
    Return the keys, of which there must be one.

    Raises:
        SettingsError: There is none.
    """
    if not settings.api_keys:
        raise SettingsError(
            "There is no Roboflow API key.",
            remedy="Set ROBOFLOW_API_KEY or ROBOFLOW_API_KEY_FILE, or name a key for each workspace in "
            "batchledger.toml; the key that `roboflow login` saved is used when there is no other.",
        )
    return settings.api_keys


def secrets_of(settings: Settings, environ: Mapping[str, str]) -> frozenset[str]:
    """Return every secret that must never be shown: keys, and passwords of the database."""
    keys = (settings.source.api_key, settings.jobs.pseudonym_key, *(key.secret for key in settings.api_keys))
    uri = settings.database.url
    texts = (*(key.get_secret_value() for key in keys if key), environ.get("PGPASSWORD"))
    return frozenset(filter(None, texts)) | (passwords(uri.get_secret_value()) if uri else frozenset())


def read_keys(layers: tuple[Layer, ...], environ: Mapping[str, str], faults: Faults) -> dict[str, Any]:
    """Find the text of each key that is named; the first layer that names one wins."""
    keys: dict[str, Any] = {}
    for section in (("source",), *_workspaces(layers)):
        secret = next(
            (_read_key(layer, section, environ, faults) for layer in layers if _given(layer, section)), None
        )
        if secret is not None:
            put(keys, (*section, "api_key"), secret)
    has_key = any(
        _given(layer, section) for layer in layers for section in (("source",), *_workspaces(layers))
    )
    login = None if has_key else login_key(environ)
    return keys | ({"source": {"api_key": login}} if login else {})


def read_pseudonym_key(
    layers: tuple[Layer, ...], environ: Mapping[str, str], faults: Faults
) -> dict[str, Any]:
    """Read the secret of pseudonyms, where a file holds it and nothing stronger gives it."""
    for layer in layers:
        table = layer.table.get("jobs")
        given = table if isinstance(table, dict) else {}
        path = given.get("pseudonym_key_file")
        if _is_told(given.get("pseudonym_key")) or not isinstance(path, str):
            continue
        secret, fault = key_in_file(resolved(path, layer.base, environ))
        if not fault:
            return {"jobs": {"pseudonym_key": secret}}
        faults.add(layer.label(("jobs", "pseudonym_key_file")), fault)
    return {}


def _is_told(value: object) -> bool:
    """Say whether a key was given, or what is none at all; an empty text gives none."""
    return bool(value.strip()) if isinstance(value, str) else value is not None


def _workspaces(layers: tuple[Layer, ...]) -> list[Place]:
    tables = [layer.table.get("workspaces") for layer in layers]
    slugs = [slug for table in tables if isinstance(table, dict) for slug in table]
    return [("workspaces", slug) for slug in dict.fromkeys(slugs)]


def _given(layer: Layer, section: Place) -> list[str]:
    """Return the ways in which a layer gives the key of a section, the strongest first."""
    table: object = layer.table
    for name in section:
        table = table.get(name) if isinstance(table, dict) else None
    return [name for name in KEY_FIELDS if name in table] if isinstance(table, dict) else []


def _read_key(layer: Layer, section: Place, environ: Mapping[str, str], faults: Faults) -> str | None:
    place = (*section, _given(layer, section)[0])
    value: Any = layer.table
    for name in place:
        value = value[name]
    if not isinstance(value, str):
        return None
    label = layer.label(place)
    secret, fault = _key_text(place[-1], value, layer.base, environ)
    fault = fault or key_fault(secret)
    if fault:
        faults.add(label, fault)
    return secret


def _key_text(kind: str, value: str, base: Path, environ: Mapping[str, str]) -> tuple[str, str]:
    """Return the key and no fault, or no key and the fault."""
    if kind == "api_key_file":
        return key_in_file(resolved(value, base, environ))
    if kind == "api_key_env":
        return environ.get(value, "").strip(), "" if value in environ else "names a variable that is not set"
    return value.strip(), ""
