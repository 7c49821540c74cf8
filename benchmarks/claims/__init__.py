"""The claims ledger: comparative sentences of the paper, each tied to a test on stored values (docs/claims.md).

    declaration.py   the ledger file, checked against the tables and timings that it names
    inference.py     effects, p values, conjunctions, Holm's correction, images that would decide
    values.py        the values behind a part, per image or of resampled sets
    parts.py         a test taken apart: one part per rival and scale, here and in the paper's own table
    timings.py       the same of times and counts
    verdicts.py      from parts to verdicts
    tables.py        opens the tables, and judges a ledger
    collect.py       from verdicts to a report's plain data
    commands.py      `casarbi-bench claims`

Nothing here measures: what the store lacks is named with the command that measures it.
"""
