"""What is tried next where a transaction fails, and who gets which answer."""

import pytest

from workflow_ray.errors import RoleLost, StoreUnavailable
from workflow_ray.records import PUBLISHER, Committed, Fence, Role
from workflow_ray_adapters.sql.moves import MoveRequest, MoveState
from workflow_ray_adapters.sql.notifications import Notification
from workflow_ray_adapters.sql.requests import CallRequest, StoreRequest
from workflow_ray_adapters.sql.session import Session
from workflow_ray_adapters.sql.transaction import Answered, Done, Move, Refused
from workflow_ray_adapters.sql.trials import Batch, Stage, Trial


def nothing(_: Session) -> int:
    return 0


def move(state: MoveState = MoveState.DUE) -> MoveRequest:
    return MoveRequest(Move(Fence(Role(PUBLISHER).name, 1), 10), state)


def batch(calls: int = 0, stores: int = 0, moves: int = 0) -> Batch:
    return Batch(
        [CallRequest(nothing) for _ in range(calls)],
        [StoreRequest(()) for _ in range(stores)],
        [move() for _ in range(moves)],
    )


def test_a_batch_sorts_its_requests_by_kind_and_keeps_their_order() -> None:
    calls = [CallRequest(nothing), CallRequest(nothing)]
    stores, moves = [StoreRequest(()), StoreRequest(())], [move()]
    mixed = Batch.of([stores[0], calls[0], moves[0], stores[1], calls[1]])
    assert (mixed.calls, mixed.stores, mixed.moves, len(mixed)) == (calls, stores, moves, 5)


@pytest.mark.parametrize("sizes", [(1, 1, 0), (3, 4, 1), (0, 2, 0), (0, 0, 5)])
def test_two_halves_are_smaller_and_together_the_batch(sizes: tuple[int, int, int]) -> None:
    whole = batch(*sizes)
    first, second = whole.halves()
    assert 0 < len(first) < len(whole)
    for kind in ("calls", "stores", "moves"):
        assert [*getattr(first, kind), *getattr(second, kind)] == getattr(whole, kind)


def test_a_batch_that_fails_with_others_is_tried_alone() -> None:
    joining = move(MoveState.WAITING)
    trial = Trial(Stage.TOGETHER, batch(calls=1), [joining])
    states = [joining.state]
    trial.begin()
    states.append(joining.state)
    assert trial.retry(ValueError()) == [Trial(Stage.ALONE, trial.batch)]
    states.append(joining.state)
    assert states == [MoveState.WAITING, MoveState.RUNNING, MoveState.WAITING]


def test_a_batch_that_fails_alone_is_tried_in_halves() -> None:
    trial = Trial(Stage.ALONE, batch(calls=2, stores=1))
    halves = trial.retry(ValueError())
    assert [(half.stage, len(half.batch)) for half in halves] == [
        (Stage.ALONE, 1),
        (Stage.ALONE, 2),
    ]


async def test_one_request_that_fails_alone_gets_the_error() -> None:
    trial = Trial(Stage.ALONE, batch(stores=1))
    assert trial.retry(ValueError("unfit")) == []
    with pytest.raises(ValueError, match="unfit"):
        await trial.batch.stores[0].reply.wait()


async def test_a_store_that_does_not_work_fails_the_whole_batch_and_no_move_that_waits() -> None:
    joining = move(MoveState.WAITING)
    trial = Trial(Stage.TOGETHER, batch(calls=1, stores=1, moves=1), [joining])
    trial.begin()
    trial.fail(StoreUnavailable("here", "it is gone."))
    for reply in (trial.batch.calls[0], trial.batch.stores[0], trial.batch.moves[0]):
        with pytest.raises(StoreUnavailable):
            await reply.reply.wait()
    assert joining.state is MoveState.WAITING


async def test_each_request_of_a_committed_batch_gets_its_own_answer() -> None:
    trial = Trial(Stage.ALONE, batch(calls=2, stores=1, moves=1))
    trial.begin()
    lost = RoleLost(Role(PUBLISHER).name, 1, 2)
    trial.settle(
        Done(
            Notification(),
            calls=[Answered(7), Refused(lost)],
            stores=[[Committed(())]],
            moves=[Answered(3)],
        )
    )
    first, second = trial.batch.calls
    assert await first.reply.wait() == 7
    with pytest.raises(RoleLost):
        await second.reply.wait()
    assert await trial.batch.stores[0].reply.wait() == [Committed(())]
    assert (trial.batch.moves[0].moved, trial.batch.moves[0].state) == (3, MoveState.WAITING)


@pytest.mark.parametrize(
    ("answers", "moved"), [([Answered(5)], 5), ([], 0)], ids=["made", "left out"]
)
def test_a_move_that_joins_waits_again_whether_or_not_the_transaction_made_it(
    answers: list[Answered[int] | Refused], moved: int
) -> None:
    """Beside a move that was due: it used to count as running for ever when it was left out."""
    joining = move(MoveState.WAITING)
    trial = Trial(Stage.TOGETHER, batch(moves=1), [joining])
    trial.begin()
    trial.settle(Done(Notification(), moves=[Answered(0)], joining=answers))
    assert (joining.state, joining.moved) == (MoveState.WAITING, moved)
