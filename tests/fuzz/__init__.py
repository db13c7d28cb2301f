"""The fuzz lane: seeded attacks on everything that reads, runs or writes what other people made.

``make fuzz`` runs it for minutes, ``tests/fuzz/test_fuzz.py`` a small part of it with the suite. A case is a kind, a
seed and a number, and is the same every time: ``python -m tests.fuzz KIND --seed S --case N`` runs one again and keeps
its files.
"""
