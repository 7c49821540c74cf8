from reports.index import Entry, write_index


def test_reports_are_linked_by_kind_in_the_order_in_which_they_come(tmp_path):
    entries = [
        Entry("t1", "table", "Table I", "t1/t1.html", "2 s"),
        Entry("t5", "timing", "Table V", "", "1 s", error="no <room>"),
        Entry("f1", "figure", "Figure 1", "f1/f1.html", "3 s", unmeasured=("Ours: not trained yet.",)),
    ]
    text = write_index(tmp_path, entries).read_text()
    assert text.index("<h2>Tables</h2>") < text.index("<h2>Timings</h2>") < text.index("<h2>Figures</h2>")
    assert (
        '<a href="t1/t1.html">Table I</a>' in text and "<a" not in text[text.index("Table V") : text.index("Figures")]
    )
    assert "Failed: no &lt;room&gt;" in text and "Not measured: Ours: not trained yet." in text
