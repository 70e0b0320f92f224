"""Threads give the same, in order, pass errors on and end when nobody listens any more;
the number of BLAS threads is restored by the last of several threads."""

from __future__ import annotations

import itertools
import threading
import time

import pytest
import threadpoolctl
import torch

from sklearn_rcrnn._utils.threads import in_order, one_blas_thread, read_ahead


def slow_square(x):
    time.sleep(0.01 * (x % 3 == 0))
    return x * x


@pytest.mark.parametrize("n_threads", [1, 2, 5])
def test_in_order(n_threads):
    assert list(in_order(slow_square, range(20), n_threads)) == [x * x for x in range(20)]
    assert list(in_order(slow_square, [], n_threads)) == []


def test_no_more_is_taken_than_fits():
    taken = itertools.count()
    results = in_order(slow_square, taken, 2)
    assert next(results) == 0
    time.sleep(0.05)
    assert next(taken) <= 4
    results.close()


def test_each_thread_computes_on_one_core():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        own = set(in_order(lambda _: torch.get_num_threads(), range(8), 2))
        assert own == {1}
        assert torch.get_num_threads() == 3
        assert list(in_order(lambda _: torch.get_num_threads(), range(2), 1)) == [3, 3]
    finally:
        torch.set_num_threads(before)


def test_read_ahead_gives_the_same():
    assert list(read_ahead(range(100))) == list(range(100))


def test_read_ahead_works_while_the_caller_does():
    by = []

    def items():
        for i in range(3):
            by.append(threading.current_thread())
            yield i

    assert list(read_ahead(items())) == [0, 1, 2]
    assert threading.current_thread() not in by


def test_errors_are_raised_where_they_came():
    def items():
        yield 1
        raise ValueError("broken in the middle")

    ahead = read_ahead(items())
    assert next(ahead) == 1
    with pytest.raises(ValueError, match="broken in the middle"):
        next(ahead)
    with pytest.raises(ZeroDivisionError):
        list(in_order(lambda x: 1 / x, [1, 0, 1], 2))


def test_threads_end_with_their_reader():
    before = set(threading.enumerate())
    ahead = read_ahead(itertools.count())
    assert next(ahead) == 0
    ahead.close()
    results = in_order(slow_square, itertools.count(), 3)
    assert next(results) == 0
    results.close()
    assert set(threading.enumerate()) <= before


def blas_threads():
    pools = threadpoolctl.threadpool_info()
    return [pool["num_threads"] for pool in pools if pool["user_api"] == "blas"]


def test_the_last_of_several_threads_restores():
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        before = blas_threads()
        inside = threading.Barrier(2)
        left = threading.Event()

        def first():
            with one_blas_thread():
                inside.wait()
            left.set()

        other = threading.Thread(target=first)
        other.start()
        with one_blas_thread():
            inside.wait()
            left.wait()
            assert set(blas_threads()) == {1}
        other.join()
        assert blas_threads() == before
        assert max(before) == 2
