"""Runs an example, kills it with SIGKILL in the middle, and runs it again, several times.

    python -m examples.crash agent

The last time it may run to its end. It goes on each time where it was.
"""

import argparse
import subprocess
import sys


def run(example: str, lines: int | None) -> int | None:
    """Run an example, and print what it prints.

    Args:
        example: Its name.
        lines: After so many lines it is killed. None: it runs to its end.

    Returns:
        Its exit code. None: it was killed.
    """
    command = [sys.executable, "-u", "-m", f"examples.{example}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for number, line in enumerate(process.stdout, start=1):
            print(line, end="", flush=True)
            if number == lines:
                process.kill()
                return None
    return process.returncode


def main() -> int:
    parser = argparse.ArgumentParser(description="Run an example, and kill it again and again.")
    parser.add_argument("example", choices=["orders", "agent", "documents"])
    parser.add_argument("--kills", type=int, default=3, help="how often (default 3)")
    parser.add_argument(
        "--lines", type=int, default=4, help="it is killed after so many lines (default 4)"
    )
    arguments = parser.parse_args()
    for number in range(1, arguments.kills + 1):
        if (code := run(arguments.example, arguments.lines)) is not None:
            return code
        print(f"--- killed ({number} of {arguments.kills}); it starts again ---", flush=True)
    return run(arguments.example, None) or 0


if __name__ == "__main__":
    sys.exit(main())
