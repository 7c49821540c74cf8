"""Text from outside is shown, never obeyed."""

import sys
import unicodedata

import pytest

from casarbi.plain import PLAIN_SIGNS, quote, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;pwned\x07", r"\x1b]0;pwned\x07"),
        ("photo.png\nError: fine", r"photo.png\nError: fine"),
        ("a\r\tb\x7f\x9b31m", r"a\r\tb\x7f\x9b31m"),
        ("a\u2028b\u2029c\x85d", r"a\u2028b\u2029c\x85d"),
        ("\u202egnp.exe\u2066\ufeff", r"\u202egnp.exe\u2066\ufeff"),
        ("\udcff\ue000\U000e0041", r"\udcff\ue000\U000e0041"),
    ],
)
def test_what_a_terminal_obeys_is_escaped(text, shown):
    assert visible(text) == shown


@pytest.mark.parametrize(
    "name", ["café.png", "cafe\u0301.png", "图 1.png", "👩‍🎨🏳️‍🌈.png", "می‌خواهم", "a\u3000b", "C:\\x"]
)
def test_ordinary_names_stay(name):
    assert visible(name) == name


def test_no_code_point_moves_the_cursor():
    shown = visible("".join(map(chr, range(sys.maxunicode + 1))))
    assert not {unicodedata.category(c) for c in shown} & {"Cc", "Cs", "Co", "Zl", "Zp"}
    assert {c for c in shown if unicodedata.category(c) == "Cf"} == {"\u200c", "\u200d"}
    assert len(shown.splitlines()) == 1


def test_quote_shows_blanks_and_cuts():
    assert quote("in ") == "'in '"
    assert quote("\n" * 500, 10) == "'" + r"\n" * 10 + "…'"
    assert quote(5) == "5" and quote(None) == "None" and quote(["\x1b"]) == r"['\x1b']"
    assert quote(10**6000) == "a value of type int"


def test_quote_is_quick_where_repr_never_ends():
    nested: list = []
    for _ in range(60):
        nested = [nested, nested]  # 2^60 brackets as repr writes them
    assert len(quote(nested)) <= 81
    assert len(quote({str(i): nested for i in range(1000)})) <= 81


@pytest.mark.parametrize(
    ("encoding", "spelled"),
    [
        ("ascii", r"+/-x#-inf(higher is better)\xe9\u56fe\udcff"),
        ("cp1252", r"±×†—inf(higher is better)é\u56fe\udcff"),
    ],
)
def test_every_sign_has_a_spelling_in_every_encoding(encoding, spelled):
    """Accents are not stripped: two names that differ must not look alike."""
    assert "±×†—∞↑é图\udcff".encode(encoding, PLAIN_SIGNS).decode(encoding) == spelled
