"""The kind of experiment that is a figure: pictures that methods make, and charts of what tables measured.

declaration.py            what the TOML of a figure may hold
commands.py               run, report and status
pictures.py               outputs of methods: made once, by all workers, and kept in the store
comparison.py posterior.py stages.py    one drawing of pictures each, with crops.py and plate.py
charts.py                 drawings of a table's values
"""
