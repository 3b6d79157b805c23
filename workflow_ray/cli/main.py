"""The entry point: runs a command, and says in one line what went wrong.

Exit codes: 0 done · 1 failed · 2 input that can't be used · 3 no such run · 4 the run doesn't allow
it · 5 store or runtime can't be reached · 6 some lines were refused, the others went through · 7 a
worker has abandoned steps · 8 an error has paused some runs · 130 interrupted.
"""

import sys

INTERRUPTED = 130


def main() -> None:
    """What `workflow-ray` calls.

    Always exits; an error of ours is one line on stderr, without a traceback.
    """
    try:
        # here, so that Ctrl-C is answered while the commands are still being imported
        from workflow_ray.cli.app import app
        from workflow_ray.errors import WorkflowError

        try:
            app(prog_name="workflow-ray")
        except WorkflowError as error:
            sys.stderr.write(f"workflow-ray: {error}\n")
            sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted.\n")
        sys.exit(INTERRUPTED)
