"""The address of the database: which one libpq accepts, how SQLAlchemy takes it, what of it is secret."""

from __future__ import annotations

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy.engine import URL


def accepted(uri: str) -> str:
    """
    Return a connection URI that libpq accepts; libpq itself is asked.

    Raises:
        ValueError: It does not. The message does not quote it.
    """
    uri = uri.strip()
    if not uri.startswith(("postgresql://", "postgres://")):
        raise ValueError("must begin with postgresql:// or postgres://, without the name of a driver")
    try:
        params = conninfo_to_dict(uri)
    except ProgrammingError:
        params = None
    if params is None:
        raise ValueError(
            "is not an address that libpq understands: percent-encode @ : / ? # % in the password, "
            "and check the names of the parameters after the ?"
        )
    if not all(port.isdecimal() or not port for port in str(params.get("port", "")).split(",")):
        raise ValueError("must have a number as its port; percent-encode @ : / ? # % in the password")
    if not str(params.get("connect_timeout", "0")).removeprefix("-").isdecimal():
        raise ValueError("must have a whole number of seconds as its connect_timeout")
    return uri


def engine_url(uri: str) -> URL:
    """
    Turn a connection URI that was accepted into SQLAlchemy's address of the same database.

    Host and port go by way of the query, the one place where SQLAlchemy hands sockets and lists of hosts to
    libpq as they are.
    """
    params = {name: str(value) for name, value in conninfo_to_dict(uri).items() if value is not None}
    own = {name: params.pop(name, None) for name in ("user", "password", "dbname")}
    hosts = params.get("host", "").count(",") + 1
    if "port" in params and "," not in params["port"]:
        params["port"] = ",".join([params["port"]] * hosts)
    return URL.create(
        "postgresql+psycopg",
        username=own["user"],
        password=own["password"],
        database=own["dbname"],
        query=params,
    )


def passwords(uri: str) -> frozenset[str]:
    """Return every password in a connection URI that was accepted."""
    params = conninfo_to_dict(uri)
    return frozenset(str(params[name]) for name in ("password", "sslpassword") if params.get(name))
