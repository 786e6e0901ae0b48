"""Hooks of `make docs`: pages that lie outside ``docs/`` join the site, and links between them work in a checkout and in the site.

The README is the home page; the notebooks, the contract of images, the cards of datasets and the change log are pages too. Each package has
a reference page, made from its docstrings; links to code lead there.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "jukemir_like"
OUTSIDE = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "containers/README.md", "datasets/*/card.md", "examples/*.ipynb")
INSIDE = ("stemjepa/weights/*.md", "stemjepa/weights/*.png", "stemjepa/weights/*.csv", "stemjepa/configs/**/*.yaml")  # of the package
LINK = re.compile(r"(\]\()([^)#\s:]+)(#[^)]*)?\)")
REFERENCE = """# jukemir_like.{name}

::: jukemir_like.{name}
    options:
      show_root_heading: false
      show_root_toc_entry: false
      show_submodules: true
      heading_level: 2
"""


@event_priority(100)  # before the plugin that turns notebooks into pages
def on_files(files: Files, config: Any) -> Files:
    """Adds the pages that lie outside ``docs/``, and a reference page for each package."""
    for pattern in (*OUTSIDE, *(f"{PACKAGE}/{pattern}" for pattern in INSIDE)):
        for path in sorted(ROOT.glob(pattern)):
            files.append(File(path.relative_to(ROOT).as_posix(), str(ROOT), config.site_dir, config.use_directory_urls))
    for name in _packages():
        files.append(File.generated(config, f"reference/{name}.md", content=REFERENCE.format(name=name)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Turns links to files of the checkout into links of the site."""
    inside = page.file.generated_by is not None or page.file.abs_src_path.startswith(config.docs_dir)
    here = posixpath.dirname(page.file.src_uri)
    where = posixpath.join("docs", here) if inside else here

    def linked(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(where, match[2]))
        anchor = match[3] or ""
        if target.startswith(f"{PACKAGE}/") and files.get_file_from_path(target) is None:
            module = target.removesuffix("/__init__.py").removesuffix(".py").strip("/")
            target, anchor = f"reference/{module.split('/')[1]}.md", "" if module.count("/") == 1 else "#" + module.replace("/", ".")
        return f"{match[1]}{posixpath.relpath(target.removeprefix('docs/'), here or '.')}{anchor})"

    return LINK.sub(linked, markdown)


def _packages() -> list[str]:
    """Packages and modules at the top of the package that have something to refer to."""
    modules = {path.stem for path in (ROOT / PACKAGE).glob("*.py")} - {"__init__", "__main__", "train"}
    return sorted(modules | {path.parent.name for path in (ROOT / PACKAGE).glob("*/__init__.py")})
