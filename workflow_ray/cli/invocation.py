"""Runs the command that the arguments name, and turns its errors into an exit code."""

from workflow_ray.cli.app import app
from workflow_ray.cli.exit_codes import ExitCode
from workflow_ray.cli.output import ReaderGone, complain, error_console
from workflow_ray.errors import DeployStrandsRuns, InvalidDefinition, WorkflowError


def invoke() -> int:
    """Run the command and say what went wrong. Returns its exit code."""
    try:
        app(prog_name="workflow-ray")
    except SystemExit as ended:
        return _code_of(ended)
    except ReaderGone:
        return ExitCode.READER_GONE
    except WorkflowError as error:
        _complain_of(error)
        return error.exit_code
    except OSError as error:  # a file or a disk has failed
        complain(f"workflow-ray: {error}")
        return ExitCode.FAILED
    return ExitCode.DONE


def _code_of(ended: SystemExit) -> int:
    if ended.code == ExitCode.INTERRUPTED:
        _complain_after_ctrl_c("interrupted.")
    match ended.code:
        case None:
            return ExitCode.DONE
        case int():
            return ended.code
        case str():  # from sys.exit("what is wrong") in user code
            complain(f"workflow-ray: {ended.code}")
            return ExitCode.FAILED


def _complain_of(error: WorkflowError) -> None:
    if error.exit_code == ExitCode.INTERRUPTED:
        _complain_after_ctrl_c(str(error))
        return
    # each mistake of a definition has its own line, and so has each finding of a refused deploy
    text = str(error)
    is_list = isinstance(error, (InvalidDefinition, DeployStrandsRuns))
    first, *others = text.splitlines() if is_list else [text]
    complain(f"workflow-ray: {first}")
    for line in others:
        complain(line)


def _complain_after_ctrl_c(text: str) -> None:
    if error_console().is_terminal:
        complain("")  # the terminal has printed ^C
    complain(f"workflow-ray: {text}")
