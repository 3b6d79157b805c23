"""What a process that only serves has loaded at its start."""

import gc


def keep_loaded() -> None:
    """Leave the objects that exist now out of garbage collections from here on.

    They are about 100,000, nearly all of modules, which such a process needs until its end. To look
    at them again and again takes up to a tenth of the processor time of short steps
    (benchmarks/throughput.py). What of them becomes garbage is freed if its references are counted
    down, but not if it is a cycle.
    """
    gc.freeze()
