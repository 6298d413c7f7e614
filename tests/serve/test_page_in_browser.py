"""The page of `vepe serve` in Debian's Chromium, on a server that asks for a token.

Skipped without Chromium, unless VEPE_REQUIRE_BROWSER is set. VEPE_BROWSER names another one.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from page_probes import (
    DROP,
    FOCUSED,
    FRAMES,
    HEIGHT,
    PROBES,
    REACHABLE,
    TEXT_CONTRASTS,
    WIDTH,
    Tracked,
    camera_file,
    elsewhere,
    numbered_clip,
    opened,
    policy_errors,
    until,
)
from running_server import CLIP, Running, running_server

from vepe.skeleton import POSETRACK15
from vepe.viz.colours import person_colour

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

TOKEN = "a-token-for-the-tests-of-the-page"
WAIT_MS = 60_000
NAMES = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    path = os.environ.get("VEPE_BROWSER") or next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        reason = "the page needs Chromium; on Debian: apt-get install chromium"
        assert not os.environ.get("VEPE_REQUIRE_BROWSER"), reason
        pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    camera = camera_file(tmp_path_factory.mktemp("camera"))
    flags = [
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-video-capture={camera}",
        *(["--no-sandbox"] if os.geteuid() == 0 else []),
    ]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=flags)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def site(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running_server(tmp_path_factory.mktemp("page_jobs"), None, token=TOKEN) as running:
        yield running


@pytest.fixture(scope="module")
def context(browser: Browser, site: Running) -> Iterator[BrowserContext]:
    """A window with a session. Nothing may be loaded from elsewhere, break the policy or fail."""
    wrong: list[str] = []
    context = browser.new_context(
        base_url=f"http://127.0.0.1:{site.port}/",
        viewport={"width": 1280, "height": 900},
        permissions=["camera"],
        reduced_motion="reduce",
    )
    context.set_default_timeout(WAIT_MS)
    context.add_init_script(PROBES)
    context.on("request", lambda request: wrong.extend(elsewhere(request.url, site.port)))
    context.on("weberror", lambda error: wrong.append(str(error.error)))
    context.on("console", lambda message: wrong.extend(policy_errors(message.text)))
    context.request.post("v1/session", data={"token": TOKEN})
    yield context
    context.close()
    assert wrong == []


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    page = context.new_page()
    yield page
    page.close()


@pytest.fixture(scope="module")
def walkers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return numbered_clip(tmp_path_factory.mktemp("walkers"))


@pytest.fixture(scope="module")
def tracked(context: BrowserContext, walkers: Path) -> Tracked:
    page = context.new_page()
    page.goto("/")
    page.set_input_files("#file", walkers)
    states: list[str] = []
    followed: list[list[int]] = []
    end_s = time.monotonic() + 2 * WAIT_MS / 1000
    while page.locator("#downloads").is_hidden():
        assert time.monotonic() < end_s, states
        states.append(page.locator("#progress-text").text_content() or "")
        if page.locator("#chips .chip").first.is_visible():
            followed.append(page.evaluate("[probes.shownNumber(), probes.saidNumber()]"))
        page.wait_for_timeout(100)
    job_id = page.url.rsplit("/", 1)[1]
    lines = context.request.get(f"v1/jobs/{job_id}/poses?format=jsonl").text().splitlines()
    page.close()
    return Tracked(job_id, states, followed, [json.loads(line) for line in lines])


@pytest.fixture
def player(page: Page, tracked: Tracked) -> Page:
    return opened(page, tracked)


def test_a_token_is_asked_for(browser: Browser, site: Running) -> None:
    context = browser.new_context(base_url=f"http://127.0.0.1:{site.port}/")
    page = context.new_page()
    page.goto("/")
    token = page.get_by_label("Token", exact=True)
    token.fill("not this one, surely")
    token.press("Enter")
    page.get_by_text("This is not the server's token.").wait_for()
    token.fill(TOKEN)
    page.get_by_role("button", name="Open").click()
    page.locator("#token-dialog").wait_for(state="hidden")
    until(page, "document.getElementById('model').options.length > 0")
    assert page.locator("#banner").is_hidden()
    context.close()


def test_without_the_token_one_button_asks_again(browser: Browser, site: Running) -> None:
    context = browser.new_context(base_url=f"http://127.0.0.1:{site.port}/")
    page = context.new_page()
    page.goto("/")
    page.get_by_role("button", name="Not now").click()
    page.get_by_text("This server needs its token.").wait_for()
    page.get_by_role("button", name="Enter the token").click()
    page.get_by_label("Token", exact=True).wait_for()
    context.close()


def test_an_upload_shows_progress_and_first_poses(tracked: Tracked) -> None:
    assert len(tracked.frames) == FRAMES
    assert any("people" in frame for frame in tracked.frames)
    progress = [state for state in tracked.states if f"of {FRAMES} frames" in state]
    assert progress, tracked.states
    assert any("frames/s" in state for state in progress)
    assert tracked.followed, "no poses were shown while the job ran"
    assert all(shown == said for shown, said in tracked.followed)


def test_poses_belong_to_the_frame_on_the_screen(player: Page) -> None:
    samples = player.evaluate("probes.play({})")
    wrong = [(shown, said) for shown, said, _ in samples if shown != said]
    assert wrong == []
    assert len({shown for shown, *_ in samples}) > 3
    player.keyboard.press("Home")
    until(player, "probes.shownNumber() === 0")
    for key, number in (
        ("ArrowRight", 1),
        ("ArrowRight", 2),
        ("ArrowLeft", 1),
        ("End", FRAMES - 1),
    ):
        player.keyboard.press(key)
        until(player, f"probes.shownNumber() === {number}")
        assert player.evaluate("probes.saidNumber()") == number
    player.keyboard.press("Home")
    player.keyboard.press(" ")
    until(player, "!document.getElementById('video').paused")
    player.keyboard.press(" ")
    until(player, "document.getElementById('video').paused")


@pytest.mark.parametrize("lacks", ["", "delete window.VideoFrame;"])
def test_faces_are_hidden_in_every_frame(page: Page, tracked: Tracked, lacks: str) -> None:
    page.add_init_script(lacks)
    player = opened(page, tracked)
    circles = {
        number: [c for c in heads if c[2] < c[0] < WIDTH - c[2] and c[2] < c[1] < HEIGHT - c[2]]
        for number, heads in tracked.circles().items()
    }
    assert sum(map(len, circles.values())) > FRAMES
    for name in ("skeleton", "ids"):
        player.locator(f"#view-job [data-draw={name}]").uncheck()
    plain: dict[int, list[float]] = {}
    for shown, _, details in player.evaluate("(circles) => probes.play(circles)", circles):
        plain[shown] = details
    player.locator("#view-job [data-draw=blur]").check()
    hidden = player.evaluate("(circles) => probes.play(circles)", circles)
    for name in ("skeleton", "ids"):
        player.locator(f"#view-job [data-draw={name}]").check()
    player.locator("#view-job [data-draw=blur]").uncheck()
    pairs = [
        (before, after)
        for shown, _, details in hidden
        for before, after in zip(plain.get(shown, []), details, strict=False)
    ]
    assert len(pairs) > 3
    print(f"largest share of detail that is left: {max(a / b for b, a in pairs):.2f}")
    assert max(after / before for before, after in pairs) < 0.6  # 1 where nothing is hidden


def test_a_frame_without_known_poses_is_hidden_whole(page: Page) -> None:
    page.goto("/")
    detail = page.evaluate("""async (blur) => {
      const { paintScene } = await import("/page/scene.js");
      const noise = new OffscreenCanvas(160, 90);
      const ink = noise.getContext("2d");
      for (let x = 0; x < 160; x += 2) ink.fillRect(x, 0, 1, 90);
      const canvas = new OffscreenCanvas(160, 90);
      const context = canvas.getContext("2d");
      const size = { width: 160, height: 90 };
      const show = { blur: true, skeleton: true };
      const scene = { store: null, place: -1, skeleton: null, show, selected: null };
      paintScene(context, noise, size, { ...size, scale: 1 }, scene);
      const { data } = context.getImageData(0, 0, 160, 90);
      let most = 0;
      for (let i = 4; i < data.length; i += 4) {
        most = Math.max(most, Math.abs(data[i] - data[i - 4]));
      }
      return most;
    }""")
    assert detail < 64  # stripes of 0 and 255


def test_the_timeline_jumps_to_a_person(player: Page, tracked: Tracked) -> None:
    ids = sorted({p["track_id"] for f in tracked.frames for p in f["people"]} - {None})
    assert player.locator(".track").count() == len(ids)
    track = int(player.locator(".track").last.get_attribute("data-track") or 0)
    frames = [f["frame"] for f in tracked.frames if track in [p["track_id"] for p in f["people"]]]
    name = player.get_by_role("button", name=re.compile(rf"^Person {track}: "))
    name.focus()
    player.keyboard.press("Enter")
    until(player, f"probes.shownNumber() === {frames[0]}")
    player.get_by_text(f"Frame {frames[0]} · Person {track} ·").wait_for()
    assert name.get_attribute("aria-pressed") == "true"
    bar = player.locator(f".track[data-track='{track}'] .track-bar")
    box = bar.bounding_box()
    assert box is not None
    goal = frames[len(frames) // 2]
    length_s = player.evaluate("document.getElementById('scrubber').max")
    goal_s = tracked.frames[goal]["time_s"]
    bar.click(position={"x": box["width"] * goal_s / float(length_s), "y": 14})
    until(player, f"probes.shownNumber() === {goal}")
    player.get_by_text(f"Frame {goal} · Person {track} ·").wait_for()
    person = next(p for p in tracked.frames[goal]["people"] if p["track_id"] == track)
    cells = player.get_by_role("row", name="Left hip").get_by_role("cell").all_inner_texts()
    left_hip = person["keypoints"][POSETRACK15.index("left_hip")]
    assert [float(cell) for cell in cells] == pytest.approx(left_hip, abs=0.051)


def test_downloads(player: Page) -> None:
    for name, check in (("JSON", b'"keypoints"'), ("CSV", b"track_id"), ("Video", b"ftyp")):
        with player.expect_download() as download:
            player.get_by_role("link", name=name, exact=True).click()
        assert check in Path(download.value.path()).read_bytes(), name


def test_colours_and_heads_are_those_of_files(page: Page, tracked: Tracked) -> None:
    page.goto("/")
    numbers = list(range(-7, 300))
    script = """async (numbers) => {
      const { personColour } = await import("/page/colours.js");
      return numbers.map(personColour);
    }"""
    assert page.evaluate(script, numbers) == [list(person_colour(n)) for n in numbers]
    script = """async ([frames, skeleton]) => {
      const { makeSkeleton } = await import("/page/skeleton.js");
      const { readPerson } = await import("/page/poses.js");
      const { circlesOf } = await import("/page/privacy.js");
      const made = makeSkeleton(skeleton);
      return frames.map(({ people }) =>
        circlesOf(people.map(readPerson), made).map(({ x, y, radius }) => [x, y, radius]));
    }"""
    values = {"keypoints": list(POSETRACK15.keypoints), "edges": list(POSETRACK15.edges)}
    for heads, gt in zip(
        page.evaluate(script, [tracked.frames, values]), tracked.circles().values(), strict=True
    ):
        np.testing.assert_allclose(heads, gt, atol=0.01)


def test_cancel_and_delete(page: Page) -> None:
    page.goto("/")
    page.set_input_files("#file", CLIP)
    page.locator("#progress-text", has_text=re.compile("frames|Starting|queue")).wait_for()
    page.get_by_role("button", name="Cancel", exact=True).click()
    page.get_by_text("This job was cancelled before its end.").wait_for()
    page.get_by_role("button", name=f"Delete {CLIP.name}").click()
    page.get_by_role("button", name="Keep it").click()
    page.get_by_role("button", name=f"Delete {CLIP.name}").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_role("heading", name="Drop a video or an image here").wait_for()
    assert page.locator(".job-name", has_text=CLIP.name).count() == 0


def test_a_dropped_damaged_file_is_one_sentence(page: Page) -> None:
    name = "<img src=x onerror=document.title=1>.mp4"
    page.goto("/")
    page.evaluate(DROP, [name, list(CLIP.read_bytes()[:9000])])
    page.get_by_role("alert").filter(has_text="damaged").wait_for()
    assert page.get_by_role("heading", level=1).text_content() == name
    assert page.locator("main img[src=x]").count() == 0
    page.get_by_role("button", name=f"Delete {name}").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_role("heading", name="Drop a video or an image here").wait_for()


def test_an_image(page: Page, photo: Path) -> None:
    page.goto("/")
    page.set_input_files("#file", photo)
    page.locator("#download-image").wait_for()
    page.get_by_text("Person 1 · score").wait_for()
    assert page.locator("#keypoints tr").count() == len(POSETRACK15)
    assert page.locator("#transport").is_hidden()


def test_live_camera(page: Page) -> None:
    page.goto("/#/live")
    page.get_by_role("button", name="Start camera").click()
    page.locator("#live-stats").wait_for()
    until(page, "Number(document.getElementById('live-rate').textContent) > 0")
    until(page, "/[1-9]/.test(document.getElementById('live-canvas').getAttribute('aria-label'))")
    assert int(page.locator("#live-latency").inner_text()) > 0
    colours = """() => {
      const canvas = document.getElementById("live-canvas");
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      let coloured = 0;
      for (let i = 0; i < data.length; i += 4) {
        const [low, high] = [Math.min(...data.slice(i, i + 3)), Math.max(...data.slice(i, i + 3))];
        if (high - low > 110) coloured += 1;
      }
      return coloured;
    }"""
    assert page.evaluate(colours) > 100, "no poses are drawn"
    page.get_by_role("button", name="Stop camera").click()
    assert page.locator("#live-stats").is_hidden()


def test_a_lost_connection_is_told_and_comes_back(page: Page, context: BrowserContext) -> None:
    page.goto("/")
    page.locator("#model option").first.wait_for(state="attached")
    context.set_offline(True)
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.get_by_text("The connection to the server is lost.").wait_for()
    context.set_offline(False)
    page.locator("#banner").wait_for(state="hidden")


@pytest.mark.parametrize("view", ["", "#/job/ID", "#/live"])
def test_readable_reachable_and_narrow(page: Page, tracked: Tracked, view: str) -> None:
    page.goto("/" + view.replace("ID", tracked.id))
    if "job" in view:
        page.locator(".track .run").first.wait_for()
    page.locator(".job").first.wait_for(state="attached")
    for _ in ("light", "dark"):
        contrasts = page.evaluate(TEXT_CONTRASTS)
        assert len(contrasts) > 10
        assert [c for c in contrasts if c[1] < c[2]] == []
        page.get_by_role("button", name="Dark theme").click()
    wanted = set(page.evaluate(REACHABLE))
    page.evaluate("document.activeElement.blur(); window.getSelection().removeAllRanges()")
    reached = set()
    for _ in range(len(wanted) + 12):
        page.keyboard.press("Tab")
        focus = page.evaluate(FOCUSED)
        if focus is None:  # between the last element and the first
            continue
        assert focus["isVisible"], f"the focus on {focus['name']} cannot be seen"
        assert focus["label"], f"{focus['name']} has no name"
        reached.add(focus["name"])
    assert wanted - reached == set()
    page.set_viewport_size({"width": 400, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
