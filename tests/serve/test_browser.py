"""The server's page in headless Chromium: a file is given, an instrument chosen, and it sounds."""

import pytest

pytestmark = pytest.mark.slow


def until(page, expression):
    """Waits until it is true; Playwright's own waiting evaluates text in the page, which the page's policy refuses."""
    for _ in range(1500):
        if page.evaluate(f"(() => {expression})()"):
            return
        page.wait_for_timeout(10)
    raise AssertionError(f"not within 15 s: {expression}")


def test_a_mix_is_given_and_its_stems_are_heard(browser, client, mix):
    page = browser.new_page(viewport={"width": 1100, "height": 1400})
    errors, requests = [], []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("request", lambda request: requests.append(request.url))
    page.goto(client.server.address)
    page.set_input_files("#file", str(mix))
    until(page, "!document.getElementById('found').hidden")
    page.select_option("#instrument", "drums")
    until(page, "document.getElementById('title').textContent === 'Which drums fits song.wav?'")
    until(page, "listening.player.sounds.length === 5 && listening.player.sounds.every((sound) => sound.buffer)")
    page.evaluate("() => { window.seen = new AnalyserNode(listening.player.context); listening.player.master.connect(seen); }")
    page.click("#play")
    until(page, "listening.player.position() > 0.3")
    until(page, "{ const x = new Float32Array(2048); seen.getFloatTimeDomainData(x); return Math.max(...x) > 0.05; }")
    page.click("#stems summary")
    until(page, "document.querySelectorAll('#list input').length === 4")
    assert "<b>.wav" in page.inner_text("#list")
    page.click("#list label:nth-of-type(2)")
    page.click("#sum")
    until(page, "document.getElementById('given').textContent === 'Mix: a.wav'")
    page.set_input_files("#file", {"name": "a.wav", "mimeType": "audio/wav", "buffer": b"no audio"})
    until(page, "!document.getElementById('refused').hidden")
    assert "give a mix in an audio file" in page.inner_text("#refused")
    assert [error for error in errors if "422" not in error] == []
    assert {url.split("/")[2] for url in requests if not url.startswith("data:")} == {f"127.0.0.1:{client.server.server_port}"}
    page.close()
