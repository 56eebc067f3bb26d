"""How the tests look at a picture: rendered, with a check that its texts can be read."""

import io
import itertools

import pytest
from matplotlib.figure import Figure


@pytest.fixture
def render():
    """Renders a figure; fails if a text leaves it or ticks overlap or are not whole. Returns the figure."""

    def draw(figure: Figure) -> Figure:
        assert isinstance(figure, Figure)
        figure.savefig(io.BytesIO(), format="png")
        for plot in figure.axes:
            for axis in (plot.xaxis, plot.yaxis):
                labels = [label for label in axis.get_ticklabels() if label.get_visible() and label.get_text()]
                boxes = [label.get_window_extent() for label in labels if plot.axison]
                for one, other in itertools.pairwise(boxes):
                    assert not one.overlaps(other), f"tick labels overlap: {[t.get_text() for t in labels]}"
            for text in (*plot.texts, plot.title, plot.xaxis.label, plot.yaxis.label):
                if not text.get_text():
                    continue
                box = text.get_window_extent()
                assert box.x0 >= 0 and box.y0 >= 0, text
                assert box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1, text
        return figure

    return draw


@pytest.fixture
def tick_texts():
    """The labels of an axis's ticks that lie in its view."""

    def read(axis) -> list[str]:
        low, high = sorted(axis.get_view_interval())
        return [
            label.get_text()
            for place, label in zip(axis.get_ticklocs(), axis.get_ticklabels(), strict=True)
            if low <= place <= high
        ]

    return read
