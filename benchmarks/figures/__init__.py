"""The kind of experiment that is a figure: pictures that methods make, and charts of what tables measured.

    declaration.py       what the TOML of a figure may hold
    commands.py          run, report and status
    pictures.py          outputs of methods: made once, by all workers, and kept in the store
    panel.py             a panel that is opened: its images, its methods, and what the store has of them
    comparison.py posterior.py stages.py    one drawing of pictures each, with crops.py and plate.py
    drawings.py          all of them, and the report
    charts.py            drawings of a table's values

A figure measures nothing: what it says in numbers comes from a table, or from the pictures that it shows.
"""
