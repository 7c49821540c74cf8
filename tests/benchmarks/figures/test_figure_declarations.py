"""Declarations of figures: those that ship, and mistakes in them."""

import pytest
from figure_files import CHART, COMPARISON, POSTERIOR

from benchmarks.figures.declaration import CHARTS, ChartFile, PictureFigure, load_figure
from benchmarks.kinds import Choice, experiment_names
from casarbi.errors import CasarbiError


@pytest.fixture
def load(tmp_path):
    def read(text, **choice):
        path = tmp_path / "mine.toml"
        path.write_text(text, encoding="utf-8")
        return load_figure(Choice(str(path), **choice))

    return read


@pytest.mark.parametrize("preset", ["mini", "paper"])
@pytest.mark.parametrize("name", experiment_names("figure"))
def test_shipped_figures_are_read_and_say_what_they_do_not_show(name, preset):
    figure = load_figure(Choice(name, preset))
    declared = figure if isinstance(figure, ChartFile) else figure.declared
    assert declared.limits.endswith(".") and (declared.drawing in CHARTS or figure.experiment.panels)


@pytest.mark.parametrize(
    ("text", "old", "new", "sentence"),
    [
        (COMPARISON, '"comparison"', '"comparision"', "no drawing 'comparision': did you mean comparison"),
        (COMPARISON, "pictures = [0, 2]", "pictures = [0, 0]", "has 0 twice"),
        (COMPARISON, "pictures = [0, 2]", "pictures = [-1]", "expected places from 0 on"),
        (COMPARISON, "pictures = [0, 2]", "pictures = []", "is empty"),
        (COMPARISON, "pictures = [0, 2]", "pictures = [0]\ncrops = 3", "expected 0 to 2"),
        (COMPARISON, "pictures = [0, 2]", "pictures = [0]\nsamples = 3", "samples"),
        (
            COMPARISON,
            "pictures = [0, 2]",
            "pictures = [0]\nwindows = [{picture=1, left=0, top=0, side=0.5}]",
            "a window",
        ),
        (COMPARISON, "scales = [2, 3.3]", "scales = [0.5]", "at least 1"),
        (COMPARISON, "Bicubic = ", "Bicubik = ", "did you mean Bicubic"),
        (COMPARISON, '"face"', '"fase"', "did you mean face"),
        (COMPARISON, '"bicubic"', '"os:system"', "os:system"),
        (COMPARISON, '"toy-squares?n=3"', '"toys:squares"', "toys:squares"),
        (POSTERIOR, "samples = 3", "samples = 1", "expected 2 samples or more"),
        (POSTERIOR, "shown = 2", "shown = 4", "shown = 4 of samples = 3"),
        (CHART, '["psnr"]', '["psrn"]', "did you mean psnr"),
        (CHART, '"scales"', '"plane"', "expected two"),
    ],
)
def test_mistakes_are_named_with_their_file(load, text, old, new, sentence):
    assert old in text
    with pytest.raises(CasarbiError, match="mine.toml") as caught:
        load(text.replace(old, new, 1))
    assert sentence in str(caught.value)


def test_typed_data_and_models_take_the_place_of_declared_ones(load):
    figure = load(COMPARISON, data="toys:squares?n=1", models=("Mine=toys:noisy",))
    assert isinstance(figure, PictureFigure) and len(figure.panels) == len(figure.experiment.panels) == 1
    assert figure.experiment.panels[0].data == "toys:squares?n=1"
    assert [row.name for row in figure.experiment.panels[0].methods if row.model] == ["Bicubic", "Mine"]
