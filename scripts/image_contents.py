"""What is in an image: packages, licences, weights, and the vulnerabilities that are known of them.

The bill of materials is CycloneDX 1.6 (https://cyclonedx.org/docs/1.6/json); vulnerabilities come from OSV (https://osv.dev), which is
sent names and versions of packages, nothing else.
"""

from __future__ import annotations

import json
import subprocess
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

OSV = "https://api.osv.dev"
_QUERIES = 1000  # at once, the most that OSV takes
_SECONDS = 20.0

# Runs in the image, with its own Python: prints one JSON object. Debian's packages as dpkg knows them, Python's as importlib does.
_LOOK = """
import hashlib, importlib.metadata, json, pathlib, platform
packages, status = [], pathlib.Path("/var/lib/dpkg/status")
for paragraph in status.read_text(errors="replace").split("\\n\\n") if status.exists() else []:
    field = dict(line.split(": ", 1) for line in paragraph.splitlines() if ": " in line and line[0] != " ")
    if field.get("Status", "").endswith(" installed"):
        name, _, version = field.get("Source", field["Package"]).partition(" (")
        packages.append({"name": field["Package"], "version": field["Version"], "architecture": field["Architecture"],
                         "source": name, "source_version": version.rstrip(")") or field["Version"]})
python = [{"name": d.metadata["Name"], "version": d.version, "licence": d.metadata["License-Expression"] or d.metadata["License"] or ""}
          for d in importlib.metadata.distributions()]
release = dict(line.split("=", 1) for line in pathlib.Path("/etc/os-release").read_text().splitlines() if "=" in line)
weights = {}
for file in (importlib.metadata.distribution("jukemir-like").files or []):
    if file.suffix == ".safetensors":
        weights[file.name] = hashlib.sha256(file.locate().read_bytes()).hexdigest()
for file in sorted(pathlib.Path("/cache/weights").glob("*/*.safetensors")):  # of encoders, where they are built in
    with file.open("rb") as opened:
        weights[file.name] = hashlib.file_digest(opened, "sha256").hexdigest()
print(json.dumps({"debian": packages, "python": python, "weights": weights, "python_version": platform.python_version(),
                  "system": release.get("ID", "").strip('"'), "system_version": release.get("VERSION_ID", "").strip('"')}))
"""


@dataclass(frozen=True)
class Contents:
    """What one image holds.

    Args:
        image: its name with tag.
        identity: digest of its configuration.
        size: bytes, unpacked.
        labels: as OCI annotations name them.
        system, system_version: such as ``debian``, ``12``.
        python: name → (version, licence) of Python's packages.
        debian: name → what dpkg says: version, architecture, source, source_version.
        weights: file → SHA-256.
    """

    image: str
    identity: str
    size: int
    labels: dict[str, str]
    system: str
    system_version: str
    python: dict[str, tuple[str, str]]
    debian: dict[str, dict[str, str]]
    weights: dict[str, str]


def read(image: str) -> Contents:
    """Looks into an image that is here, by its own Python and without a network."""
    inspected = json.loads(_docker("image", "inspect", image))[0]
    found = json.loads(_docker("run", "--rm", "--network", "none", "--read-only", "--entrypoint", "python", image, "-c", _LOOK))
    return Contents(
        image=image,
        identity=inspected["Id"],
        size=inspected["Size"],
        labels=inspected["Config"].get("Labels") or {},
        system=found["system"],
        system_version=found["system_version"],
        python={one["name"]: (one["version"], one["licence"]) for one in found["python"]}
        | {"python": (found["python_version"], "PSF-2.0")},
        debian={one["name"]: one for one in found["debian"]},
        weights=found["weights"],
    )


def _docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True).stdout


Package = tuple[str, str, str]  # ecosystem, name, version


def packages(contents: Contents) -> dict[Package, list[str]]:
    """What OSV knows packages by → the references of the components that it stands for."""
    asked: dict[Package, list[str]] = {}
    for name, (version, _) in contents.python.items():
        if name not in ("python", "jukemir-like"):
            asked.setdefault(("PyPI", name, version.partition("+")[0]), []).append(_python_reference(name, version))
    if contents.system == "debian":
        for name, one in contents.debian.items():
            package = (f"Debian:{contents.system_version}", one["source"], one["source_version"])
            asked.setdefault(package, []).append(_debian_reference(name, one))
    return asked


def vulnerabilities(images: list[Contents], service: str) -> tuple[dict[Package, list[str]], str]:
    """Package → identifiers of its known vulnerabilities; and, where the service was not asked or did not answer, a note that says so."""
    if not service:
        return {}, "not asked for"
    asked = sorted({package for contents in images for package in packages(contents)})
    known: dict[Package, list[str]] = {}
    try:
        for start in range(0, len(asked), _QUERIES):
            part = asked[start : start + _QUERIES]
            for package, found in zip(part, _ask(service, part), strict=True):
                if found:
                    known[package] = sorted(found)
    except (OSError, ValueError, KeyError, TypeError) as error:  # URLError is an OSError
        reason = getattr(error, "reason", error)
        return {}, f"not known: {service} gave no answer ({reason}); run `make images` again where there is a network"
    return known, ""


def _ask(service: str, part: list[Package]) -> list[set[str]]:
    """Identifiers for each package; long answers come in pages."""
    found: list[set[str]] = [set() for _ in part]
    open_queries = {index: _query(package) for index, package in enumerate(part)}
    while open_queries:
        body = json.dumps({"queries": list(open_queries.values())}).encode()
        request = urllib.request.Request(f"{service}/v1/querybatch", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=_SECONDS) as response:
            results = json.load(response)["results"]
        following = {}
        for index, result in zip(open_queries, results, strict=True):
            found[index] |= {one["id"] for one in result.get("vulns", [])}
            if result.get("next_page_token"):
                following[index] = _query(part[index]) | {"page_token": result["next_page_token"]}
        open_queries = following
    return found


def _query(package: Package) -> dict[str, Any]:
    ecosystem, name, version = package
    return {"package": {"ecosystem": ecosystem, "name": name}, "version": version}


def _python_reference(name: str, version: str) -> str:
    return f"pkg:pypi/{name.lower().replace('_', '-')}@{quote(version, safe=':')}"


def _debian_reference(name: str, one: dict[str, str]) -> str:
    return f"pkg:deb/debian/{quote(name)}@{quote(one['version'], safe=':')}?arch={one['architecture']}"


def bill_of_materials(contents: Contents, known: dict[Package, list[str]]) -> dict[str, Any]:
    """The CycloneDX document of an image; the same image and the same answers give the same document."""
    components: list[dict[str, Any]] = []
    for name, (version, licence) in sorted(contents.python.items()):
        reference = f"pkg:generic/python@{version}" if name == "python" else _python_reference(name, version)
        component = {"type": "library", "bom-ref": reference, "name": name, "version": version, "purl": reference}
        components.append(component | ({"licenses": [{"license": {"name": licence.splitlines()[0][:80]}}]} if licence.strip() else {}))
    for name, one in sorted(contents.debian.items()):
        reference = _debian_reference(name, one)
        components.append({"type": "library", "bom-ref": reference, "name": name, "version": one["version"], "purl": reference})
    for name, digest in sorted(contents.weights.items()):
        hashes = [{"alg": "SHA-256", "content": digest}]
        components.append({"type": "machine-learning-model", "bom-ref": f"weights:{name}", "name": name, "hashes": hashes})
    affected: dict[str, set[str]] = {}
    for package, references in packages(contents).items():
        for identifier in known.get(package, []):
            affected.setdefault(identifier, set()).update(references)
    name, _, tag = contents.image.rpartition(":")
    container = {
        "type": "container",
        "bom-ref": contents.image,
        "name": name,
        "version": tag,
        "hashes": [{"alg": "SHA-256", "content": contents.identity.partition(":")[2]}],
        "properties": [{"name": key, "value": value} for key, value in sorted(contents.labels.items())],
    }
    findings = [
        {
            "id": one,
            "source": {"name": "OSV", "url": f"https://osv.dev/{one}"},
            "affects": [{"ref": reference} for reference in sorted(references)],
        }
        for one, references in sorted(affected.items())
    ]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": container},
        "components": components,
        "vulnerabilities": findings,
    }


def write(images: list[Contents], known: dict[Package, list[str]], note: str, folder: Path) -> str:
    """Writes ``<image>.cdx.json`` of each and ``README.md``, and returns the table."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["| image | size, MB | Python packages | Debian packages | known vulnerabilities |", "|---|---|---|---|---|"]
    details: list[str] = []
    for contents in images:
        bill = bill_of_materials(contents, known)
        name = contents.image.rpartition("/")[2].partition(":")[0]
        (folder / f"{name}.cdx.json").write_text(json.dumps(bill, indent=1) + "\n")
        count = "?" if note else str(len(bill["vulnerabilities"]))
        lines.append(f"| {contents.image} | {contents.size / 1e6:,.0f} | {len(contents.python) - 1} | {len(contents.debian)} | {count} |")
        details += ["", f"## {contents.image}", "", f"`{contents.identity}`", ""]
        details += [f"- {key}: {value}" for key, value in sorted(contents.labels.items()) if value]
        details += [f"- weights {file}: sha256:{digest}" for file, digest in sorted(contents.weights.items())]
        details.append("- Python: " + ", ".join(f"{one} {version}" for one, (version, _) in sorted(contents.python.items())))
        details.append("- Debian: " + ", ".join(f"{one} {said['version']}" for one, said in sorted(contents.debian.items())))
        for one in bill["vulnerabilities"]:
            details.append(f"- {one['id']}: {', '.join(reference['ref'] for reference in one['affects'])}")
    lines += ["", f"Vulnerabilities: {note}." if note else "Vulnerabilities: those that OSV knows of these versions."]
    (folder / "README.md").write_text("\n".join(["# Contents of the images", "", *lines, *details]) + "\n")
    return "\n".join([*lines, f"Written to {folder}."])
