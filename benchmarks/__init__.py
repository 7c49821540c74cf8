"""The harness: methods, data sets and metrics measured by one set of rules, and the paper's tables made from that.

The way of `casarbi-bench run table1` through the files:

    cli.py options.py launch.py messages.py    words in, lines out
    experiments/table1.toml, experiments/      the declaration of Table I: panels, methods, scales, metrics, presets
    session.py job.py                          what it names, opened: data sets, models, metrics
    survey.py estimate.py                      what is measured, missing or stale, and what it would cost
    runner.py processes.py                     dealt to processes, batch by batch
    evaluate.py making.py metrics/             pairs → outputs → columns of the store
    store/                                     cells of rows, safe against kills and races
    collect/ statistics.py samples.py          rows → values with intervals → a document, which reports/ draws
    paper/                                     the paper's own numbers, which stand beside ours

Beside it: commands.py and doctor.py tell what there is, machine.py on what, waiting.py draws the bars, and speed/ holds
the benchmarks of the code itself.
"""
