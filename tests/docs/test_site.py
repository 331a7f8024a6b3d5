"""The documentation site: built once, with warnings as errors; its links, its search, and nothing from elsewhere."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urldefrag, urlsplit

import pytest

from tests.conftest import REPOSITORY
from tests.docs.github_markdown import adapted, linked

_LOADED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}
_TEAMS = ("application", "platform", "storage", "console")


class SitePage(HTMLParser):
    """The links, the anchors and the loaded files of a page, and the text outside of code."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.links, self.anchors, self.loaded, self.text = list[str](), set[str](), list[str](), ""
        self._code = 0
        self.feed(file.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.anchors.add(found.get("id") or "")
        self._code += tag in {"pre", "code", "script", "style"}
        if tag == "a" and (link := found.get("href")):
            self.links.append(link)
        if (attribute := _LOADED.get(tag)) and (link := found.get(attribute)):
            self.loaded.append(link)

    def handle_endtag(self, tag: str) -> None:
        self._code -= tag in {"pre", "code", "script", "style"}

    def handle_data(self, data: str) -> None:
        self.text += "" if self._code else data


class Site(NamedTuple):
    folder: Path
    pages: dict[Path, SitePage]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    ran = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=250, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return Site(folder, {file: SitePage(file) for file in folder.rglob("*.html") if file.name != "404.html"})


def _broken(site: Site) -> Iterator[str]:
    for file, page in site.pages.items():
        for link in page.links + page.loaded:
            path, anchor = urldefrag(link)
            if urlsplit(link).scheme:
                continue
            target = (file.parent / unquote(path)).resolve() if path else file
            target = target / "index.html" if target.is_dir() else target
            if not target.is_file():
                yield f"{file.relative_to(site.folder)}: {link}"
            elif anchor and target in site.pages and unquote(anchor) not in site.pages[target].anchors:
                yield f"{file.relative_to(site.folder)}: {link} has no such anchor"


def test_every_link_has_a_target(site: Site) -> None:
    assert len(site.pages) > 50
    assert list(_broken(site)) == []


def test_nothing_is_loaded_from_elsewhere(site: Site) -> None:
    assert {link for page in site.pages.values() for link in page.loaded if urlsplit(link).netloc} == set()
    sheets = [file.read_text() for file in site.folder.rglob("*.css")]
    assert [
        found for text in sheets for found in re.findall(r"url\(['\"]?(?:https?:)?//[^)]+|@import[^;]+", text)
    ] == []


def test_markdown_is_rendered_as_on_github(site: Site) -> None:
    """A fence, a table or a list that is not recognised stays in the text."""
    left = re.compile(r"```|^\|.*\|$|\|---|^\s*[-*] |\]\(", re.MULTILINE)
    found = {str(file.relative_to(site.folder)): left.findall(page.text) for file, page in site.pages.items()}
    assert {name: marks for name, marks in found.items() if marks} == {}


def test_each_team_has_an_entrance_on_the_first_page(site: Site) -> None:
    links = site.pages[site.folder / "index.html"].links
    assert [team for team in _TEAMS if f"teams/{team}/" not in links] == []


@pytest.mark.parametrize(
    "words", ["no such host", "violates PodSecurity", "SourceMissing", "deletionPolicy", "--orphans"]
)
def test_search_finds_messages_and_names(site: Site, words: str) -> None:
    entries = json.loads((site.folder / "search" / "search_index.json").read_text())["docs"]
    assert [entry["location"] for entry in entries if words in re.sub(r"<[^>]+>", "", entry["title"] + entry["text"])]


@pytest.mark.parametrize(
    ("github", "expected"),
    [
        ("1. a\n\n   ```\n   x\n   ```\n", "1. a\n\n    ```\n    x\n    ```\n"),
        ("a\n- b\n- c\n", "a\n\n- b\n- c\n"),
        ("- a\n  b\n", "- a\n    b\n"),
        ("- a\n  - b\n    c\n- d\n", "- a\n    - b\n        c\n- d\n"),
        ("1. a\n   - b\n2. c\n", "1. a\n    - b\n2. c\n"),
        ("- a\n\nb\n", "- a\n\nb\n"),
        ("a:\n| b |\n|---|\n| c |\n", "a:\n\n| b |\n|---|\n| c |\n"),
        ("```\n- a\n  - b\n```\n", "```\n- a\n  - b\n```\n"),
        ("- a:\n  ```\n  - x\n  ```\n", "- a:\n\n    ```\n    - x\n    ```\n"),
    ],
)
def test_lists_get_four_columns_and_blocks_a_blank_line(github: str, expected: str) -> None:
    assert adapted(github) == expected
    assert adapted(expected) == expected


def test_links_outside_of_code_are_rewritten() -> None:
    text = "[a](b.md#c) [d](#e) [f](https://g) `[h](i)`\n```\n[j](k)\n```\n"
    assert linked(text, str.upper) == "[a](B.MD#c) [d](#e) [f](https://g) `[h](i)`\n```\n[j](k)\n```\n"
