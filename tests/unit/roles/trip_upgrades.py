"""Upgrades of the code of trips: older and newer code work side by side, in any mix."""

from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests.unit.roles.simulation import PICK, TURNS
from tests.unit.roles.trip_deletions import DeletionRules

PICKS = st.lists(PICK, min_size=1, max_size=12)


class UpgradeRules(DeletionRules):
    """Deploys code with a later version of the data, and starts workers with newer and older code.

    The clients and the holders that other rules start have any code that was deployed.
    """

    @rule(picks=PICKS, turns=TURNS)
    def upgrade(self, picks: list[int], turns: int) -> None:
        """A rolling upgrade begins: some roles have newer code now, perhaps while others work."""
        if self._do(self._processes.deploy_next()):
            self._roll(picks, self._processes.newest, turns)

    @rule(picks=PICKS, code=PICK, turns=TURNS)
    def roll(self, picks: list[int], code: int, turns: int) -> None:
        """Workers with newer code, or with older code again, take over some roles."""
        self._roll(picks, code % (self._processes.newest + 1), turns)

    def _roll(self, picks: list[int], code: int, turns: int) -> None:
        for pick in picks:
            self._do(self._processes.take_over(self._role(pick), code=code))
            self.pass_turns(turns)
