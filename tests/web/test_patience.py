"""Who waits for an answer gives up in time, and many who wait for the same cost one thread."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from etl.web.patience import Patience


def test_an_answer_that_takes_too_long_is_not_waited_for_and_one_after_it_is_new() -> None:
    going_on, asked = threading.Event(), []

    def find() -> int:
        asked.append(threading.current_thread())
        going_on.wait(30)
        return len(asked)

    patience = Patience(find, within_s=0.2)
    began_at = time.monotonic()
    with ThreadPoolExecutor(5) as many:
        for answer in [many.submit(patience) for _ in range(5)]:
            with pytest.raises(TimeoutError):
                answer.result()
    assert 0.2 <= time.monotonic() - began_at < 5
    assert len(asked) == 1
    assert asked[0].daemon

    going_on.set()
    asked[0].join()
    assert patience() == 2


def test_what_goes_wrong_is_told_to_who_waits() -> None:
    def find() -> None:
        raise KeyError("nothing of the kind")

    with pytest.raises(KeyError, match="nothing of the kind"):
        Patience(find, within_s=5)()


def test_who_waits_is_told_as_well_when_finding_it_ends_the_thread() -> None:
    def find() -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        Patience(find, within_s=5)()
