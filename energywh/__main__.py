"""`python -m energywh` is `energywh`."""

from energywh.cli import main

main()
