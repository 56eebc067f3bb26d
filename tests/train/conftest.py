"""Processes that the tests of training kill."""

import multiprocessing

import pytest

SECONDS = 120  # until a process must have reached its mark, on a busy machine


@pytest.fixture
def killed():
    """Runs a function in a process; kills it `delay` seconds after it has set its last argument, an event."""
    context = multiprocessing.get_context("forkserver")  # which imports once, and forks before JAX has threads
    context.set_forkserver_preload(["tests.train.setups", "orbax.checkpoint"])

    def run(function, *args, delay: float = 0.0) -> None:
        started = context.Event()
        process = context.Process(target=function, args=(*args, started), daemon=True)
        process.start()
        reached = started.wait(SECONDS)
        process.join(delay)
        process.kill()
        process.join()
        assert reached, f"{function.__name__} ended, or was too slow: exit status {process.exitcode}"

    return run
