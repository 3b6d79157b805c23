"""What aiokafka logs: without passwords, and without a flood while a broker is away."""

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
    """aiokafka logs every request that it sends, on DEBUG; those of a login hold the password."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not any(
            type(value).__name__.startswith("SaslAuthenticate") for value in record.args or ()
        )


class SaidElsewhere(logging.Filter):
    """A start that fails is logged for each broker. The error that is raised says it too."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.funcName != "bootstrap"


class Seldom(logging.Filter):
    """aiokafka logs each attempt of each client: many a second, while a broker is away."""

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
    """Filter what aiokafka's loggers say."""
    logging.getLogger("aiokafka").addFilter(SaidElsewhere())
    logging.getLogger("aiokafka.conn").addFilter(KeepsSecrets())
    seldom = Seldom()
    for name in CHATTY:
        logging.getLogger(name).addFilter(seldom)
