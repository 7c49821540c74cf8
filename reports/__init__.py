"""Tables, charts and pages, drawn from plain data; nothing here knows how it was measured.

    document.py                                    what a report says
    table.py legend.py                             the same as text: entries, marks, footnotes
    charts.py                                      a metric over the scale
    html.py markdown.py latex.py terminal.py csv.py    one format each, with templating.py and templates/
    figure.py plots.py index.py                    figures, their charts, and the page that links all reports
    formats.py replaced.py                         the files of a report, and what they replace
    ledger.py ledger_files.py                      the claims ledger as plain data, and its files

A format decides nothing: numbers, marks and notes reach it as text.
"""
