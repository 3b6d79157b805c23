"""A log line stays one line, whatever data it names."""

import logging
import sys

from workflow_ray.runtime.logs import VisibleFormatter


def test_control_characters_in_a_log_line_are_made_visible() -> None:
    try:
        raise ValueError("\x1b[2Jno card")
    except ValueError:
        record = logging.LogRecord(
            "x", 30, "x", 1, "run %s failed", ("a\x1b[31m\nb",), sys.exc_info()
        )
    first, *traceback = VisibleFormatter("%(levelname)s %(message)s").format(record).split("\n")
    assert first == r"WARNING run a\x1b[31m\nb failed"
    assert traceback[-1] == r"ValueError: \x1b[2Jno card"
