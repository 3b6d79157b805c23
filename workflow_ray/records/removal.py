"""What retention removes from a store."""

import msgspec

from workflow_ray.records.ids import RunId


class Removal(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Asks a store to remove what is kept of finished runs of one workflow, for good.

    Runs that are not finished, are of another workflow or do not exist are left out, and of `runs`
    also those whose data is to be deleted: REQUESTED_DATA_DELETED.
    """

    workflow: str
    # These runs: record, history, labels, links, gatherings, timeouts and results of `once`. Of
    # their messages the payloads and errors. Idempotency keys and messages are kept.
    runs: tuple[RunId, ...] = ()
    # Of these runs the history but for the newest entry.
    histories: tuple[RunId, ...] = ()
    # Idempotency keys and messages of runs with ids below this one that do not exist any more, up
    # to 500 of each. Run ids sort by time of creation: see `run_id_at`.
    keys_below: RunId | None = None
    # Where the search for those begins: `Committed.keys_left` of the previous removal with the same
    # `keys_below`. Only a hint: a store may begin earlier. "": at the oldest.
    keys_after: str = ""
