"""Warnings of several threads at a time."""

from __future__ import annotations

import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

from sklearn_rcrnn._utils.caught_warnings import caught_warnings


def test_threads_catch_their_own_warnings_and_leave_the_others():
    """Blocks that overlap left Python without warnings, and took those of each other."""
    began, ended = threading.Barrier(3), threading.Barrier(3)

    def work(number):
        with caught_warnings() as caught:
            began.wait(10)
            warnings.warn(f"of {number}", UserWarning, stacklevel=1)
            if number:  # the one that began first does not end last
                ended.wait(10)
        if not number:
            ended.wait(10)
        return [str(warning.message) for warning in caught]

    before = warnings.showwarning, list(warnings.filters)
    with ThreadPoolExecutor(2) as pool, warnings.catch_warnings(record=True) as shown:
        running = [pool.submit(work, number) for number in range(2)]
        began.wait(10)
        warnings.warn("of nobody", UserWarning, stacklevel=1)
        ended.wait(10)
        assert [future.result() for future in running] == [["of 0"], ["of 1"]]
    assert [str(warning.message) for warning in shown] == ["of nobody"]
    assert (warnings.showwarning, list(warnings.filters)) == before
