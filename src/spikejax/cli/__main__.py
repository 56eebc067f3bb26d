"""`python -m spikejax.cli`."""

from spikejax.cli import main

main()
