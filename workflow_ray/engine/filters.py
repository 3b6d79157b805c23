"""Whether a run passes the filters of a query, after something else has found it. Pure."""

from workflow_ray.records import Record, RunQuery


def passes(record: Record, query: RunQuery) -> bool:
    """Whether a run passes the filters of a query, but for those by parents and children: a link
    lasts.
    """
    return (
        record.workflow == query.workflow
        and (not query.statuses or record.status in query.statuses)
        and (not query.run_states or record.run_state in query.run_states)
        and (not query.causes or record.cause in query.causes)
        and (query.foreign_id is None or record.foreign_id == query.foreign_id)
        and (query.created_from is None or record.created_at >= query.created_from)
        and (query.created_before is None or record.created_at < query.created_before)
        and (query.updated_before is None or record.updated_at < query.updated_before)
    )
