"""The server, the database and the prefix that a URL names."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from workflow_ray.errors import InvalidInput
from workflow_ray.ports import has_unescaped_userinfo

EXAMPLE = "redis://user:password@localhost:6379/0?prefix=shop"
PREFIX = "workflow_ray"
CONNECTING, ANSWERING = 2.0, 10.0
"""Seconds until a server must have accepted the connection, and until it must have answered."""
TLS_OPTIONS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")  # paths of PEM files
OPTIONS = ("prefix", "retain", *TLS_OPTIONS)


@dataclass(frozen=True)
class Address:
    """Where a store is. Its text and its repr show no secrets."""

    host: str
    port: int
    db: int
    tls: bool
    prefix: str
    retain: int | None  # events per partition that a trim keeps; None: none
    user: str | None = field(repr=False)
    password: str | None = field(repr=False)
    files: Mapping[str, str] = field(repr=False)  # the TLS_OPTIONS that are given

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'rediss' if self.tls else 'redis'}://{host}:{self.port}/{self.db}?prefix={self.prefix}"

    @property
    def base(self) -> str:
        """The prefix of the store's keys, in braces: a cluster keeps all of them in one slot."""
        return f"{{{self.prefix}}}"

    @property
    def connection(self) -> dict[str, Any]:
        """Return the driver's arguments.

        Raises InvalidInput: a file that it needs can't be read.
        """
        for name, file in self.files.items():
            if not os.access(file, os.R_OK):
                raise _invalid(f"its {name} can't be read: {file}")
        tls = {"ssl": True, **self.files} if self.tls else {}
        names = {
            "host": self.host,
            "port": self.port,
            "db": self.db,
            "username": self.user,
            "password": self.password,
        }
        return {
            **names,
            **tls,
            "protocol": 2,
            "driver_info": None,
            "socket_connect_timeout": CONNECTING,
        }


def parse(url: str) -> Address:
    """Parse a URL.

    Raises InvalidInput, whose message shows no part that may be a password.
    """
    if has_unescaped_userinfo(url):
        raise _invalid(
            "write a / ? # or @ in the user or the password percent-encoded: %2F %3F %23 %40"
        )
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "localhost", 6379 if parts.port is None else parts.port
    except ValueError:
        raise _invalid(
            "its host or port can't be read. Write a password's special characters as %40 and the"
            " like"
        ) from None
    options = _options(parts)
    path = parts.path.strip("/") or "0"
    if not re.fullmatch("[0-9]{1,9}", path):
        raise _invalid(f"its database is a number, not {path!r}")
    return Address(
        host=host,
        port=port,
        db=int(path),
        tls=parts.scheme.lower() == "rediss",
        prefix=_prefix(options),
        retain=_retain(options),
        user=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        files={name: options[name] for name in TLS_OPTIONS if name in options},
    )


def _options(parts: SplitResult) -> dict[str, str]:
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if unknown := sorted(options.keys() - set(OPTIONS)):
        raise _invalid(
            f"it has unknown options: {', '.join(unknown)}. Known are {', '.join(OPTIONS)}"
        )
    if parts.scheme.lower() != "rediss" and (needless := sorted(options.keys() & set(TLS_OPTIONS))):
        raise _invalid(f"{', '.join(needless)} are for TLS: begin it with rediss://")
    if parts.fragment:
        raise _invalid("it has a #. Write one in a password as %23")
    return options


def _prefix(options: Mapping[str, str]) -> str:
    prefix = options.get("prefix", PREFIX)
    if not re.fullmatch(r"[A-Za-z0-9_.:-]{1,100}", prefix):
        raise _invalid("its prefix may have up to 100 letters, digits and _ . : -")
    return prefix


def _retain(options: Mapping[str, str]) -> int | None:
    retain = options.get("retain")
    if retain is not None and not re.fullmatch("[1-9][0-9]{0,11}", retain):
        raise _invalid("`retain` is how many events each partition keeps: a number from 1 on")
    return int(retain) if retain else None


def _invalid(why: str) -> InvalidInput:
    return InvalidInput("the URL of a store on Redis", f"{why}; as in {EXAMPLE}")
