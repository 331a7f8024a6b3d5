"""Hooks of MkDocs: pages from elsewhere in the repository, links to them, and a `nav` that may name pages to come."""

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

from tests.docs.github_markdown import adapted, linked

REPOSITORY = Path(__file__).parents[2]
DOCS = REPOSITORY / "docs"
_ICON = ("assets/icon.svg", REPOSITORY / "provisioner" / "api" / "pages" / "icon.svg")
"""The path on the site, and the file."""
_SOURCE = "source"
"""The folder of the site with the files of the repository that pages link to."""
_BOOST = {"faq.md": 4.0, "troubleshooting.md": 0.5, "CHANGELOG.md": 0.2}
"""How much a page counts in the search; 1 is the default."""
_SESSION = re.compile(r"^( *```)\n( *\$ )", re.MULTILINE)
"""The beginning of a block of commands with their output."""
_CELL = re.compile(r"<td[^>]*>.*?</td>", re.DOTALL)
_NAME = re.compile(r"(?<=<code>)[^<]+(?=</code>)")
_BREAK = re.compile(r"(?<=[._/=])(?=\w)")
_LANGUAGES = {".yaml": "yaml", ".json": "json", ".py": "python"}


def on_config(config: MkDocsConfig) -> None:
    config.nav = list(_existing(config.nav or []))


def _existing(entries: list[Any]) -> Iterator[Any]:
    """Leave out entries without a file. A section of a folder's README alone gets the folder's other pages, too."""
    if len(entries) == 1 and isinstance(entries[0], str) and entries[0].endswith("/README.md"):
        pages = sorted((DOCS / entries[0]).parent.glob("*.md"))
        entries = [*entries, *(page.relative_to(DOCS).as_posix() for page in pages if page.name != "README.md")]
    for entry in entries:
        if isinstance(entry, str):
            if _origin(entry).is_file():
                yield entry
            continue
        ((title, below),) = entry.items()
        if isinstance(below, list):
            if kept := list(_existing(below)):
                yield {title: kept}
        elif _origin(below).is_file():
            yield entry


def _origin(page: str) -> Path:
    """The file of a page of the site: in docs/, else in the repository's root."""
    return DOCS / page if (DOCS / page).is_file() else REPOSITORY / page


def on_files(files: Files, config: MkDocsConfig) -> None:
    files.append(File.generated(config, _ICON[0], abs_src_path=str(_ICON[1])))
    pages = [file.src_uri for file in files.documentation_pages()]
    for root in _root_pages(config.nav):
        files.append(File.generated(config, root, abs_src_path=str(REPOSITORY / root)))
        pages.append(root)
    sources = dict.fromkeys(one for page in pages for one in _sources(page, files))
    for source in sources:
        level = InclusionLevel.NOT_IN_NAV
        files.append(File.generated(config, _page_of(source), content=_listing(source), inclusion=level))


def _root_pages(entries: Any) -> Iterator[str]:
    if isinstance(entries, str):
        if not (DOCS / entries).is_file():
            yield entries
    else:
        for entry in entries.values() if isinstance(entries, dict) else entries:
            yield from _root_pages(entry)


def _sources(page: str, files: Files) -> list[str]:
    """Return the paths outside of docs/ that a page links to and that are no pages themselves."""
    found: list[str] = []

    def note(path: str) -> str:
        target = _target(page, path)
        if target not in files.src_uris and target.startswith(_SOURCE + "/"):
            found.append(target.removeprefix(_SOURCE + "/").removesuffix(".md"))
        return path

    linked(_origin(page).read_text(), note)
    return found


def _target(page: str, path: str) -> str:
    """Return the page of the site, from its root, that a relative link in the file of a page leads to."""
    folder = _origin(page).parent.relative_to(REPOSITORY).as_posix()
    target = posixpath.normpath(posixpath.join(folder, path))
    if target == "docs" or (target.startswith("docs/") and (REPOSITORY / target).is_dir()):
        target += "/README.md"
    if target.startswith("docs/"):
        return target.removeprefix("docs/")
    return target if target in _ROOT else _page_of(target)


_ROOT = {path.name for path in REPOSITORY.glob("*.md")} - {"README.md"}


def _page_of(source: str) -> str:
    return f"{_SOURCE}/{source}.md"


def _listing(source: str) -> str:
    """A page that shows a file, or each file of a folder."""
    path = REPOSITORY / source
    parts = [f"# {source}\n"]
    for file in [path] if path.is_file() else sorted(one for one in path.iterdir() if one.is_file()):
        parts += [f"## {file.name}\n"] if file != path else []
        parts.append(f"````{_LANGUAGES.get(file.suffix, '')}\n{file.read_text()}````\n")
    return "\n".join(parts)


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    del config, files
    name = page.file.src_uri
    if name.startswith(_SOURCE + "/"):
        page.meta["search"] = {"exclude": True}
        return markdown
    if name == "README.md":
        page.meta["hide"] = ["navigation"]  # it would list this page alone
    if name in _BOOST:
        page.meta["search"] = {"boost": _BOOST[name]}
    folder = posixpath.dirname(name) or "."

    def target(path: str) -> str:
        return posixpath.relpath(_target(name, path), folder)

    return _SESSION.sub(r"\1console\n\2", adapted(linked(markdown, target)))


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Let long names in tables break after a dot, an underscore, a slash or an equals sign."""
    del page, config
    return _CELL.sub(lambda cell: _NAME.sub(lambda name: _BREAK.sub("<wbr>", name[0]), cell[0]), output)
