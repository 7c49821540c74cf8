"""What the code and the documents cite is there: sections, files, modules; and no working notes are cited."""

import ast
import re
from functools import cache
from pathlib import Path

PROJECT = Path(__file__).parents[1]
FOLDERS = ("casarbi", "baselines", "benchmarks", "reports", "tests", "docs")
KINDS = (".py", ".md", ".toml", ".html", ".css", ".js")
TEXTS = sorted(
    path
    for folder in FOLDERS
    for path in (PROJECT / folder).rglob("*")
    if path.suffix in KINDS and path.parts[len(PROJECT.parts) : len(PROJECT.parts) + 2] != ("reports", "out")
) + [PROJECT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "Makefile", "pyproject.toml")]
DOCUMENTS = [path for path in TEXTS if path.suffix == ".md"]
GROUPS = re.findall(r'entry-points\."([\w.]+)"', (PROJECT / "pyproject.toml").read_text(encoding="utf-8"))

SECTIONS = r"§\d+(?:\.\d+)?(?:(?:, | and )§\d+(?:\.\d+)?)*"
CITED = re.compile(rf"(\w[\w-]*\.md)\)? ({SECTIONS})")  # docs/idm.md §4, or [idm.md](idm.md) §4 inside docs/
OWN = re.compile(r"(?<!\.md )(?<!\.md\) )(?<!paper's )§(\d+(?:\.\d+)?)")
HEADING = re.compile(r"^#{2,3} (\d+(?:\.\d+)?)[. ]", re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s#]+)")
# A path beginning with one of our folders, as it stands in a sentence; what a run writes does not exist yet.
PATH = re.compile(rf"(?<![\w/.-])(?:{'|'.join(FOLDERS)})/[\w./-]*\w(?![\w*{{<])")
WRITTEN = ("reports/out",)
# Notes that steered the work, and the numbers of its field cases (F86); F16 and the like are types of numbers.
NOTES = re.compile(
    r"_f\d{2,3}_|\bspec/\w+\.md|\.\./shared\b|\bfield case\b|\bF(?!16\b|32\b|64\b)\d{2,3}\b", re.IGNORECASE
)
TRAINED = re.compile(r"casarbi train ([a-z]+(?:-[a-z]+)+)")
NAME = re.compile(r"`((?:casarbi|baselines|benchmarks|reports)(?:\.\w+)+)`")


def name(path: Path) -> str:
    return path.relative_to(PROJECT).as_posix()


@cache
def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@cache
def sections(document: str) -> set[str]:
    path = PROJECT / "docs" / document
    return set(HEADING.findall(text_of(path))) if path.exists() else set()


def citations(path: Path) -> list[tuple[str, str]]:
    """Document and section of everything cited; inside docs/ a bare section is one of its own page."""
    text = re.sub(r"\s*\n\s*(?:# )?", " ", text_of(path))  # a citation may go over a line's end
    cited = [(where, one) for where, many in CITED.findall(text) for one in re.findall(r"[\d.]*\d", many)]
    return cited + ([(path.name, one) for one in OWN.findall(text)] if path.parent.name == "docs" else [])


def test_every_cited_section_is_there():
    cited = {(name(path), where, section) for path in TEXTS for where, section in citations(path)}
    assert [f"{by}: {where} §{section}" for by, where, section in cited if section not in sections(where)] == []
    code = [(by, where) for by, where, _ in cited if not by.startswith("docs/")]
    assert len(code) > 50 and {where for _, where in code} == {
        "idm.md",
        "kim.md",
        "liif.md",
        "method.md",
        "protocol.md",
    }


def broken_links(path: Path) -> list[str]:
    links = [link.replace("\\", "") for link in LINK.findall(text_of(path)) if "://" not in link]
    return [link for link in links if not (path.parent / link).exists()]


def missing_paths(path: Path) -> list[str]:
    return [one for one in PATH.findall(text_of(path)) if not one.startswith(WRITTEN) and not (PROJECT / one).exists()]


def test_every_link_and_path_of_a_document_exists():
    assert [f"{name(path)}: {link}" for path in DOCUMENTS for link in broken_links(path)] == []
    # The changelog tells of files that have gone.
    assert [f"{name(p)}: {one}" for p in DOCUMENTS if p.name != "CHANGELOG.md" for one in missing_paths(p)] == []


def test_nothing_cites_notes_or_case_numbers():
    others = [path for path in TEXTS if path != Path(__file__)]
    assert [f"{name(path)}: {hit}" for path in others for hit in NOTES.findall(text_of(path))] == []


@cache
def names_in(path: Path) -> set[str]:
    """What a module defines, assigns and imports, at its top and in its classes."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(text_of(path))):
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
    return names


def is_there(dotted: str) -> bool:
    parts = dotted.split(".")
    for end in range(len(parts), 0, -1):
        place = PROJECT.joinpath(*parts[:end])
        module = next((p for p in (place.with_suffix(".py"), place / "__init__.py") if p.exists()), None)
        if module is not None:
            return set(parts[end:]) <= names_in(module)
    return False


def test_every_module_and_name_in_a_sentence_exists():
    found = {(name(path), dotted) for path in TEXTS for dotted in NAME.findall(text_of(path)) if dotted not in GROUPS}
    assert [f"{by}: {dotted}" for by, dotted in sorted(found) if not is_there(dotted)] == []


def test_every_preset_that_a_command_trains_is_there():
    presets = {path.stem for path in (PROJECT / "casarbi" / "training" / "presets").glob("*.toml")}
    named = {(name(path), preset) for path in TEXTS for preset in TRAINED.findall(text_of(path))}
    assert len(named) > 10 and [f"{by}: {preset}" for by, preset in sorted(named) if preset not in presets] == []
