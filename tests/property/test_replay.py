"""Whatever is dropped of a history, what is left of its archive gives the same ledger again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from etl.retention import prune
from etl.settings import DatabaseSettings
from tests.property.replays import assert_replays
from tests.property.test_ledger import Read, Step, Story, reads, rules, steps
from tests.property.test_retention import Prune, place, prunes

if TYPE_CHECKING:
    from etl.guard import GuardRules
    from tests.property.test_retention import Place

__all__ = ["place"]

acts = st.lists(st.one_of(steps, reads, reads, prunes), min_size=4, max_size=14)


@settings(max_examples=settings().max_examples // 2)
@given(acts=acts, rules=rules, has_etags=st.booleans())
def test_a_history_that_was_pruned_comes_out_of_what_is_left(
    place: Place,
    acts: list[Step | Read | Prune],
    rules: GuardRules,
    *,
    has_etags: bool,
) -> None:
    place.empty()
    story = Story(place.connection, place.ledger, rules, has_etags=has_etags)
    settled = Read(61, "none", "none", 0)
    for act in (*acts, settled, Prune(0, 0), settled):
        if isinstance(act, Step):
            story.evolve(act)
        elif isinstance(act, Prune):
            prune(place.pruner, DatabaseSettings(), act.old(story.clock()), now=story.clock())
        else:
            story.read(act)
    assert_replays(place.connection)
