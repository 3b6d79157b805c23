"""Filters aiokafka's log: no passwords, and no flood while a broker is away."""

import logging
import time

QUIET = 10.0
"""Seconds for which a warning or an error of one kind is not repeated."""
CHATTY = (
    "aiokafka",
    "aiokafka.cluster",
    "aiokafka.conn",
    "aiokafka.consumer.fetcher",
    "aiokafka.consumer.group_coordinator",
    "aiokafka.producer.sender",
)


class KeepsSecrets(logging.Filter):
    """Drops the requests that aiokafka logs on DEBUG, because those of logins hold the password."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not any(
            type(value).__name__.startswith("SaslAuthenticate") for value in record.args or ()
        )


class SaidElsewhere(logging.Filter):
    """Drops the errors of a start that failed.

    aiokafka logs them per broker, and the error that is raised contains them.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        return record.funcName != "bootstrap"


class Seldom(logging.Filter):
    """Drops repeated lines. aiokafka logs every attempt of every client while a broker is away."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[tuple[str, int], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING:
            return True
        kind, now = (record.name, record.lineno), time.monotonic()
        if now - self._last.get(kind, float("-inf")) < QUIET:
            return False
        self._last[kind] = now
        return True


def guard() -> None:
    """Add the filters to aiokafka's loggers."""
    logging.getLogger("aiokafka").addFilter(SaidElsewhere())
    logging.getLogger("aiokafka.conn").addFilter(KeepsSecrets())
    seldom = Seldom()
    for name in CHATTY:
        logging.getLogger(name).addFilter(seldom)
