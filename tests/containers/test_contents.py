"""The list of what is in an image, and the service that knows vulnerabilities: a server on this machine that keeps OSV's protocol."""

import importlib.util
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
specification = importlib.util.spec_from_file_location("image_contents", SCRIPTS / "image_contents.py")
image_contents = importlib.util.module_from_spec(specification)
sys.modules["image_contents"] = image_contents  # dataclasses look there
specification.loader.exec_module(image_contents)

KNOWN = {("PyPI", "jinja2", "2.4.1"): ["GHSA-462w-v97r-4m45", "PYSEC-2019-217"], ("Debian:12", "openssl", "3.0.1-1"): ["DSA-5139-1"]}


def contents(name="representations_chroma"):
    debian = {
        "libssl3": {"version": "3.0.1-1", "architecture": "amd64", "source": "openssl", "source_version": "3.0.1-1"},
        "openssl": {"version": "3.0.1-1", "architecture": "amd64", "source": "openssl", "source_version": "3.0.1-1"},
        "tzdata": {"version": "2026a+really-0", "architecture": "all", "source": "tzdata", "source_version": "2026a+really-0"},
    }
    return image_contents.Contents(
        image=f"stemjepa/{name}:0.1.0",
        identity="sha256:" + "0" * 64,
        size=434_000_000,
        labels={"org.opencontainers.image.revision": "abc"},
        system="debian",
        system_version="12",
        python={"python": ("3.11.2", "PSF-2.0"), "jinja2": ("2.4.1", "BSD"), "torch": ("2.13.0+cpu", ""), "jukemir-like": ("0.1.0", "MIT")},
        debian=debian,
        weights={"synthband.safetensors": "1" * 64},
    )


@pytest.fixture
def osv():
    """The address of a server that knows KNOWN, gives one identifier a page, and the bodies it was sent."""
    bodies = []

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            bodies.append(body)
            results = []
            for query in body["queries"]:
                package = (query["package"]["ecosystem"], query["package"]["name"], query["version"])
                page = int(query.get("page_token", 0))
                known = KNOWN.get(package, [])
                result = {"vulns": [{"id": known[page], "modified": "2026-01-01T00:00:00Z"}]} if known else {}
                results.append(result | ({"next_page_token": str(page + 1)} if page + 1 < len(known) else {}))
            answer = json.dumps({"results": results}).encode()
            self.send_response(200 if self.path == "/v1/querybatch" else 404)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", bodies
    server.shutdown()
    server.server_close()


def test_vulnerabilities_of_all_pages_are_found_and_each_package_is_asked_for_once(osv):
    service, bodies = osv
    known, note = image_contents.vulnerabilities([contents(), contents("representations_mfcc")], service)
    assert (known, note) == (KNOWN, "")
    asked = [(query["package"]["name"], query["version"]) for query in bodies[0]["queries"]]
    assert sorted(asked) == [("jinja2", "2.4.1"), ("openssl", "3.0.1-1"), ("torch", "2.13.0"), ("tzdata", "2026a+really-0")]
    assert [len(body["queries"]) for body in bodies] == [4, 1]


def test_they_are_written_where_they_belong(osv, tmp_path):
    known, note = image_contents.vulnerabilities([contents()], osv[0])
    table = image_contents.write([contents()], known, note, tmp_path)
    assert "| stemjepa/representations_chroma:0.1.0 | 434 | 3 | 3 | 3 |" in table
    bill = json.loads((tmp_path / "representations_chroma.cdx.json").read_text())
    affected = {one["id"]: [where["ref"] for where in one["affects"]] for one in bill["vulnerabilities"]}
    assert affected["DSA-5139-1"] == ["pkg:deb/debian/libssl3@3.0.1-1?arch=amd64", "pkg:deb/debian/openssl@3.0.1-1?arch=amd64"]
    assert affected["PYSEC-2019-217"] == ["pkg:pypi/jinja2@2.4.1"]
    references = [component["bom-ref"] for component in bill["components"]]
    assert len(references) == len(set(references))
    assert {reference for where in affected.values() for reference in where} <= set(references)
    assert {"name": "synthband.safetensors", "hashes": [{"alg": "SHA-256", "content": "1" * 64}]}.items() <= bill["components"][-1].items()
    assert "pkg:deb/debian/tzdata@2026a%2Breally-0?arch=all" in references  # as the purl specification escapes
    page = (tmp_path / "README.md").read_text()
    assert "DSA-5139-1" in page
    assert f"weights synthband.safetensors: sha256:{'1' * 64}" in page


def test_a_service_that_does_not_answer_is_said_and_nothing_is_called_clean(tmp_path):
    known, note = image_contents.vulnerabilities([contents()], "http://127.0.0.1:9")
    assert not known
    assert "gave no answer" in note
    table = image_contents.write([contents()], known, note, tmp_path)
    assert "| 3 | 3 | ? |" in table
    assert "not known: http://127.0.0.1:9" in (tmp_path / "README.md").read_text()
