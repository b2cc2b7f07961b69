"""A person at the page of `colorize web`, in a browser that selenium drives."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

LONG = 60  # seconds that anything may take on a busy machine


class Page:
    """A person at the page."""

    def __init__(self, driver: object, address: str, folder: Path, width: int = 1280, height: int = 860) -> None:
        self.driver, self.folder = driver, folder
        driver.set_window_size(width, height)
        driver.get(address)
        self.until("document.body.dataset.ready === 'yes'")

    def js(self, text: str, *given: object) -> object:
        return self.driver.execute_script(text, *given)

    def until(self, condition: str) -> None:
        wait = WebDriverWait(self.driver, LONG, 0.03)
        wait.until(
            lambda _: self.js(f"return {condition}"), f"{condition}: {self.js('return document.body.innerText')}"
        )

    def find(self, query: str) -> object:
        return self.driver.find_element(By.CSS_SELECTOR, query)

    def choose(self, button: str, *paths: Path) -> None:
        """Press a button that asks for files, and choose them; the system's dialog is kept from opening."""
        self.js("document.getElementById('files').addEventListener('click', (e) => e.preventDefault(), {once: true})")
        self.find(button).click()
        self.find("#files").send_keys("\n".join(map(str, paths)))

    def after(self, action: Callable[[], object]) -> str:
        """Do something, wait for the picture that follows, and return its id."""
        before = self.js("return document.body.dataset.shown || ''")
        action()
        self.until(f"(document.body.dataset.shown || '') !== '{before}' && !document.body.ariaBusy")
        assert not self.find("#error").is_displayed(), self.find("#error").text
        return self.js("return document.body.dataset.shown")

    def open(self, path: Path) -> str:
        return self.after(lambda: self.choose("#choose", path))

    def picture(self) -> np.ndarray:
        """The pixels that the page shows."""
        text = """const image = document.getElementById("after"), canvas = document.createElement("canvas");
            [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
            canvas.getContext("2d").drawImage(image, 0, 0);
            return canvas.toDataURL("image/png")"""
        data = base64.b64decode(self.js(text).partition(",")[2])
        return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))

    def at(self, x: int, y: int) -> tuple[int, int]:
        """A place of the drawing as an offset from the middle of the stage."""
        text = """const done = arguments[0];
            import("/static/stage.js").then(({place}) => done([place.x, place.y, place.scale]))"""
        left, top, scale = self.driver.execute_async_script(text)
        size = self.find("#stage").size
        return round(left + x * scale - size["width"] / 2), round(top + y * scale - size["height"] / 2)

    def mouse(self) -> ActionChains:
        return ActionChains(self.driver, duration=20)

    def click(self, x: int, y: int) -> None:
        self.mouse().move_to_element_with_offset(self.find("#stage"), *self.at(x, y)).click().perform()

    def tool(self, name: str) -> None:
        self.find(f"label:has(#tool-{name})").click()

    def color(self, value: str) -> None:
        self.js("document.getElementById('color').value = arguments[0]", value)

    def saved(self, name: str) -> Path:
        """A file that the browser has downloaded whole."""
        path, end = self.folder / name, time.monotonic() + LONG
        while not path.exists() or list(self.folder.glob("*.crdownload")):
            assert time.monotonic() < end, [one.name for one in self.folder.iterdir()]
            time.sleep(0.03)
        return path
