"""The pages of the report as a browser shows them. Without a Chromium, these tests are skipped."""

import json
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stages.report.gathering import gather
from stages.report.pages import describe_picture, explain_earlier, find_shape
from stages.report.ratings import FILE
from stages.report.server import serving
from tests.browser import Page, browsing
from tests.report.reports import LEVELS_PER_FRAME, LONG, SCRIPT, SIZE, load

pytestmark = pytest.mark.processes

AXE = "AXE_CORE"  # the path of axe.min.js, from the npm package axe-core; it is too large to be kept here
COMPARED = "compare.html#v=harbour-1,harbour-2,harbour-3"
PAGES = (
    "index.html",
    "sweeps/harbour.html",
    "videos/harbour-1.html",
    "videos/demo.draft.html",
    "videos/hevc.html",
    COMPARED,
    "compare.html",
)

# Waits for something to be so, and says what it then is; the last word of what it was where it never comes.
UNTIL = """
(async find => {
    const end = performance.now() + 45000;
    let found;
    while (!(found = find()) && performance.now() < end) await new Promise(requestAnimationFrame);
    return found;
})
"""
# Frame number and redness of each picture on the page.
PAINTED = """
[...document.querySelectorAll("#views canvas")].map(canvas => {
    const {width, height} = canvas, middle = canvas.getContext("2d").getImageData(width >> 1, height >> 1, 1, 1);
    return [Number(canvas.dataset.frame), middle.data[0]];
})
"""
# What the pictures are at each refresh of the screen, until eight frames have been seen, however slow the machine is.
PLAYED = f"""
(async () => {{
    const seen = [], frames = new Set(), end = performance.now() + 45000;
    while (frames.size < 8 && performance.now() < end) {{
        await new Promise(requestAnimationFrame);
        seen.push({PAINTED.strip()});
        frames.add(seen.at(-1)[0][0]);
    }}
    return seen;
}})()
"""
# The pictures once they have been the same for half a second.
STOPPED = f"""
(async () => {{
    let found = null, since = performance.now();
    while (performance.now() - since < 500) {{
        await new Promise(requestAnimationFrame);
        const next = {PAINTED.strip()};
        if (JSON.stringify(next) !== JSON.stringify(found)) since = performance.now();
        found = next;
    }}
    return found;
}})()
"""
VISIBLE = """[...document.querySelectorAll(".card:not([hidden])")].map(card => card.dataset.name)"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browsing(tmp_path_factory.mktemp("profile")) as page:
        page.watch()
        yield page


@pytest.fixture(scope="module")
def ratings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that the server writes ratings to."""
    return tmp_path_factory.mktemp("ratings") / FILE


@pytest.fixture(scope="module")
def served(project: Path, ratings: Path) -> Iterator[str]:
    """The address of the report on a server, where scripts may read what a picture holds."""
    with serving(project / "artifacts/report", ratings.parent, 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture
def page(browser: Page) -> Page:
    """At a desk, on an empty page, with nothing remembered of other tests."""
    browser.open("about:blank")
    browser.resize(1280, 900)
    browser.events.clear()
    return browser


@pytest.fixture
def disk(project: Path) -> str:
    """The address of the report's folder."""
    return f"{(project / 'artifacts/report').as_uri()}/"


def until(page: Page, expression: str) -> Any:
    return page.evaluate(f"{UNTIL}(() => {expression})")


def faults(page: Page) -> list[Any]:
    """What went wrong on the pages since the last test, and requests that left the folder."""
    page.evaluate("0")  # all that came before is read then
    wrong = ("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled")
    return [event["params"] for event in page.events if event.get("method") in wrong]


def requested(page: Page) -> list[str]:
    return [
        event["params"]["request"]["url"] for event in page.events if event.get("method") == "Network.requestWillBeSent"
    ]


def test_every_page_opens_from_disk_without_an_error_and_asks_for_nothing_outside_its_folder(page: Page, disk: str):
    for name in PAGES:
        page.open("about:blank")
        page.open(disk + name)
        page.press("Tab")
    page.open(disk + "index.html")
    page.point_at(".picture")  # which plays a video
    assert until(page, "document.querySelector('.picture video')?.currentTime > 0")
    assert faults(page) == []
    asked = requested(page)
    assert len(asked) > 30
    assert [url for url in asked if not url.startswith((disk, "about:blank"))] == []


def test_no_page_has_a_script_or_a_style_inside(project: Path):
    for file in (project / "artifacts/report").rglob("*.html"):
        text = file.read_text(encoding="utf-8")
        assert "<style" not in text
        assert " style=" not in text
        assert "<script>" not in text.replace("&lt;script&gt;", "")
        assert "default-src 'none'" in text


def test_all_links_lead_somewhere(page: Page, disk: str):
    for name in PAGES[:5]:
        page.open(disk + name)
        links = page.evaluate("[...document.links].map(link => decodeURI(link.href.split('#')[0]))")
        assert links
        missing = [link for link in links if not (Path(link.removeprefix("file://"))).is_file()]
        assert missing == [], name


def test_a_card_plays_its_video_while_the_pointer_is_on_it(page: Page, disk: str):
    page.open(disk + "index.html")
    assert page.evaluate("document.querySelectorAll('video').length") == 0
    page.point_at("[data-name=harbour-1] .picture")
    assert until(page, "document.querySelector('[data-name=harbour-1] video')?.currentTime > 0.1")
    page.point_at("#search")
    assert until(page, "!document.querySelector('.picture video')")


def test_the_search_finds_words_and_values(page: Page, disk: str):
    page.open(disk + "index.html")
    assert page.evaluate("document.getElementById('count').textContent") == "11 videos"

    def search(text: str) -> list[str]:
        return page.evaluate(
            f"(box => {{ box.value = {json.dumps(text)}; box.dispatchEvent(new Event('input')); return {VISIBLE}; }})"
            "(document.getElementById('search'))"
        )

    assert search("boats") == ["harbour-1", "harbour-1.draft", "harbour-2", "harbour-3", "harbour-4", "later"]
    assert search("seed=2 harbour") == ["harbour-3", "harbour-4"]
    assert search("guidance_scale>3 seed=1 boats") == ["harbour-2"]
    assert search("<script>") == ["script"]
    assert search("nothing like it") == []
    assert page.evaluate("!document.getElementById('nothing').hidden")


def test_filters_leave_the_videos_that_have_a_value(page: Page, disk: str):
    page.open(disk + "index.html")
    choose = (
        "(select => {{ select.value = {value}; select.dispatchEvent(new Event('change')); return " + VISIBLE + "; }})"
        "(document.getElementById({select}))"
    )
    found = page.evaluate(choose.format(value='"2"', select='"filter-denoise.seed"'))
    assert found == ["harbour-3", "harbour-4"]
    page.press("Escape")
    assert len(page.evaluate(VISIBLE)) == 11
    for kind, names in {"draft": ["demo.draft", "harbour-1.draft"], "not made": ["later"]}.items():
        assert page.evaluate(choose.format(value=json.dumps(kind), select='"filter-kind"')) == names


def test_a_video_that_is_not_made_yet_has_its_state_and_its_preview_and_cannot_be_chosen(page: Page, disk: str):
    page.open(disk + "index.html")
    card = "document.querySelector('[data-name=later]')"
    assert page.evaluate(f"{card}.querySelector('.mark').textContent") == "not made yet"
    assert until(page, f"{card}.querySelector('img').naturalWidth") == 96
    assert page.evaluate(f"{card}.querySelectorAll('a, input').length") == 0


def test_the_wall_is_walked_and_compared_with_the_keyboard_alone(page: Page, disk: str):
    page.open(disk + "index.html")
    page.evaluate("sessionStorage.clear()")
    page.open(disk + "index.html")
    page.press("/")
    assert page.evaluate("document.activeElement.id") == "search"
    page.evaluate("document.activeElement.blur()")
    for key in ("ArrowRight", "x", "ArrowRight", "x"):
        page.press(key)
    assert page.evaluate("document.getElementById('chosen').textContent") == "2 chosen"
    page.press("c")
    assert until(
        page, "location.pathname.endsWith('/compare.html') && document.querySelectorAll('canvas').length === 2"
    )
    assert page.evaluate("location.hash") == "#v=demo,demo.draft"


def test_a_sweep_is_a_grid_whose_axes_can_be_swapped(page: Page, disk: str):
    page.open(disk + "sweeps/harbour.html")
    rows = (
        "[...document.querySelectorAll('#grid tbody tr')]"
        ".map(row => [...row.querySelectorAll('.name')].map(name => name.textContent))"
    )
    assert page.evaluate(rows) == [["harbour-1", "harbour-2"], ["harbour-3", "harbour-4"]]
    page.evaluate("document.getElementById('swap').click()")
    assert page.evaluate(rows) == [["harbour-1", "harbour-3"], ["harbour-2", "harbour-4"]]
    heads = page.evaluate("[...document.querySelectorAll('#grid thead th')].map(head => head.textContent)")
    assert heads == ["seed", "1", "2"]


def test_a_sweep_has_drafts_beside_their_finals(page: Page, disk: str):
    page.open(disk + "sweeps/harbour.html")
    links = "cell => [...cell.querySelectorAll('a')].map(link => link.href.split('/').pop())"
    cells = page.evaluate(f"[...document.querySelectorAll('#grid tbody td')].map({links})")
    assert cells[:2] == [["harbour-1.html", "harbour-1.draft.html"], ["harbour-2.html"]]


def test_prompts_are_text_whatever_they_hold(page: Page, disk: str):
    for name, prompt in (("script", SCRIPT), ("long", LONG)):
        page.open(f"{disk}videos/{name}.html")
        assert page.evaluate("document.querySelector('.prompt.whole').textContent") == prompt
        page.open(f"{disk}compare.html#v={name},demo")
        assert until(page, "document.querySelectorAll('canvas').length === 2")
    page.open(disk + "index.html")
    assert page.evaluate("document.querySelector('[data-name=script] .prompt').textContent") == SCRIPT
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert faults(page) == []


def test_the_player_steps_frame_by_frame(page: Page, disk: str):
    page.open(disk + "videos/harbour-1.html")
    frame = "document.getElementById('video').dataset.frame"
    assert until(page, f"{frame} === '0'")
    for key, wanted in ((".", 1), (".", 2), (",", 1), ("End", SIZE.num_frames - 1), ("Home", 0)):
        page.press(key)
        assert until(page, f"{frame} === '{wanted}'"), (key, wanted)
    page.evaluate("document.querySelectorAll('.cells button')[3].click()")
    assert until(page, f"{frame} === document.querySelectorAll('.cells button')[3].dataset.frame")
    page.press(" ")
    assert until(page, "!document.getElementById('video').paused")


def is_locked(painted: list[list[int]], frame: int | None = None) -> bool:
    """Whether all pictures say that they are one frame, and have the colour of that frame."""
    numbers = {number for number, _ in painted}
    return len(numbers) == 1 and all(
        abs(redness - LEVELS_PER_FRAME * number) < LEVELS_PER_FRAME / 2 and frame in {None, number}
        for number, redness in painted
    )


def test_a_comparison_stays_locked_to_the_frame_after_seeking(page: Page, served: str):
    page.open(served + COMPARED)
    for wanted in (12, 5, 23, 0, 1, 13):
        page.evaluate(
            f"(slider => {{ slider.value = {wanted}; slider.dispatchEvent(new Event('input')); }})"
            "(document.getElementById('frame'))"
        )
        assert until(page, f"document.getElementById('views').dataset.frame === '{wanted}'")
        painted = page.evaluate(PAINTED)
        assert len(painted) == 3
        assert is_locked(painted, wanted), painted


def test_a_comparison_stays_locked_to_the_frame_while_it_plays_and_when_it_stops(page: Page, served: str):
    page.open(served + COMPARED)
    assert until(page, "document.getElementById('views').dataset.frame === '0'")
    page.press(" ")
    seen = page.evaluate(PLAYED)
    assert [painted for painted in seen if not is_locked(painted)] == []
    assert len({painted[0][0] for painted in seen}) == 8
    page.press(" ")
    assert is_locked(page.evaluate(STOPPED))


def test_an_address_with_a_fraction_of_a_frame_shows_that_frame(page: Page, served: str):
    page.open(f"{served}{COMPARED}&f=5.5")
    assert until(page, "document.getElementById('views').dataset.frame === '5'")


def require_hevc_unplayable(page: Page) -> None:
    if page.evaluate("document.createElement('video').canPlayType('video/mp4; codecs=hvc1.1.6.L93.B0')"):
        pytest.skip("this browser plays HEVC")


def test_of_a_video_that_the_browser_does_not_play_there_is_the_strip_and_what_to_do(page: Page, disk: str):
    require_hevc_unplayable(page)
    page.open(disk + "videos/hevc.html")
    note = "document.getElementById('unplayable')"
    assert until(page, f"!{note}.hidden")
    assert page.evaluate(f"{note}.textContent") == (
        "This browser does not play hevc: these are frames of it. doit hevc export.codec=h264 makes a file that all "
        "browsers play."
    )
    assert page.evaluate("document.querySelector('#strip img').naturalWidth") > 0


def test_a_comparison_shows_what_it_cannot_play_as_a_strip_and_plays_the_rest(page: Page, served: str):
    require_hevc_unplayable(page)
    page.open(served + "compare.html#v=harbour-1,hevc,harbour-2&f=7")
    assert until(page, "document.querySelector('.view .fault')?.textContent") == (
        "This browser does not play hevc; these are frames of it."
    )
    assert until(page, "document.getElementById('views').dataset.frame === '7'")
    painted = page.evaluate(PAINTED)
    assert len(painted) == 2
    assert is_locked(painted, 7), painted


def test_a_comparison_names_only_what_differs(page: Page, disk: str):
    page.open(disk + "compare.html#v=harbour-1,harbour-2")
    texts = page.evaluate(
        "[...document.querySelectorAll('.view figcaption')]"
        ".map(text => [...text.children].map(part => part.textContent))"
    )
    assert texts == [["harbour-1", "guidance_scale 3"], ["harbour-2", "guidance_scale 6"]]
    assert page.evaluate("document.getElementById('same').textContent") == "Boats in a harbour."


def test_six_videos_are_on_the_screen_at_once(page: Page, disk: str):
    page.open(disk + "compare.html#v=harbour-1,harbour-2,harbour-3,harbour-4,long,script")
    boxes = page.evaluate("[...document.querySelectorAll('.view')].map(view => view.getBoundingClientRect().bottom)")
    assert len(boxes) == 6
    assert max(boxes) < page.evaluate("document.getElementById('transport').getBoundingClientRect().top")
    assert page.evaluate("document.querySelector('.view').clientWidth") > 300


def test_wipe_and_difference_put_two_pictures_on_each_other(page: Page, served: str):
    page.open(served + COMPARED)
    for mode in ("wipe", "difference"):
        page.evaluate(f"document.querySelector('#modes input[value={mode}]').click()")
        boxes = page.evaluate(
            "[...document.querySelectorAll('.pane canvas')]"
            ".map(canvas => JSON.stringify(canvas.getBoundingClientRect()))"
        )
        assert len(boxes) == 2
        assert boxes[0] == boxes[1]
    blend = "getComputedStyle(document.querySelectorAll('.pane canvas')[1]).mixBlendMode"
    assert page.evaluate(blend) == "difference"


def test_a_rating_is_kept_by_the_browser_where_no_server_takes_it(page: Page, disk: str):
    page.open(disk + "videos/long.html")
    page.evaluate("document.querySelector('input[name=rating][value=\"4\"]').click()")
    page.open(disk + "index.html")
    assert page.evaluate("document.querySelector('[data-name=long] .stars').textContent") == "★★★★"
    assert page.evaluate("document.getElementById('export').textContent") == "Export ratings.json"
    assert list(page.evaluate("NOTES.all()").values()) == [{"video": "long", "rating": 4, "note": ""}]
    page.evaluate("localStorage.clear()")


def test_what_a_browser_has_kept_of_another_report_or_the_file_has_by_now_is_left_out(page: Page, disk: str):
    page.open(disk + "index.html")
    key = page.evaluate("REPORT.videos.find(video => video.name === 'long').key")
    page.evaluate(
        f"localStorage.setItem('report-ratings', JSON.stringify({{'{key}': {{video: 'long', rating: 2, note: ''}}, "
        "'ffffffffffffffffffffffffffffffff': {video: 'of another project', rating: 5, note: ''}}))"
    )
    page.open(disk + "index.html?again")
    assert list(page.evaluate("NOTES.all()").values()) == [{"video": "long", "rating": 2, "note": ""}]
    page.evaluate("localStorage.clear()")


def test_a_rating_and_a_note_go_to_the_project_where_the_server_is(page: Page, served: str, ratings: Path):
    page.open(served + "videos/long.html")
    page.evaluate("document.querySelector('input[name=rating][value=\"5\"]').click()")
    said = "document.getElementById('saved').textContent"
    assert until(page, f"{said} === 'Saved in ratings.json of the project.'")
    page.evaluate("document.getElementById('saved').textContent = ''")
    page.evaluate(
        "(note => { note.value = 'the lamp <b>flickers</b>'; note.dispatchEvent(new Event('change')); })"
        "(document.getElementById('note'))"
    )
    assert until(page, said)
    page.open(served + "videos/long.html")
    assert page.evaluate("document.getElementById('note').value") == "the lamp <b>flickers</b>"
    (entry,) = json.loads(ratings.read_text(encoding="utf-8")).values()
    assert entry == {"video": "long", "rating": 5, "note": "the lamp <b>flickers</b>"}


@pytest.mark.parametrize("is_dark", [False, True], ids=["light", "dark"])
def test_a_phone_shows_every_page_without_scrolling_sideways(page: Page, disk: str, *, is_dark: bool):
    page.resize(390, 844, is_dark=is_dark)
    for name in PAGES:
        page.open("about:blank")
        page.open(disk + name)
        assert page.evaluate("document.documentElement.scrollWidth") == 390, name


def test_the_colours_follow_the_system_until_the_switch_says_otherwise(page: Page, disk: str):
    page.resize(1280, 900, is_dark=True)
    page.open(disk + "index.html")
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(ground)
    page.evaluate("document.getElementById('theme').click()")
    light = page.evaluate(ground)
    assert light != dark
    page.open(disk + "videos/demo.html")
    assert page.evaluate(ground) == light
    page.evaluate("localStorage.clear()")


@pytest.mark.parametrize("is_dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing_serious(page: Page, disk: str, *, is_dark: bool):
    script = os.environ.get(AXE)
    if not script:
        pytest.skip(f"{AXE} names no axe.min.js: `npm pack axe-core` has it")
    page.resize(1280, 900, is_dark=is_dark)
    for name in PAGES:
        page.open("about:blank")
        page.open(disk + name)
        page.evaluate(Path(script).read_text(encoding="utf-8") + "\n;0")
        found = page.evaluate("axe.run().then(({passes, violations}) => ({passes: passes.length, violations}))")
        assert found["passes"] > 10
        assert [each["id"] for each in found["violations"] if each["impact"] in {"serious", "critical"}] == [], name


def test_pictures_are_laid_out_in_the_shape_of_most_videos(project: Path):
    shown = gather(load(project))
    facts = shown.videos["long"].facts
    assert facts is not None
    tall = replace(shown.videos["long"], facts=replace(facts, width=480, height=832))
    assert find_shape(shown) == "landscape"
    assert find_shape(replace(shown, videos={**shown.videos, "long": tall})) == "landscape"
    assert find_shape(replace(shown, videos={"long": tall})) == "tall"
    assert find_shape(replace(shown, videos={})) == "wide"


def test_an_earlier_video_says_what_is_asked_for_now(project: Path):
    video = gather(load(project)).videos["long"]
    gone, waiting = replace(video, is_in_project=False), replace(video, next_state="denoise is next")
    assert explain_earlier(gone) == "The project has no video of this name any more"
    assert explain_earlier(waiting) == "The parameters ask for another video by now: denoise is next"


def test_a_picture_is_described_by_name_and_prompt(project: Path):
    video = gather(load(project)).videos["long"]
    text = describe_picture(video)
    assert text.startswith("long: A lamp. A lamp.")
    assert len(text) < 160
