"""The side of `cargo xtask bench rules` that is CLIPS: makes a workload, runs it, prints seconds, firings, the answer.

    in_clips.py WORKLOAD [NUMBER ...] [--clips-programs DIR] [--folder DIR]
    in_clips.py --serve [--clips-programs DIR] [--folder DIR]

    manners 64 | waltz 50 | detect N SEED | closure N EDGES SEED | constants RULES EVENTS SEED

`--serve` reads such workloads from standard input, one a line, and answers each with one line of JSON, so that nothing
of Python's start is between two measurements. Needs the package `clipspy` (1.0.6, CLIPS 6.4.2). Not part of the product.

Seconds are of CPU time. What a run costs is `run_s + load_s - load_templates_s`: matching while facts are loaded counts,
the parsing of their text does not. `answer` is the SHA-256 of the facts that are the answer: one line
`template value value ...` for each, in the order of SLOTS, doubles as the 16 digits of their bits, sorted by bytes,
each ended by a line feed.
"""

import argparse
import hashlib
import json
import multiprocessing
import re
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import clips

HERE = Path(__file__).parent

# How often the published programs fire on the published facts; any other count means that something else was measured.
FIRINGS = {"manners 64": 2271, "manners 128": 8639, "waltz 12": 3576, "waltz 50": 14064}

# The facts that are the answer, and the slots that count.
SLOTS = {
    "manners": {"seating": ["seat1", "name1", "name2", "seat2", "id", "pid"]},
    "waltz": {"edge": ["p1", "p2", "label"]},
    "detect": {"kept": ["id", "frame", "cls", "score"], "labelled": ["id", "frame", "name"], "alert": ["frame"]},
    "closure": {"path": ["a", "b"]},
    "constants": {"dec": ["rule", "code"]},
}
DOUBLES = {"score"}
# Labels as our rule set spells them.
LABELS = {"+": "plus", "-": "minus", "B": "boundary", "nil": "none"}


class Workload:
    """A program and its facts, both as files."""

    def __init__(self, name, numbers, options):
        self.name, self.numbers, self.folder = name, [str(number) for number in numbers], options.folder
        published = options.clips_programs
        if name in ("manners", "waltz"):
            if published is None:
                raise ValueError(f"{name} is read from the published programs: give --clips-programs DIR")
            self.program = self.free_of_reserved_names(published / name / f"{name}.clp")
            self.facts = published / name / f"{name}{self.numbers[0]}.fct"
        elif name == "detect":
            self.program, self.facts = HERE / "detect.clp", self.generated("detect", *self.numbers)
        elif name == "closure":
            self.program, self.facts = HERE / "tc.clp", self.generated("tc", *self.numbers)
        elif name == "constants":
            rules, events, seed = self.numbers
            self.program = self.generated("constants", rules)
            self.facts = self.generated("evfacts", events, rules, seed)
        else:
            raise ValueError(f"there is no workload `{name}`")

    def generated(self, *arguments):
        made = subprocess.run([sys.executable, HERE / "gen.py", *arguments], check=True, capture_output=True).stdout
        return self.written("-".join(arguments), made)

    def free_of_reserved_names(self, path):
        """`atan2` became a function of CLIPS itself after the program was written."""
        text = re.sub(rb"\(atan2(?=\s)|(?<=deffunction )atan2", lambda found: found[0] + b"-of-waltz", path.read_bytes())
        return self.written(path.name, text)

    def written(self, name, text):
        path = self.folder / name
        path.write_bytes(text)
        return path


def constructs(text):
    """The top-level constructs of a CLIPS program."""
    depth, start = 0, 0
    for token in re.finditer(r'"(?:\\.|[^"\\])*"|;[^\n]*|[()]', text):
        if token[0] == "(":
            start = token.start() if depth == 0 else start
            depth += 1
        elif token[0] == ")":
            depth -= 1
            if depth == 0:
                yield text[start:token.end()]


def timed(work):
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def fresh(work, *arguments):
    """Does the work in a process of its own, so that no measurement finds memory that another one has left warm."""
    with multiprocessing.get_context("fork").Pool(1) as pool:
        return pool.apply(work, arguments)


def templates_only(workload):
    """What it takes to read the facts where nothing matches them."""
    environment = clips.Environment()
    for construct in constructs(workload.program.read_text()):
        if re.match(r"\(\s*deftemplate\b", construct):
            environment.build(construct)
    environment.reset()
    return timed(lambda: environment.load_facts(str(workload.facts)))[0]


def whole(workload):
    """Loading, running, and the facts that are the answer."""
    environment = clips.Environment()
    environment.load(str(workload.program))
    environment.reset()
    load_s, _ = timed(lambda: environment.load_facts(str(workload.facts)))
    run_s, firings = timed(environment.run)
    return load_s, run_s, firings, facts_of(environment, workload)


def measure(workload):
    load_templates_s = fresh(templates_only, workload)
    load_s, run_s, firings, answer = fresh(whole, workload)
    expected = FIRINGS.get(" ".join([workload.name, *workload.numbers]))
    if expected is not None and firings != expected:
        raise ValueError(f"CLIPS fired {firings} times, the published program fires {expected} times")
    return {
        "workload": workload.name,
        "numbers": workload.numbers,
        "facts": str(workload.facts),
        "run_s": run_s,
        "load_s": load_s,
        "load_templates_s": load_templates_s,
        "cost_s": run_s + load_s - load_templates_s,
        "firings": firings,
        "rows": len(answer),
        "answer": digest(answer),
        # A seating is checked, not compared.
        "lines": answer if workload.name == "manners" else None,
    }


def facts_of(environment, workload):
    """The answer's facts as sorted lines."""
    slots = SLOTS[workload.name]
    saved = workload.folder / "answer"
    environment.save_facts(str(saved))
    lines = []
    with saved.open() as file:
        for line in file:
            template, values = re.match(r"\((\S+) (.*)\)$", line).groups()
            if template in slots:
                values = dict(re.findall(r'\((\S+) ("[^"]*"|[^()]+)\)', values))
                lines.append(" ".join([template, *(canonical(slot, values[slot]) for slot in slots[template])]))
    return sorted(lines)


def canonical(slot, value):
    if slot in DOUBLES:
        return struct.pack(">d", float(value)).hex()
    return LABELS[value] if slot == "label" else value


def digest(lines):
    return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()


def answer(words, options):
    return json.dumps(measure(Workload(words[0], words[1:], options)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workload", nargs="*")
    parser.add_argument("--serve", action="store_true")
    parser.add_argument("--clips-programs", type=Path)
    parser.add_argument("--folder", type=Path, help="where programs and facts are written")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        options.folder = options.folder or Path(folder)
        if not options.serve:
            print(answer(options.workload, options))
            return
        for line in sys.stdin:
            try:
                print(answer(line.split(), options), flush=True)
            except Exception as error:
                print(json.dumps({"error": f"{line.strip()}: {error}"}), flush=True)


if __name__ == "__main__":
    main()
