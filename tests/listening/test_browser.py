"""The page in headless Chromium: it plays, in time to the sample; controls work; nothing is loaded from elsewhere; names stay text."""

import numpy as np
import pytest

from jukemir_like.listening.compress import SAMPLE_RATE, to_mp3
from jukemir_like.listening.page import CORRECT, SAME_TRACK, Candidate, Comparison, Page, Sound, render

pytestmark = pytest.mark.slow

SECONDS = 4.0
EVIL = '<img src=x onerror="window.broken=1"></script><script>window.broken=1</script>.wav'
LATE = 320  # samples at SAMPLE_RATE that the third candidate is behind: 10 ms
TIME = 10  # seconds that a browser on a busy machine may take for anything

# Records mix and stem side by side while they play: a promise of two arrays. Loaded without an address, which the page's policy refuses.
RECORD = """
window.record = (blocks = 1) => new Promise((resolve) => {
  const { context, buses } = listening.player, merger = context.createChannelMerger(2);
  const node = context.createScriptProcessor(16384, 2, 1), recorded = [[], []];
  buses.mix.connect(merger, 0, 0);
  buses.stem.connect(merger, 0, 1);
  node.onaudioprocess = ({ inputBuffer }) => {
    recorded.forEach((samples, channel) => samples.push(...inputBuffer.getChannelData(channel)));
    if (recorded[0].length < blocks * 16384) { return; }
    node.onaudioprocess = null;
    merger.disconnect();
    node.disconnect();
    resolve(recorded);
  };
  merger.connect(node).connect(context.destination);
})
"""


def clicks(late=0):
    """Noise bursts of a few milliseconds at irregular times, the same for each call."""
    random = np.random.default_rng(0)
    samples = np.zeros(round(SECONDS * SAMPLE_RATE) + late, np.float32)
    for start in np.cumsum(random.integers(2000, 6000, 40)):
        if start + 200 < len(samples) - late:
            samples[late + start : late + start + 200] = random.uniform(-0.6, 0.6, 200)
    return samples[: round(SECONDS * SAMPLE_RATE)]


def example():
    mp3, peaks = to_mp3(clicks()), [10, 100, 50, 0]
    candidates = [
        Candidate("first.wav", mp3, peaks, rank=1, score=0.9, marks=[SAME_TRACK]),
        Candidate(EVIL, mp3, peaks, rank=2, score=-0.25, notes=["<b>from 1:00</b>"], marks=[CORRECT]),
        Candidate("late.wav", to_mp3(clicks(LATE)), peaks, rank=3, score=-0.3),
        Candidate("gone.wav", None, rank=4, score=-0.4, problem="cannot be heard: it is gone"),
    ]
    one = Comparison("mix.wav", "bass", SECONDS, 1000, Sound("mix.wav", mp3, peaks), candidates, (-0.9, 0.0, 0.9), group="bass")
    other = Comparison("other", "drums", SECONDS, 3, Sound("other", mp3, peaks), candidates[:2], group="drums", summary="rank 2 of 3")
    return Page(EVIL, "", [one, other], [("library", EVIL)], [EVIL])


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "fits.html"
    path.write_text(render(example()))
    return path


@pytest.fixture(scope="module")
def opened(browser, file):
    """The page, with what it asked for and what went wrong in it."""
    page = browser.new_page(viewport={"width": 1200, "height": 1400})
    page.set_default_timeout(1000 * TIME)
    page.requests, page.errors = [], []
    page.on("request", lambda request: page.requests.append(request.url))
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.on("console", lambda message: page.errors.append(message.text) if is_complaint(message) else None)
    page.goto(file.as_uri())
    page.evaluate("listening.player.ready.then(() => null)")
    page.evaluate(RECORD)
    return page


def is_complaint(message):
    return message.type in ("error", "warning") and "ScriptProcessorNode" not in message.text  # which these tests use


@pytest.fixture
def page(opened):
    """The page as it is after loading."""
    opened.evaluate(
        """() => { const { player } = listening; player.rewind(); player.setLoop(true); player.choose(1);
        player.setTrack('mix', { level: 0, muted: false, solo: false }); player.setTrack('stem', { level: -3, muted: false, solo: false });
        document.activeElement.blur(); }"""
    )
    yield opened
    opened.evaluate("listening.player.pause()")
    complaints, opened.errors = opened.errors, []
    assert complaints == []


def player(page, expression):
    return page.evaluate(f"(() => {{ const {{ player }} = listening; return {expression}; }})()")


def until(page, expression):
    """Waits until it is true. Playwright's own waiting evaluates text in the page, which the page's policy refuses."""
    for _ in range(100 * TIME):
        if page.evaluate(f"(() => {{ const {{ player }} = window.listening; return {expression}; }})()"):
            return
        page.wait_for_timeout(10)
    raise AssertionError(f"not within {TIME} s: {expression}")


def lag(page):
    """By how many samples the stem is behind the mix, as they come out now."""
    mix, stem = np.array(page.evaluate("record()"))
    assert np.abs(mix).max() > 0.1
    assert np.abs(stem).max() > 0.1
    size = 2 * len(mix)
    correlation = np.fft.irfft(np.fft.rfft(stem, size) * np.fft.rfft(mix, size).conj())
    place = int(np.argmax(correlation))
    return place if place < len(mix) else place - size


def test_it_plays(page):
    page.evaluate("() => { window.seen = new AnalyserNode(listening.player.context); listening.player.master.connect(seen); }")
    page.click("#play")
    until(page, "player.position() > 0.3 && player.context.state === 'running'")
    page.evaluate("window.loudest = () => { const x = new Float32Array(2048); seen.getFloatTimeDomainData(x); return Math.max(...x); }")
    until(page, "loudest() > 0.05")
    assert page.inner_text("#play") == "Pause"
    assert page.inner_text("#status") == "Playing: mix + 1: first.wav"
    page.click("#play")
    at = player(page, "player.position()")
    page.wait_for_timeout(100)
    assert player(page, "player.position()") == at > 0


def test_mix_and_stem_are_in_time_to_the_sample(page):
    """Also after another choice, another position, and from one round to the next. The third is 10 ms late, and that is seen."""
    page.click("#play")
    until(page, "player.position() > 0.1")
    assert lag(page) == 0
    page.keyboard.press("3")
    assert lag(page) == pytest.approx(LATE * player(page, "player.context.sampleRate") / SAMPLE_RATE, abs=1)
    page.keyboard.press("2")
    player(page, "player.seek(1.2345)")
    assert lag(page) == 0
    player(page, "player.seek(player.seconds - 0.3)")
    until(page, "player.position() < 2")
    assert lag(page) == 0


def test_a_sound_that_comes_later_is_in_time(page):
    page.click("#play")
    until(page, "player.position() > 0.2")
    player(page, "(() => { const sound = player.sounds[1]; sound.source.stop(); sound.buffer = null; return null; })()")
    page.wait_for_timeout(150)
    page.evaluate("listening.player.decode(listening.player.sounds[1])")
    assert lag(page) == 0


def test_changing_the_stem_leaves_no_gap_and_no_click(page):
    """The stem is a constant here: every sample of what is heard of it stays near it while candidates change."""
    page.evaluate(
        """() => { const { player } = listening; for (const { buffer } of player.sounds) { buffer?.getChannelData(0).fill(0.5); } }"""
    )
    page.click("#play")
    until(page, "player.position() > 0.2")
    recording = page.evaluate_handle("({ promise: record(1) })")
    for key in "2132":
        page.keyboard.press(key)
        page.wait_for_timeout(30)
    stem = np.array(recording.evaluate("({ promise }) => promise"))[1]
    level = 0.5 * 10 ** (-3 / 20)
    assert np.abs(stem / level - 1).max() < 0.05
    assert np.abs(np.diff(stem)).max() < 0.05 * level
    page.reload()
    page.evaluate("listening.player.ready.then(() => null)")
    page.evaluate(RECORD)


def test_every_control_works_by_mouse(page):
    page.click("#candidates input[value='2']")
    assert player(page, "player.chosen") == 2
    page.click("#candidates .row:nth-of-type(4) .peaks")
    assert player(page, "player.chosen") == 3
    page.click("#candidates input[value='0']")
    assert page.inner_text("#status") == "Ready: mix"
    page.click("#candidates input[value='1']")
    for track in ("mix", "stem"):
        other = {"mix": "stem", "stem": "mix"}[track]
        page.click(f"[data-track={track}] .mute")
        assert player(page, f"[player.audible('{track}'), player.audible('{other}')]") == [False, True]
        page.click(f"[data-track={track}] .mute")
        page.click(f"[data-track={track}] .solo")
        assert player(page, f"[player.audible('{track}'), player.audible('{other}')]") == [True, False]
        assert page.get_attribute(f"[data-track={track}] .solo", "aria-pressed") == "true"
        page.click(f"[data-track={track}] .solo")
        box = page.locator(f"[data-track={track}] .level").bounding_box()
        page.mouse.click(box["x"] + 2, box["y"] + box["height"] / 2)
        assert player(page, f"player.tracks.{track}.level") == -40
    box = page.locator("#seek").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert player(page, "player.position()") == pytest.approx(SECONDS / 2, abs=0.1)
    page.click("#loop")
    assert player(page, "player.loop") is False
    assert page.get_attribute("#loop", "aria-pressed") == "false"


def test_every_control_works_by_keyboard(page):
    press = page.keyboard.press
    press("Space")
    assert player(page, "player.playing") is True
    press("Space")
    assert player(page, "player.playing") is False
    press("ArrowDown")
    assert player(page, "player.chosen") == 2
    press("ArrowDown")
    press("ArrowDown")  # the fourth cannot be heard
    assert player(page, "player.chosen") == 3
    press("4")
    assert player(page, "player.chosen") == 3
    press("ArrowUp")
    press("ArrowUp")
    press("ArrowUp")
    press("ArrowUp")
    assert player(page, "player.chosen") == 0
    press("1")
    before = player(page, "player.position()")
    press("ArrowRight")
    assert player(page, "player.position()") == pytest.approx(before + 2, abs=0.05)
    press("ArrowLeft")
    assert player(page, "player.position()") == pytest.approx(before, abs=0.05)
    for key, track, what in (("m", "stem", "muted"), ("s", "stem", "solo"), ("Shift+M", "mix", "muted"), ("Shift+S", "mix", "solo")):
        press(key)
        assert player(page, f"player.tracks.{track}.{what}") is True
        press(key)
        assert player(page, f"player.tracks.{track}.{what}") is False
    press("l")
    assert player(page, "player.loop") is False
    page.focus("[data-track=stem] .level")
    press("ArrowLeft")
    assert player(page, "[player.tracks.stem.level, player.chosen]") == [-4, 1]
    page.focus("#play")
    press("Space")  # once: by the button itself
    assert player(page, "player.playing") is True
    press("Control+s")
    assert player(page, "player.tracks.stem.solo") is False
    press("n")
    assert page.inner_text("#legend") == "drums for other"
    assert page.get_attribute(".query[aria-current]", "data-number") == "1"
    press("p")
    assert page.inner_text("#legend") == "bass for mix.wav"
    page.evaluate("listening.player.ready.then(() => null)")


def test_without_loop_it_ends_and_begins_again(page):
    page.keyboard.press("l")
    player(page, "player.seek(player.seconds - 0.2)")
    page.keyboard.press("Space")
    until(page, "!player.playing")
    assert player(page, "player.position()") == 0
    page.keyboard.press("Space")
    until(page, "player.position() > 0.05")


def test_a_screen_reader_finds_names_and_what_plays(page):
    assert page.get_by_role("radio").count() == 5
    assert page.get_by_role("radio", name="The mix alone").count() == 1
    assert page.get_by_role("radio", name="gone.wav").is_disabled()
    assert page.get_by_role("radio", checked=True).get_attribute("value") == "1"
    assert page.get_by_role("status").inner_text() == "Ready: mix + 1: first.wav"
    for role, name in (("button", "Play"), ("button", "Loop"), ("button", "Mute the mix"), ("button", "Solo the stem")):
        assert page.get_by_role(role, name=name).count() == 1
    for name in ("Position", "Level of the mix", "Level of the stem"):
        assert page.get_by_role("slider", name=name).count() == 1
    assert page.get_attribute("#seek", "aria-valuetext") == "0:00 of 0:04"


def test_names_that_are_html_stay_text(page):
    assert page.evaluate("window.broken") is None
    assert page.title() == page.inner_text("#title") == EVIL
    assert EVIL in page.inner_text("#candidates .row:nth-of-type(3)")
    assert "<b>from 1:00</b>" in page.inner_text("#candidates .row:nth-of-type(3)")
    assert page.locator("main img, main b b, #candidates script").count() == 0


def test_it_shows_scores_ranks_and_marks(page):
    rows = page.locator("#candidates .row")
    assert [text in rows.nth(1).inner_text() for text in ("0.900", "1 of 1,000 · ahead of all", "same track")] == [True] * 3
    assert [text in rows.nth(2).inner_text() for text in ("−0.250", "2 of 1,000 · ahead of 99.9 %", "the right one")] == [True] * 3
    assert "cannot be heard: it is gone" in rows.nth(4).inner_text()


def test_nothing_is_loaded_from_elsewhere(page, file):
    assert {address for address in page.requests if not address.startswith(("data:", "blob:"))} == {file.as_uri()}


def test_it_fits_a_phone(page):
    page.set_viewport_size({"width": 375, "height": 700})
    assert page.evaluate("document.documentElement.scrollWidth") == 375
    assert page.locator("#player").bounding_box()["height"] < 300
    page.set_viewport_size({"width": 1200, "height": 1400})


def test_audio_is_taken_from_an_address_too(browser, tmp_path):
    address = "data:audio/mpeg;base64," + Sound("", to_mp3(clicks())).to_json()["audio"]["base64"]
    both = Comparison("m", "bass", SECONDS, 1, Sound("m", address), [Candidate("a", address, rank=1), Candidate("b", "data:,no", rank=2)])
    (tmp_path / "page.html").write_text(render(Page("", "", [both]), connect="data:"))
    page = browser.new_page()
    page.goto((tmp_path / "page.html").as_uri())
    page.evaluate("listening.player.ready.then(() => null)")
    assert page.evaluate("listening.player.sounds.map(({ buffer }) => buffer && buffer.duration)") == [SECONDS, SECONDS, None]
    assert "this browser cannot play it" in page.inner_text("#candidates .row:nth-of-type(3)")
    page.close()


def test_a_browser_without_web_audio_says_so_and_plays_each(browser, file):
    page = browser.new_page()
    page.add_init_script("delete window.AudioContext; delete window.webkitAudioContext;")
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(file.as_uri())
    assert "has no Web Audio" in page.inner_text("#problem")
    assert page.locator("#candidates audio").count() == 4
    page.evaluate("document.querySelector('audio').preload = 'auto'")
    until(page, "document.querySelector('audio').duration > SECONDS - 0.1".replace("SECONDS", str(SECONDS)))
    assert errors == []
    page.close()
