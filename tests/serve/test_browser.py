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
    with page.expect_file_chooser():
        page.click("#file")
    assert page.evaluate("document.getElementById('file').files.length") == 0  # so that the same file can be chosen again
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


def opened(browser, client, script=None):
    page = browser.new_page(viewport={"width": 1100, "height": 1400})
    page.errors = []
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    if script is not None:
        page.add_init_script(script)
    page.goto(client.server.address)
    return page


def drop(page, target, files=(), text=None):
    """What the system drops on the page: files and folders by their paths, or text."""
    box = page.locator(target).bounding_box()
    items = [] if text is None else [{"mimeType": "text/plain", "data": text}]
    data = {"items": items, "files": [str(path) for path in files], "dragOperationsMask": 1}
    session = page.context.new_cdp_session(page)
    for kind in ("dragEnter", "dragOver", "drop"):
        if kind == "drop":
            assert page.evaluate("document.getElementById('drop').classList.contains('over-it')") == (target != "#find")
        at = {"x": box["x"] + box["width"] / 2, "y": box["y"] + 5}
        session.send("Input.dispatchDragEvent", {"type": kind, "data": data, **at})
    session.detach()
    assert not page.evaluate("document.getElementById('drop').classList.contains('over-it')")


def refusal(page):
    until(page, "!document.getElementById('refused').hidden")
    return page.inner_text("#refused")


def test_a_file_is_dropped_anywhere_and_what_is_none_is_said(browser, client, mix, tmp_path):
    page = opened(browser, client)
    drop(page, "#drop", text="a text")
    assert refusal(page) == "This is no file: drop an audio file of a mix."
    (tmp_path / "album").mkdir()
    drop(page, "#drop", [tmp_path / "album"])
    until(page, "document.getElementById('refused').textContent.includes('folder')")
    assert refusal(page) == "album is a folder: drop one audio file, the mix."
    drop(page, "#drop", [mix, tmp_path / "library" / "a.wav"])
    until(page, "document.getElementById('refused').textContent.includes('files')")
    assert refusal(page) == "These are 2 files: drop one, the mix."
    assert page.inner_text("#given") == "No mix yet."
    page.click("#stems summary")
    until(page, "document.querySelectorAll('#list input').length === 4")
    assert page.is_hidden("#refused")
    drop(page, "#find", text="sub")
    until(page, "document.querySelectorAll('#list input').length === 1")
    assert page.is_hidden("#refused")
    (tmp_path / "a.txt").write_text("text")
    drop(page, "#drop", [tmp_path / "a.txt"])
    until(page, "document.getElementById('refused').textContent.includes('by its name')")
    for target in ("#drop", ".ask-title"):
        (tmp_path / f"{target[1:]}.wav").write_bytes(mix.read_bytes())
        drop(page, target, [tmp_path / f"{target[1:]}.wav"])
        until(page, f"document.getElementById('given').textContent === 'Mix: {target[1:]}.wav'")
        until(page, f"document.getElementById('title').textContent === 'Which bass fits {target[1:]}.wav?'")
    assert page.is_hidden("#refused")
    assert page.errors == []
    page.close()


def test_what_is_too_large_or_gone_is_refused_before_it_is_sent(browser, client, mix):
    page = opened(browser, client)
    page.set_input_files("#file", str(mix))
    until(page, "!document.getElementById('found').hidden")
    sent = []
    page.on("request", lambda request: sent.append(request.url))
    script = """(size) => {
      const file = new File(["x"], "big.wav");
      Object.defineProperty(file, "size", { value: size });
      const given = new DataTransfer();
      Object.defineProperty(document.getElementById("file"), "files", { value: [file], configurable: true });
      document.getElementById("file").dispatchEvent(new Event("change"));
    }"""
    page.evaluate(script, (100 << 20) + 1)
    assert refusal(page) == "big.wav is too large: at most 100 MiB are taken."
    page.evaluate("delete document.getElementById('file').files")
    mix.unlink()
    page.evaluate("document.getElementById('file').dispatchEvent(new Event('change'))")
    until(page, "document.getElementById('refused').textContent === 'song.wav cannot be read: give an audio file.'")
    assert not any("/mix?name" in url for url in sent)
    assert page.errors == []
    page.close()


def test_an_instrument_is_said_in_words(browser, words_client, mix):
    page = opened(browser, words_client)
    assert page.evaluate("[...document.querySelectorAll('#instruments option')].map((one) => one.value)") == [
        "trumpet",
        "muted trumpet",
        "drums",
    ]
    page.click("#look")
    assert refusal(page) == "First give a mix."
    page.set_input_files("#file", str(mix))
    until(page, "document.getElementById('refused').textContent.includes('your own words')")
    assert page.inner_text("#given") == "Mix: song.wav"
    page.fill("#instrument", "muted jazz trumpet")
    page.press("#instrument", "Enter")
    until(page, "document.getElementById('title').textContent === 'Which muted jazz trumpet fits song.wav?'")
    assert "No instrument 'muted jazz trumpet' was trained, " in page.inner_text("#notes")
    assert page.is_hidden("#refused")
    page.fill("#instrument", "qqq <b>")
    page.click("#look")
    assert "nothing in the instrument 'qqq <b>' was part of a name in training" in refusal(page)
    assert page.inner_text("#title") == "Which muted jazz trumpet fits song.wav?"
    page.select_option("#unit", "parts")
    page.fill("#instrument", "drums")
    page.click("#look")
    until(page, "document.getElementById('title').textContent === 'Which drums fits song.wav?'")
    assert "from where the part begins" in page.inner_text("#notes")
    until(page, "document.querySelectorAll('#candidates .row .peaks svg').length === 10")
    until(page, "listening.player.sounds.length === 5 && listening.player.sounds.every((sound) => sound.buffer)")
    assert page.errors == []
    page.close()


def test_a_stem_that_was_removed_and_one_that_is_no_audio_any_more_are_said(browser, client, mix, library):
    page = opened(browser, client)
    page.route("**/query", lambda route: (spoil(library), route.fulfill(response=answer)) if (answer := route.fetch()) else None)
    page.set_input_files("#file", str(mix))
    until(page, "document.querySelectorAll('#candidates .remark').length >= 4")
    rows = page.locator("#candidates .row").all_inner_texts()
    said = next(row for row in rows if "a.wav" in row)
    assert said.count("cannot be heard: a.wav was removed from the library: ask again") == said.count("a.wav was removed") == 1
    assert any("sub/c.wav cannot be decoded as audio" in row for row in rows)
    until(page, "listening.player.sounds.filter((sound) => sound.buffer).length === 3")
    assert page.evaluate("document.querySelectorAll('#candidates input:disabled').length") == 2
    assert page.errors == []
    page.close()


def spoil(library):
    (library / "a.wav").unlink()
    (library / "sub" / "c.wav").write_bytes(b"no audio")


def test_what_is_clicked_while_a_mix_is_read_does_not_lose_it(browser, words_client, mix):
    page = opened(browser, words_client)
    page.evaluate("""() => {
      const ask = window.fetch;
      const go = new Promise((resolve) => { window.go = resolve; });
      window.fetch = (path, options) => path.startsWith("mix") ? go.then(() => ask(path, options)) : ask(path, options);
    }""")
    page.set_input_files("#file", str(mix))
    page.click("#stems summary")
    until(page, "document.querySelectorAll('#list input').length === 4")
    page.fill("#instrument", "drums")
    page.click("#look")
    drop(page, "#drop", text="a text")
    assert "Reading song.wav" in page.inner_text("#busy")
    page.evaluate("go()")
    until(page, "document.getElementById('title').textContent === 'Which drums fits song.wav?'")
    assert page.errors == []
    page.close()


def test_one_who_waits_for_the_index_is_told(browser, client, mix):
    page = opened(browser, client)
    client.server.room.catalogue.is_indexing = True
    with client.server.room._computing:
        page.set_input_files("#file", str(mix))
        until(page, "document.getElementById('busy').textContent.includes('is indexed first')")
    until(page, "!document.getElementById('found').hidden")
    assert page.inner_text("#busy") == ""
    page.close()


def test_a_browser_without_web_audio_says_so_and_plays_each(browser, client, mix):
    page = opened(browser, client, "delete window.AudioContext; delete window.webkitAudioContext;")
    page.set_input_files("#file", str(mix))
    until(page, "!document.getElementById('found').hidden")
    assert "has no Web Audio" in page.inner_text("#problem")
    until(page, "document.querySelectorAll('#candidates .remark').length >= 3")  # details have come
    assert page.locator("#candidates audio").count() == 5
    page.evaluate("document.querySelectorAll('audio')[1].preload = 'auto'")
    until(page, "document.querySelectorAll('audio')[1].duration > 3.9")
    assert page.errors == []
    page.close()


def test_a_server_that_has_ended_is_said(browser, client, mix):
    page = opened(browser, client)
    page.route("**/mix?*", lambda route: route.abort())
    page.set_input_files("#file", str(mix))
    assert refusal(page) == "The server does not answer: is it still running?"
    page.close()
