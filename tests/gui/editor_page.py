"""The editor of clusters in a browser: where its parts are, and how to draw in it."""

from __future__ import annotations

import time

import numpy as np

from sigma_scale.plot.point_picture import PointPicture


def open_editor(page, project):
    page.goto(project.address)
    page.locator(".app-main .bk-tab").get_by_text("Clusters", exact=True).click()
    page.get_by_role("button", name="Create cluster").wait_for()
    frame(page)


def button(page, name):
    return page.get_by_role("button", name=name, exact=True)


def frame(page):
    """Left, top, width and height of the latent space's frame on the screen."""
    canvas = page.locator(".bk-Canvas:visible").first
    canvas.wait_for()
    box = canvas.bounding_box()
    # The frame is what is left of the canvas beside borders of five pixels, below the toolbar.
    return box["x"] + 5, box["y"] + box["height"] - 5 - 420, 380, 420


def on_screen(page, project, points):
    """Where points of the latent space are on the screen."""
    seen = PointPicture(project.segmenter.latent)
    left, top, width, height = frame(page)
    x, y = np.asarray(points, float).T
    across = (x - seen.x_range[0]) / (seen.x_range[1] - seen.x_range[0])
    up = (y - seen.y_range[0]) / (seen.y_range[1] - seen.y_range[0])
    return np.column_stack([left + across * width, top + (1 - up) * height])


def draw_lasso(page, corners):
    """Draw around something with the mouse."""
    page.locator('[title="Lasso Select"]:visible').first.click()
    page.mouse.move(*corners[0])
    page.mouse.down()
    for corner in corners[1:]:
        page.mouse.move(*corner, steps=4)
    page.mouse.up()
    page.get_by_text("pixels are picked").wait_for()


def wait_until(is_so, seconds=60):
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.05)
