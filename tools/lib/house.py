#!/usr/bin/env python3
"""The house rules that neither the compiler nor clippy knows. One rule per run: house.py files|modules|crates|libraries|planted.

Prints every breach as PATH:LINE: what, and ends with 1 if there is one.
"""

import json
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
LINES_MAX = 500

CRATES = {
    # crate: the crates of this workspace that it may use; tests may use more
    "talkbridge-wire": [],
    "talkbridge-engine": ["wire"],
    "talkbridge-transport": ["wire"],
    "talkbridge-media": ["wire"],
    "talkbridge-pki": [],
    "talkbridge-store": ["wire"],
    "talkbridge-testkit": ["wire"],
    "talkbridge-gateway": ["wire", "engine", "transport", "store"],
    "talkbridge-client": ["wire", "engine", "transport", "media"],
    "talkbridge-desktop": ["wire", "engine", "transport", "client", "media"],
    "talkbridge": ["gateway", "pki"],
}

NETWORK = ["tokio", "mio", "quinn", "quinn-proto", "rustls", "socket2"]
SOUND = ["cpal", "alsa", "alsa-sys", "eframe", "egui", "winit"]
VOICE = ["opus", "opusic-sys", "rubato", "hound"]

LIBRARIES = {
    # crate: libraries that must be nowhere in its tree of normal dependencies
    "talkbridge-wire": [*NETWORK, *SOUND, *VOICE, "serde", "rand"],
    "talkbridge-engine": [*NETWORK, *SOUND, *VOICE, "serde", "rand"],
    "talkbridge-transport": [*SOUND, *VOICE, "rcgen", "axum"],
    "talkbridge-media": [*NETWORK, *SOUND],
    "talkbridge-pki": [*SOUND, *VOICE, "tokio", "quinn"],
    "talkbridge-store": [*NETWORK, *SOUND, *VOICE, "serde", "rand"],
    "talkbridge-gateway": [*SOUND, *VOICE, "rcgen"],
    "talkbridge-client": [*SOUND, "axum", "rcgen"],
    "talkbridge-desktop": [*SOUND, "axum", "rcgen"],
    "talkbridge": [*SOUND, *VOICE],
}

MODULES = {
    # module of the engine: its siblings that it may use. Only hub, desk and handset compose; what all share lies in lib.rs.
    "capacity": ["sched"],
    "desk": ["outbox", "plan", "rate"],
    "hub": ["capacity", "figures", "floor", "gate", "holddown", "liveness", "loss", "plan", "rate"],
    "handset": ["floor", "gate", "jitter", "liveness", "loss", "sched"],
    "figures": [],
    "floor": ["plan"],
    "gate": [],
    "holddown": [],
    "jitter": [],
    "liveness": [],
    "loss": [],
    "outbox": [],
    "plan": [],
    "planted": [],
    "rate": [],
    "sched": ["figures"],
}
SHARED = ["Deadline", "earliest", "millis", "planted"]


def sources():
    """Every Rust file of the project."""
    for top in ("src", "tests", "benches"):
        yield from sorted(path for path in (ROOT / top).rglob("*.rs") if "target" not in path.parts)


def is_test(path):
    """Whether the whole file is compiled for tests only."""
    in_tests = any(part.endswith("tests") for part in path.parts[:-1])
    return in_tests or path.stem == "tests" or path.stem.endswith(("_tests", "_test")) or path.stem == "test_support"


def product_lines(path):
    """(number, text) of the lines that are no test: without modules and items under #[cfg(test)]."""
    if is_test(path):
        return
    closing = None
    waiting = False
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if closing is not None:
            if line == closing:
                closing = None
            continue
        if line.strip() == "#[cfg(test)]":
            waiting = True
            continue
        if waiting:
            waiting = line.lstrip().startswith("#[")
            if not waiting and line.rstrip().endswith("{"):
                closing = line[: len(line) - len(line.lstrip())] + "}"
            continue
        yield number, line


def files():
    """Every file says what it is, is short, and does not unwrap outside tests."""
    for path in sources():
        name = path.relative_to(ROOT)
        text = path.read_text()
        length = len(text.splitlines())
        if length > LINES_MAX:
            yield f"{name}:{length}: {length} lines, at most {LINES_MAX}"
        if not text.startswith("//! "):
            yield f"{name}:1: does not open with a //! line"
        for number, line in product_lines(path):
            if ".unwrap()" in line and not line.lstrip().startswith("//"):
                yield f"{name}:{number}: unwrap() outside tests"


def modules():
    """Siblings in the engine do not use each other, hub, desk and handset apart."""
    base = ROOT / "src/engine"
    for path in sorted(base.rglob("*.rs")):
        own = path.relative_to(base).parts[0].removesuffix(".rs")
        if own in ("lib", "build"):
            continue
        name = path.relative_to(ROOT)
        if own not in MODULES:
            yield f"{name}:1: the module {own} has no row in tools/lib/house.py"
            continue
        allowed = {own, *MODULES[own], *SHARED}
        for number, line in product_lines(path):
            if line.lstrip().startswith("//"):
                continue
            for group, single in re.findall(r"\bcrate::(?:\{([^}]*)\}|(\w+))", line):
                used = re.findall(r"(?:^|,)\s*(\w+)", group) if group else [single]
                yield from (f"{name}:{number}: {own} uses {other}" for other in used if other not in allowed)


def cargo(*arguments):
    """What cargo prints; ends the run with its words if it fails, so that a broken call never looks like a clean tree."""
    done = subprocess.run(["cargo", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"cargo {' '.join(arguments)}:\n{done.stderr}")
    return done.stdout


def packages():
    return json.loads(cargo("metadata", "--no-deps", "--locked", "--format-version", "1"))["packages"]


def crates():
    """A crate uses only the crates of its row."""
    ours = {package["name"] for package in packages()}
    for package in packages():
        name = package["name"]
        if name not in CRATES:
            yield f"{name}: has no row in tools/lib/house.py"
            continue
        allowed = {f"talkbridge-{short}" for short in CRATES[name]}
        used = {d["name"] for d in package["dependencies"] if d["kind"] != "dev" and d["name"] in ours}
        yield from (f"{name}: uses {other}" for other in sorted(used - allowed))


def libraries():
    """What a crate must not hold is nowhere below it, whoever brings it."""
    ours = {package["name"] for package in packages()}
    for name, banned in LIBRARIES.items():
        if name not in ours:
            yield f"{name}: is not in the workspace"
            continue
        tree = {line.split()[0] for line in cargo("tree", "--locked", "-p", name, "-e", "normal", "--prefix", "none").splitlines()}
        for library in banned:
            if library in tree:
                way = cargo("tree", "--locked", "-p", name, "-e", "normal", "-i", library)
                yield f"{name}: holds {library}:\n{way}"


def planted():
    """Faults are planted in the engine only, and in nothing that is built without asking for them."""
    for path in sources():
        name = path.relative_to(ROOT)
        if name.parts[0] != "src" or name.parts[1] == "engine":
            continue
        for number, line in product_lines(path):
            if re.search(r"\bplanted\b", line):
                yield f"{name}:{number}: a fault can be planted outside the engine"
    # First whatever any target of the workspace brings, tests included; then what the program is built with even if a command names it.
    for arguments in (["--workspace", "-e", "normal,build,dev"], ["-p", "talkbridge", "--features", "planted", "-e", "normal,build"]):
        tree = cargo("tree", "--locked", "--prefix", "none", "-f", "{p} [{f}]", *arguments)
        for line in sorted({line for line in tree.splitlines() if re.match(r"talkbridge-engine .*\[.*\bplanted\b", line)}):
            yield f"Cargo.toml: {line} by cargo tree {' '.join(arguments)}"


RULES = {rule.__name__: rule for rule in (files, modules, crates, libraries, planted)}


def main():
    if len(sys.argv) != 2 or sys.argv[1] not in RULES:
        sys.exit(f"usage: house.py {'|'.join(RULES)}")
    breaches = list(RULES[sys.argv[1]]())
    print("\n".join(breaches))
    sys.exit(1 if breaches else 0)


if __name__ == "__main__":
    main()
