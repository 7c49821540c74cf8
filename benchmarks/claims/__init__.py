"""The claims ledger: comparative sentences of the paper, each tied to a test on stored values (docs/claims.md).

    declaration.py   the ledger file, checked against the tables that it names
    parts.py         a test taken apart: one part per rival and scale
    values.py        the values behind a part, per image or of resampled sets
    inference.py     effects, p values, conjunctions, Holm's correction, images that would decide
    paper.py         the same comparison in the paper's own table
    verdicts.py      from parts to verdicts
    collect.py       from verdicts to a report's plain data
    commands.py      `casarbi-bench claims`

Nothing here measures: what the store lacks is named with the command that measures it.
"""
