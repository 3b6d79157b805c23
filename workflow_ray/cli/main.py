"""The entry point: runs a command and says in one line what went wrong."""

import signal
import sys

from workflow_ray.cli import streams
from workflow_ray.cli.exit_codes import ExitCode


def main() -> None:
    """Run `workflow-ray`. Always exits, with one of the exit codes.

    An error that the caller can mend is one line on standard error, without a traceback.
    """
    streams.prepare()
    try:
        # imported here, so that Ctrl-C is answered while the commands are still being imported
        from workflow_ray.cli.invocation import invoke

        code = invoke()
    except KeyboardInterrupt:
        code = ExitCode.INTERRUPTED
        if streams.is_open(sys.stderr):
            sys.stderr.write("workflow-ray: interrupted.\n")
    finally:
        # while Python ends, Ctrl-C would print a traceback
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        streams.finish()
    sys.exit(code)
