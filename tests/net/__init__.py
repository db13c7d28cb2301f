"""The regression net: what some eighty audits say, what the command line prints, what the figures draw.

``python -m tests.net`` compares byte for byte with what is stored, on one machine; ``--update`` writes it anew. Where a
change is meant to move the evidence, its commit says what moved and why. The test in this folder compares in every
test run, and allows for another machine's last digits.
"""
