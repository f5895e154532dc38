"""Pictures of a preview as WebP files, as a browser shows them."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from stages.previews.pictures import MAX_PX, encode_animation, encode_strip
from tests.browser import Page, browsing, serving

pytestmark = pytest.mark.processes

# Decodes each picture of a file; of each, its size and the colour in its middle and at its lower left and right corner.
DECODE = """
async text => {
    const data = Uint8Array.from(atob(text), each => each.charCodeAt(0));
    const decoder = new ImageDecoder({data, type: "image/webp"});
    await decoder.tracks.ready;
    await decoder.completed;
    const {frameCount, repetitionCount} = decoder.tracks.selectedTrack;
    const pictures = [];
    for (let frameIndex = 0; frameIndex < frameCount; frameIndex++) {
        const {image} = await decoder.decode({frameIndex});
        const [w, h] = [image.displayWidth, image.displayHeight];
        const context = new OffscreenCanvas(w, h).getContext("2d");
        context.drawImage(image, 0, 0);
        const at = (x, y) => [...context.getImageData(x, y, 1, 1).data].slice(0, 3);
        pictures.push({size: [h, w], middle: at(w >> 1, h >> 1), left: at(2, h - 2), right: at(w - 3, h - 2)});
    }
    return {isForEver: repetitionCount === Infinity, pictures};
}
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    folder = tmp_path_factory.mktemp("page")
    (folder / "index.html").write_text("<!doctype html>")
    # 127.0.0.1 is a secure place, which the decoder of pictures wants
    with serving(folder) as address, browsing(tmp_path_factory.mktemp("profile")) as opened:
        opened.open(f"{address}/index.html")
        yield opened


def decode(page: Page, content: bytes) -> Any:
    return page.evaluate(f"({DECODE})({json.dumps(base64.b64encode(content).decode())})")


def plain(*grays: float, size: tuple[int, int] = (180, 320)) -> np.ndarray:
    """Pictures of one gray each, in [-1, 1]."""
    return np.stack([np.full((*size, 3), gray, np.float32) for gray in grays])


def test_a_browser_shows_an_animation_to_its_last_picture_and_again(page: Page):
    shown = decode(page, encode_animation(plain(-1, 0, 1), share_done=0.5))
    assert shown["isForEver"]
    grays = [picture["middle"][0] for picture in shown["pictures"]]
    assert grays == pytest.approx([0, 128, 255], abs=4)  # lossy


def test_an_animation_of_one_picture_is_a_still_one(page: Page):
    (picture,) = decode(page, encode_animation(plain(1), share_done=1.0))["pictures"]
    assert picture["size"] == [184, 320]


def test_a_bar_says_how_far_the_denoise_is(page: Page):
    (picture,) = decode(page, encode_strip(plain(0, size=(96, 160)), share_done=0.5))["pictures"]
    assert picture["left"][0] > 200
    assert picture["right"][0] < 100


@pytest.mark.parametrize(
    ("size", "expected"), [((24, 24), [196, 192]), ((180, 320), [184, 320]), ((540, 1024), [274, 512])]
)
def test_small_pictures_are_enlarged_and_large_ones_reduced(page: Page, size: tuple[int, int], expected: list[int]):
    (picture,) = decode(page, encode_animation(plain(0, size=size), share_done=0.0))["pictures"]
    assert picture["size"] == expected
    assert max(picture["size"]) <= MAX_PX


def test_a_strip_has_the_first_and_the_last_picture(page: Page):
    grays = np.linspace(-1, 1, 31)
    content = encode_strip(plain(*grays, size=(90, 160)), share_done=0.0)
    (picture,) = decode(page, content)["pictures"]
    assert picture["size"] == [94, 6 * 160]
    ends = page.evaluate(
        f"""(async () => {{
            const image = new Image();
            image.src = "data:image/webp;base64,{base64.b64encode(content).decode()}";
            await image.decode();
            const context = new OffscreenCanvas(image.width, image.height).getContext("2d");
            context.drawImage(image, 0, 0);
            return [10, image.width - 10].map(x => context.getImageData(x, 20, 1, 1).data[0]);
        }})()"""
    )
    assert ends == pytest.approx([0, 255], abs=4)
