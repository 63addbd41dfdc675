"""`python -m etl` is `batchledger`."""

from etl.cli import main

main()
