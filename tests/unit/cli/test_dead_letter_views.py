"""Dead letters as the command line shows them."""

from datetime import UTC, datetime

from workflow_ray.cli.dead_letters import view_of
from workflow_ray.client import DeadLetter
from workflow_ray.records.encoded import Envelope, as_text, sealed

AT = datetime(2026, 11, 27, tzinfo=UTC)


def test_an_encoded_error_says_that_it_is_encoded() -> None:
    error = as_text(sealed(Envelope("aes-gcm", 9, b"secret")))
    letter = DeadLetter(
        id="hooks/1",
        origin="hooks",
        event_id="1",
        attempts=3,
        error=error,
        set_aside_at=AT,
        given_up_at=AT,
    )
    assert view_of(letter).error.startswith("(it is encoded by 'aes-gcm'")
