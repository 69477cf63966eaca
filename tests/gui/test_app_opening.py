"""What the first page sends, and what is done before it is asked for."""

from __future__ import annotations

import logging

from sigma_scale.gui.app.warm_up import in_background, warm_up_clusters, warm_up_first_view


def test_scripts_that_nothing_uses_are_not_sent(browser_page, served):
    asked = []
    browser_page.on("request", lambda request: asked.append(request.url))
    browser_page.goto(served.address)
    browser_page.locator(".app-main .bk-tab").first.wait_for()
    scripts = [url for url in asked if ".js" in url]
    assert any("bokeh-widgets" in url for url in scripts)
    assert not [url for url in scripts if "mathjax" in url or "bokeh-gl" in url]


def test_warming_up_works_and_its_failure_is_no_ones_trouble(caplog):
    warm_up_first_view()
    warm_up_clusters()

    def fail():
        raise OSError("no disk")

    with caplog.at_level(logging.DEBUG, "sigma_scale"):
        in_background(fail).join(60)
    assert "no disk" in caplog.text
