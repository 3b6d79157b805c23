"""The states of a move: each transition, and random walks beside a plain model."""

import asyncio
import random
from dataclasses import dataclass

import pytest

from workflow_ray.errors import StoreUnavailable
from workflow_ray.ports import SystemClock
from workflow_ray.records import PUBLISHER, Fence, Role
from workflow_ray.testing.clock import FakeClock
from workflow_ray_adapters.sql.moves import (
    TRANSITIONS,
    MoveInput,
    MoveRequest,
    Moves,
    MoveState,
)
from workflow_ray_adapters.sql.transaction import Answered, Move

TABLE = """
                BEGIN         OVER     WAKE          EXPIRE        LEAVE         FAIL
WAITING         RUNNING       WAITING  DUE           ENDED         ENDED         ENDED
DUE             RUNNING       DUE      DUE           LAST          ENDED         ENDED
RUNNING         RUNNING       WAITING  WOKEN         LAST_RUNNING  LAST_RUNNING  ENDED
WOKEN           RUNNING       DUE      WOKEN         LAST_RUNNING  LAST_RUNNING  ENDED
LAST            LAST_RUNNING  LAST     LAST          LAST          ENDED         ENDED
LAST_RUNNING    LAST_RUNNING  ENDED    LAST_RUNNING  LAST_RUNNING  LAST_RUNNING  ENDED
ENDED           ENDED         ENDED    ENDED         ENDED         ENDED         ENDED
"""


def cells() -> list[tuple[MoveState, MoveInput, MoveState]]:
    head, *lines = (line.split() for line in TABLE.strip().splitlines())
    return [
        (MoveState[line[0]], MoveInput[what], MoveState[to])
        for line in lines
        for what, to in zip(head, line[1:], strict=True)
    ]


def request(state: MoveState) -> MoveRequest:
    return MoveRequest(Move(Fence(Role(PUBLISHER).name, 1), 10), state)


def test_every_state_of_a_move_takes_every_input() -> None:
    assert TRANSITIONS.keys() == {(state, what) for state in MoveState for what in MoveInput}


@pytest.mark.parametrize(("state", "what", "to"), cells())
def test_a_move_goes_to_the_next_state(state: MoveState, what: MoveInput, to: MoveState) -> None:
    move = request(state)
    move.take(what)
    assert (move.state, move.reply.given.is_set()) == (to, to is MoveState.ENDED)


async def test_a_move_answers_with_the_sum_of_its_transactions() -> None:
    move = request(MoveState.DUE)
    for moved in (3, 4):
        move.take(MoveInput.BEGIN)
        move.settle(Answered(moved))
    move.take(MoveInput.EXPIRE)
    assert await move.reply.wait() == 7


async def test_the_error_of_a_move_stands_whatever_follows() -> None:
    move = request(MoveState.RUNNING)
    move.fail(StoreUnavailable("here", "it is gone."))
    move.settle(Answered(1))
    with pytest.raises(StoreUnavailable):
        await move.reply.wait()


@dataclass
class Model:
    """The same rules as three independent facts."""

    lasts: bool
    is_due: bool
    is_running: bool = False
    ended: bool = False

    def take(self, what: MoveInput) -> None:
        match what:
            case MoveInput.BEGIN:
                self.is_due, self.is_running = False, True
            case MoveInput.OVER:
                self.ended |= self.is_running and not self.lasts
                self.is_running = False
            case MoveInput.WAKE:
                self.is_due = True
            case MoveInput.EXPIRE | MoveInput.LEAVE:
                self.lasts = False
                has_to_run = self.is_due and what is MoveInput.EXPIRE
                self.ended |= not (self.is_running or has_to_run)
            case MoveInput.FAIL:
                self.ended = True


@pytest.mark.parametrize("first", [MoveState.WAITING, MoveState.DUE, MoveState.LAST])
def test_the_states_of_a_move_follow_the_model(first: MoveState, rng: random.Random) -> None:
    for _ in range(500):
        move = request(first)
        model = Model(lasts=first is not MoveState.LAST, is_due=first is not MoveState.WAITING)
        while not model.ended:
            what = rng.choice(list(MoveInput))
            move.take(what)
            model.take(what)
            assert (move.state is MoveState.ENDED) == model.ended
            if not model.ended:
                runs = move.state in (MoveState.RUNNING, MoveState.WOKEN, MoveState.LAST_RUNNING)
                due = move.state in (MoveState.DUE, MoveState.WOKEN, MoveState.LAST)
                assert runs == model.is_running
                assert due == model.is_due or move.state is MoveState.LAST_RUNNING
        assert move.reply.given.is_set()


async def test_a_move_without_a_wait_is_made_once() -> None:
    moves = Moves(SystemClock())
    running = asyncio.create_task(moves.run(request(MoveState.DUE).move, wait=0))
    await asyncio.wait_for(moves.woken.wait(), 10)
    (due,) = moves.due()
    due.take(MoveInput.BEGIN)
    due.settle(Answered(2))
    assert (await running, moves.due(), moves.waiting()) == (2, [], [])


async def test_a_move_waits_where_the_outbox_is_known_to_be_drained() -> None:
    clock = FakeClock()
    moves = Moves(clock)
    moves.note(is_drained=True)
    running = asyncio.create_task(moves.run(request(MoveState.DUE).move, wait=60))
    while not moves.waiting():
        await asyncio.sleep(0)
    assert (moves.woken.is_set(), moves.wake(), len(moves.due())) == (False, True, 1)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert moves.fences() == set()
