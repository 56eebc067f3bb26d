"""The public cells that have no row in cases.py, each with the file that tests it.

A parallel neuron has no charge, fire and reset; a wrapper is tested around many neurons; the membrane of a neuron
without reset has no product through the reset.
"""

ELSEWHERE = {
    "LinearLIF": "tests/scan/test_associative.py",
    "MaskedPSN": "tests/cells/test_parallel.py",
    "PSN": "tests/cells/test_parallel.py",
    "Refractory": "tests/cells/test_wrappers.py",
    "SlidingPSN": "tests/cells/test_parallel.py",
    "Stochastic": "tests/cells/test_stochastic.py",
}
