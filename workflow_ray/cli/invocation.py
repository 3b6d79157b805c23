"""Runs the command that the arguments name, and turns its errors into an exit code."""

from workflow_ray.cli.app import app
from workflow_ray.cli.exit_codes import ExitCode
from workflow_ray.cli.output import ReaderGone, complain
from workflow_ray.errors import InvalidDefinition, WorkflowError


def invoke() -> int:
    """Run the command and say what went wrong. Returns its exit code."""
    try:
        app(prog_name="workflow-ray")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else ExitCode.DONE
    except ReaderGone:
        return ExitCode.READER_GONE
    except InvalidDefinition as error:
        first, *mistakes = str(error).splitlines()  # one line for each mistake
        complain(f"workflow-ray: {first}")
        for mistake in mistakes:
            complain(mistake)
        return error.exit_code
    except WorkflowError as error:
        complain(f"workflow-ray: {error}")
        return error.exit_code
    except OSError as error:  # of a file or a disk
        complain(f"workflow-ray: {error}")
        return ExitCode.FAILED
    return ExitCode.DONE
