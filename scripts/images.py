"""Builds the images of all stages and writes down what is in them: ``make images``.

Needs Docker with buildx, and of Python the standard library alone. Writes, into ``build/images/``, a table (``README.md``) and of each
image a bill of materials in the CycloneDX format, with the vulnerabilities that are known of its packages.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import image_contents

ROOT = Path(__file__).resolve().parent.parent
BAKE = "containers/docker-bake.hcl"
WRONG_REQUEST = 2


def main() -> int:
    options = _options()
    if shutil.which("docker") is None or _docker("info") is None:
        return _refuse("no Docker engine answers: start one (`docker info` tells), then run again")
    if _docker("buildx", "version") is None:
        return _refuse("docker has no buildx: install the package docker-buildx-plugin (or docker-buildx)")
    variables = _variables(options)
    command = ["docker", "buildx", "bake", "--file", BAKE, *(["--progress", "plain"] if not sys.stderr.isatty() else []), *options.images]
    with tempfile.TemporaryDirectory(prefix="jukemir-like-images-") as folder:
        try:
            built_in = _built_in_weights(options.weights.split(), options.images, Path(options.cache) / "weights", Path(folder))
        except ValueError as error:
            return _refuse(str(error))
        built = subprocess.run([*command, *built_in], cwd=ROOT, env=os.environ | variables, check=False)
    if built.returncode:
        return _refuse(f"the build has failed; is the base image to be had here? ({options.base}; another by BASE_IMAGE=…)")
    plan = subprocess.run([*command, "--print"], cwd=ROOT, env=os.environ | variables, check=True, capture_output=True, text=True)
    wanted = json.loads(plan.stdout)
    names = _stages(wanted["group"]["default"]["targets"], wanted["group"])
    contents = [image_contents.read(f"{options.prefix}/{name}:{variables['VERSION']}") for name in sorted(names)]
    known, note = image_contents.vulnerabilities(contents, options.osv)
    print(image_contents.write(contents, known, note, Path(options.output)))
    return 0


def _stages(targets: list[str], groups: dict[str, dict[str, list[str]]]) -> set[str]:
    """Names of targets, those of groups in their place."""
    return {name for target in targets for name in (_stages(groups[target]["targets"], groups) if target in groups else {target})}


def _built_in_weights(encoders: list[str], images: list[str], cached: Path, folder: Path) -> list[str]:
    """Gathers in ``folder`` what extraction reads of the weights of ``encoders``; returns the options that build it into their images.

    The first encoder of an image is what the image extracts when none is named.
    """
    options = []
    first: dict[str, str] = {}
    for encoder in encoders:
        card, image = _card(encoder)
        if images and image not in images:
            raise ValueError(f"the weights of {encoder} are built into {image}, which is not among the images to build")
        source = cached / re.sub(r"[:/]+", "--", str(card.get("weights", encoder)))
        if not (source / f"{source.name}.safetensors").is_file():
            raise ValueError(f"{encoder} has no weights in {cached}: `jukemir-like download {encoder}` brings them")
        described = [path for pattern in ("*.json", "*.toml") for path in source.rglob(pattern)]
        for path in [source / f"{source.name}.safetensors", *described]:
            target = folder / image / source.name / path.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        first.setdefault(image, encoder)
    for image, encoder in first.items():
        options += ["--set", f"{image}.contexts.weights={folder / image}", "--set", f"{image}.args.REPRESENTATION={encoder}"]
    return options


def _card(encoder: str) -> tuple[dict[str, object], str]:
    """The card of an encoder, empty for a model of the hub, and the name of its image."""
    path = ROOT / "jukemir_like" / "encoders" / "cards" / f"{encoder}.toml"
    if encoder.startswith("hf:"):
        return {}, "representations_hf"
    if not path.is_file():
        raise ValueError(f"no encoder is called {encoder}: `jukemir-like list` names them")
    card = tomllib.loads(path.read_text())
    return card, f"representations_{'hf' if card['family'] == 'transformers' else card['family']}"


def _variables(options: argparse.Namespace) -> dict[str, str]:
    """What the bake file asks for, all of it derived from the working tree and the base image."""
    version = re.search(r'__version__ = "(.+)"', (ROOT / "jukemir_like" / "core" / "version.py").read_text())
    weights = sorted((ROOT / "jukemir_like" / "stemjepa" / "weights").glob("*.safetensors"))
    base, digest = _base(options.base)
    changed = _git(
        "status", "--porcelain", "--", "jukemir_like", "datasets", "constraints.txt", "pyproject.toml", "Dockerfile.base", "containers"
    )
    wheels = options.wheels or os.environ.get("PIP_FIND_LINKS", "")
    return {
        "BASE_IMAGE": base,
        "BASE_DIGEST": digest,
        "TORCH_INDEX": options.torch_index,
        "WHEELS": str(Path(wheels).absolute()) if wheels and Path(wheels).is_dir() else "",
        "PREFIX": options.prefix,
        "VERSION": version[1].replace("+", "-") if version else "latest",
        "COMMIT": _git("rev-parse", "HEAD") + ("-changed" if changed else ""),
        "SOURCE_DATE_EPOCH": _git("show", "--no-patch", "--format=%ct", "HEAD"),
        "WEIGHTS_DIGEST": " ".join(f"{path.name}@sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}" for path in weights),
    }


def _base(name: str) -> tuple[str, str]:
    """The base image pinned to the digest that its registry gives it today, and that digest; of one that is here alone, its own digest."""
    here = _docker("image", "inspect", name)
    if here is not None:
        image = json.loads(here)[0]
        return name, image["RepoDigests"][0].partition("@")[2] if image.get("RepoDigests") else image["Id"]
    digest = _docker("buildx", "imagetools", "inspect", "--format", "{{.Manifest.Digest}}", name)
    return (name, "") if not digest else (name if "@" in name else f"{name}@{digest}", digest)


def _docker(*arguments: str) -> str | None:
    """What the docker command printed; None where it failed."""
    done = subprocess.run(["docker", *arguments], check=False, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else None


def _git(*arguments: str) -> str:
    try:
        return subprocess.run(["git", "-C", str(ROOT), *arguments], check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):  # not a clone
        return ""


def _refuse(reason: str) -> int:
    print(f"make images: {reason}", file=sys.stderr)
    return WRONG_REQUEST


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", nargs="*", help="such as representations_chroma [default: all]")
    parser.add_argument("--base", default="python:3.11-slim", help="image with Python 3.11 or newer to stand on [default: %(default)s]")
    parser.add_argument("--prefix", default="stemjepa", help="what the names begin with; a registry's name, to push them there")
    parser.add_argument("--torch-index", default="", help="where else to look for torch, such as https://download.pytorch.org/whl/cpu")
    parser.add_argument("--wheels", help="folder of wheels that are here already [default: $PIP_FIND_LINKS, where that is a folder]")
    parser.add_argument("--weights", default="", help="encoders whose weights are built into their images, with spaces between them")
    parser.add_argument("--cache", default="cache", help="folder whose weights/ has them [default: %(default)s]")
    parser.add_argument("--osv", default=image_contents.OSV, help="service that knows vulnerabilities [default: %(default)s]; '' asks none")
    parser.add_argument("--output", default=str(ROOT / "build" / "images"), help="folder of the lists [default: build/images]")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
