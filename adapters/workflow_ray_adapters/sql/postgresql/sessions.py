"""Sessions whose client has stopped where no timeout of the server ends them.

The driver sends a statement in two messages: the first prepares it, the second executes it. The
server counts a transaction as idle only after the second, so `idle_in_transaction_session_timeout`
does not end the session of a client that has stopped between the two. It would keep its locks for
as long as it is stopped. The processes that may wait for these locks end it.
"""

from sqlalchemy import text

from workflow_ray_adapters.sql.postgresql.connections import APPLICATION

# COPY waits for its client in the same state, for as long as there is something to copy.
end_stalled = text(
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
    " WHERE datname = current_database() AND usename = session_user"
    " AND application_name = :application AND xact_start IS NOT NULL"
    " AND state = 'active' AND wait_event = 'ClientRead' AND query NOT ILIKE 'copy%'"
    " AND state_change < clock_timestamp() - make_interval(secs => :seconds)"
).bindparams(application=APPLICATION)
"""Ends the sessions of this program whose transactions the server has heard nothing of for so many
`seconds`, and counts them.
"""
