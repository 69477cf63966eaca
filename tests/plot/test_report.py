import base64
import re
from html.parser import HTMLParser
from io import BytesIO

import numpy as np
import pandas as pd
import pytest
from drawing import make_map
from matplotlib.figure import Figure

from sigma_scale.errors import OutputExistsError, ParameterError, ShapeMismatchError
from sigma_scale.plot import FigurePanel, ReportContent, ReportTable, Section, plot_image
from sigma_scale.plot import write_report as write

NASTY = "<script>alert('x')</script> & \"quotes\""


class Page(HTMLParser):
    """Collects what a page holds."""

    def __init__(self, path):
        super().__init__(convert_charrefs=True)
        self.tags, self.attributes, self.texts, self.open = [], [], [], []
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in {"meta", "img"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append((self.open[-1] if self.open else "", data.strip()))

    def of(self, tag, name):
        return [value for t, n, value in self.attributes if (t, n) == (tag, name)]

    def text(self, tag):
        return [text for t, text in self.texts if t == tag and text]


@pytest.fixture
def content():
    frame = pd.DataFrame(
        {"Phase": ["Quartz", NASTY], "Area (%)": [99.95, 0.05], "Pixels": [1_048_000, 576]}
    )
    figure = plot_image(make_map(np.eye(8), 1.0))
    return ReportContent(
        title=NASTY,
        subtitle="a <b>file</b>",
        facts={"Map": "8 × 8 pixels", "Counts": 123_456_789, "Mean": -22.1259, "None": None},
        warnings=[NASTY],
        sections=[
            Section("Phases & more", "One.\n\nTwo <i>.", [FigurePanel(figure, NASTY, NASTY)],
                    [ReportTable(frame, "A caption.", ["#0072b2", "red"])]),
            Section("Plain", figures=[figure], tables=[frame]),
        ],
        settings="bin: [1, 1]\ntitle: '<x>'\n",
        versions={"numpy": np.__version__},
    )  # fmt: skip


@pytest.fixture
def page(tmp_path, content):
    return Page(write(tmp_path / "new" / "report.html", content))


def test_page_is_well_formed_and_complete(page):
    assert page.open == []
    assert page.text("h1") == [NASTY]
    assert page.text("h2")[1:] == ["Phases & more", "Plain", "Recipe"]
    assert page.text("p")[1:3] == ["One.", "Two <i>."]
    assert page.text("pre") == ["bin: [1, 1]\ntitle: '<x>'"]
    assert dict(zip(page.text("dt"), page.text("dd"), strict=True)) == {
        "Map": "8 × 8 pixels", "Counts": "123,456,789", "Mean": "−22.13", "None": "–",
    }  # fmt: skip


def test_figures_are_embedded_pictures(page):
    from PIL import Image

    sources = page.of("img", "src")
    assert len(sources) == 2
    for source in sources:
        kind, data = source.split(",", 1)
        assert kind == "data:image/png;base64"
        picture = Image.open(BytesIO(base64.b64decode(data, validate=True)))
        assert picture.width > 300
    assert page.of("img", "alt") == [NASTY, "Plain"]
    assert "Figure 1." in page.text("b")


def test_nothing_comes_from_outside_and_nothing_runs(page):
    assert not {"script", "link", "iframe", "object", "form", "b" * 9} & set(page.tags)
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    without_pictures = re.sub(r"base64,[A-Za-z0-9+/=]+", "", page.source)
    assert not re.search(r"https?:|//[a-z]|@import|url\(", without_pictures)
    (policy,) = [v for v in page.of("meta", "content") if "default-src" in v]
    assert "default-src 'none'" in policy
    assert all(href.startswith("#") for href in page.of("a", "href"))


def test_links_lead_to_sections(page):
    targets = {value for _, name, value in page.attributes if name == "id"}
    assert {href[1:] for href in page.of("a", "href")} <= targets


def test_user_text_is_escaped(page):
    assert "<script" not in page.source
    assert "<b>file" not in page.source
    assert page.text("title") == [NASTY]
    assert NASTY in page.text("li")


def test_tables_have_chips_and_numbers_that_line_up(page):
    chips = [v for v in page.of("span", "style") if v]
    assert chips == ["background: #0072b2", "background: #ff0000"]
    cells = page.text("td")[:6]
    assert cells == ["Quartz", "99.95", "1,048,000", NASTY, "0.05", "576"]
    assert page.of("td", "class")[:4] == ["n"] * 4


def test_captions_stand_outside_of_what_scrolls(page, tmp_path):
    (caption,) = [value for tag, name, value in page.attributes if (tag, name) == ("p", "id")]
    assert page.of("div", "aria-labelledby") == [caption]
    assert page.source.index("A caption.</p>") < page.source.index('<div class="scroll"')
    assert "<caption" not in page.source
    frame = pd.DataFrame(np.zeros((1, 11)), columns=[f"c{k}" for k in range(11)])
    wide = write(tmp_path / "w.html", ReportContent("t", sections=[Section("s", tables=[frame])]))
    assert Page(wide).of("div", "class") == ["scroll wide"]
    assert Page(wide).of("div", "aria-label") == ["s"]


def test_small_values_of_a_column_are_not_shown_as_zero(tmp_path):
    frame = pd.DataFrame({"v": [1234.5, 0.00012, 0.0, np.nan, -3.0]})
    page = Page(
        write(tmp_path / "r.html", ReportContent("t", sections=[Section("s", tables=[frame])]))
    )
    assert page.text("td") == ["1,234", "0.00012", "0", "–", "−3"]


def test_light_dark_and_print_are_provided(page):
    assert "prefers-color-scheme: dark" in page.source
    assert "@media print" in page.source


def test_title_alone_is_a_report(tmp_path):
    page = Page(write(tmp_path / "r.html", ReportContent("Only")))
    assert page.text("h1") == ["Only"]
    assert page.text("h2") == []


def test_a_failed_report_leaves_nothing_behind(tmp_path, content, monkeypatch):
    target = tmp_path / "r.html"
    write(target, ReportContent("First"))
    bad = ReportContent(
        "x", sections=[Section("s", tables=[ReportTable(pd.DataFrame({"a": [1]}), "", ["nope"])])]
    )
    with pytest.raises(ParameterError, match="'nope'"):
        write(target, bad)
    assert Page(target).text("h1") == ["First"]

    def fail(self, other):
        raise OSError("disk full")

    monkeypatch.setattr("pathlib.Path.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write(target, content)
    assert [path.name for path in tmp_path.iterdir()] == ["r.html"]
    assert Page(target).text("h1") == ["First"]


def test_wrong_reports_are_refused(tmp_path):
    target = tmp_path / "r.html"
    chips = ReportTable(pd.DataFrame({"a": [1, 2]}), "", ["red"])
    with pytest.raises(ShapeMismatchError, match="2 rows has 1"):
        write(target, ReportContent("x", sections=[Section("s", tables=[chips])]))
    write(target, ReportContent("x", sections=[Section("s", figures=[Figure()])]))
    with pytest.raises(OutputExistsError, match=r"r\.html"):
        write(target, ReportContent("x"), overwrite=False)


def test_cells_may_be_faint_set_to_the_right_and_have_a_second_line(tmp_path):
    frame = pd.DataFrame({"Phase": ["a"], "Si": ["12\n<3> σ"], "Fe": ["< 5"]})
    table = ReportTable(frame, numeric=["Si", "Fe"], faint=[[False, False, True]])
    page = Page(
        write(tmp_path / "r.html", ReportContent("t", sections=[Section("s", tables=[table])]))
    )
    assert page.text("td") == ["a", "12", "< 5"]
    assert page.text("small") == ["<3> σ"]
    assert page.of("td", "class") == ["n", "n faint"]
    wrong = ReportTable(frame, faint=[[True]])
    with pytest.raises(ShapeMismatchError, match="faint"):
        write(tmp_path / "r.html", ReportContent("t", sections=[Section("s", tables=[wrong])]))
