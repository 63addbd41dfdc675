"""Who is a neighbour, when a whole workspace is suspected, and who bears witness."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from etl.guard import Control, Known
from etl.neighbours import Neighbours, of_jobs
from etl.records import JobsState, ProjectState, Slug, Totals

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CARS, SHIPS, VIALS = (Slug("acme", project) for project in ("cars", "ships", "vials"))
ELSEWHERE = Slug("globex", "cars")


def a_state(
    slug: Slug, *, batches: int = 3, is_suspected: bool = False, is_tracked: bool = True
) -> ProjectState:
    return ProjectState(
        project_id=[CARS, SHIPS, VIALS, ELSEWHERE].index(slug),
        slug=slug,
        totals=Totals(batches=batches),
        loss_suspected_since=NOW if is_suspected else None,
        is_tracked=is_tracked,
    )


def beside_cars(*states: ProjectState, listed: tuple[Slug, ...] = (CARS, SHIPS, VIALS)) -> Neighbours:
    return Neighbours([a_state(CARS, is_suspected=True), *states], frozenset(listed))


def known(project_id: int) -> Known:
    """Give each project batches that begin with its number."""
    return Known(listed=frozenset(f"{project_id}{letter}" for letter in "abc"))


def test_a_workspace_is_whole_when_each_other_project_is_suspected() -> None:
    assert beside_cars(a_state(SHIPS, is_suspected=True)).is_whole(CARS)
    assert beside_cars(a_state(SHIPS, is_suspected=True), a_state(ELSEWHERE)).is_whole(CARS)
    assert not beside_cars(a_state(SHIPS, is_suspected=True), a_state(VIALS)).is_whole(CARS)


def test_a_project_alone_is_no_whole() -> None:
    assert not beside_cars().is_whole(CARS)
    assert not beside_cars(a_state(ELSEWHERE, is_suspected=True)).is_whole(CARS)


def test_who_holds_nothing_or_is_not_followed_or_not_listed_does_not_count() -> None:
    lost = a_state(SHIPS, is_suspected=True)
    assert beside_cars(lost, a_state(VIALS, batches=0)).is_whole(CARS)
    assert beside_cars(lost, a_state(VIALS, is_tracked=False)).is_whole(CARS)
    assert beside_cars(lost, a_state(VIALS), listed=(CARS, SHIPS)).is_whole(CARS)


def test_of_jobs_it_counts_who_holds_jobs_and_is_suspected_of_their_loss() -> None:
    def is_whole_beside(**jobs: Any) -> bool:
        ships = ProjectState(1, SHIPS, Totals(batches=3), JobsState(count=4, loss_suspected_since=NOW))
        vials = ProjectState(2, VIALS, Totals(batches=3), JobsState(**jobs), loss_suspected_since=NOW)
        return Neighbours([ships, vials], {SHIPS, VIALS}, of_jobs).is_whole(CARS)

    assert is_whole_beside(count=0)
    assert is_whole_beside(count=4, loss_suspected_since=NOW)
    assert not is_whole_beside(count=4)


def test_where_no_list_of_projects_could_be_read_all_count() -> None:
    lost = a_state(SHIPS, is_suspected=True)
    assert not beside_cars(lost, a_state(VIALS), listed=()).is_whole(CARS)
    assert not beside_cars(lost, a_state(VIALS), listed=(ELSEWHERE,)).is_whole(CARS)


def test_a_project_is_listed_by_name() -> None:
    neighbours = beside_cars(listed=(CARS,))
    assert neighbours.is_listed(CARS)
    assert not neighbours.is_listed(SHIPS)


def test_each_sound_neighbour_bears_witness_with_each_of_its_batches_at_some_time() -> None:
    neighbours = beside_cars(a_state(SHIPS), a_state(VIALS), a_state(ELSEWHERE))
    times = [NOW + timedelta(hours=hours) for hours in range(90)]
    drawn = {neighbours.witness(CARS, at, known) for at in times}
    ships, vials = (
        {Control(f"{nth}{letter}", slug) for letter in "abc"} for nth, slug in ((1, SHIPS), (2, VIALS))
    )
    assert drawn == ships | vials


def test_no_project_bears_witness_for_itself_nor_does_a_suspected_one() -> None:
    assert Neighbours([a_state(CARS)], {CARS}).witness(CARS, NOW, known) is None
    assert beside_cars(a_state(SHIPS, is_suspected=True)).witness(CARS, NOW, known) is None


def test_a_neighbour_without_a_listed_batch_leaves_it_to_the_next() -> None:
    def mostly(project_id: int) -> Known:
        return known(project_id) if project_id == 2 else Known(missing=frozenset({"1a"}))

    neighbours = beside_cars(a_state(SHIPS), a_state(VIALS))
    for hours in range(9):
        witness = neighbours.witness(CARS, NOW + timedelta(hours=hours), mostly)
        assert witness is not None
        assert witness.slug == VIALS
