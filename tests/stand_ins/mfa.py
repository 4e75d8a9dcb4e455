"""A stand-in for the Montreal Forced Aligner's program: its arguments, files, messages and exit status.

As in the real one (versions 2.2 and 3): models lie in MFA_ROOT_DIR/pretrained_models or are given as files; options may
stand anywhere and unknown ones are ignored; wrong arguments are told in a box, with status 2; exceptions come as a
traceback of an exit handler, with status 1; a file of a corpus that cannot be aligned has no output. Only the alignment
itself is not real: every phone of an utterance gets the same time, and fewer than 40 ms a phone (10 ms with a beam of
100) count as a text that does not fit. STAND_IN, a JSON object, sets its "version" and faults.
"""

import json
import os
import subprocess
import sys
import time
import wave
import zipfile
from pathlib import Path

SET = {"version": "3.2.1", **json.loads(os.environ.get("STAND_IN", "{}"))}
ROOT = Path(os.environ["MFA_ROOT_DIR"])
EXTENSIONS = {"acoustic": [".zip"], "g2p": [".zip"], "dictionary": [".dict", ".txt", ".yaml"]}
COMMANDS = {"align": 4, "align_one": 5, "g2p": 3}


class MFAError(Exception):
    def __str__(self):
        return f"{type(self).__name__}:\n\n{self.args[0]}"


class NoAlignmentsError(MFAError):
    pass


class PronunciationAcousticMismatchError(MFAError):
    pass


class CorpusError(MFAError):
    pass


class DatabaseError(MFAError):
    pass


def main(arguments):
    command, *rest = arguments
    if command == "version":
        print(SET["version"])
        return
    if command not in COMMANDS or (command == "align_one" and SET["version"] < "3"):
        usage(f"No such command '{command}'.")
    given, options = [], {}
    while rest:
        word = rest.pop(0)
        if word.startswith("--"):
            # Flags have no value; --beam and its like go through to the aligner.
            options[word] = rest.pop(0) if rest and not rest[0].startswith("--") and word not in FLAGS else True
        else:
            given.append(word)
    if len(given) != COMMANDS[command]:
        usage(f"Got {len(given)} arguments, {COMMANDS[command]} are needed.")
    if options.get("--output_format", "long_textgrid") not in ("long_textgrid", "short_textgrid", "json", "csv"):
        usage("Invalid value for '--output_format'.")
    work = Path(options.get("--temporary_directory", ROOT))
    if "fault" in SET:
        raise {"database": DatabaseError, "corpus": CorpusError}[SET["fault"]](SET["message"])
    if command == "g2p":
        g2p(Path(given[0]), model("g2p", given[1], "G2P_MODEL_PATH"), Path(given[2]))
        return
    if command == "align":
        corpus = Path(given[0])
        if not corpus.is_dir():
            usage("Invalid value for 'CORPUS_DIRECTORY': Corpus directory does not exist.")
        if str(corpus).startswith(str(work)):
            usage("Corpus directories must be outside of MFA's temporary directory to prevent data loss")
        sounds = sorted(corpus.rglob("*.wav"))
        texts = [next(p for s in (".txt", ".TextGrid") if (p := w.with_suffix(s)).exists()) for w in sounds]
        dictionary, acoustic, out = given[1:]
        targets = [Path(out) / f"{sound.stem}{ending(options)}" for sound in sounds]
    else:
        sounds, texts = [Path(given[0])], [Path(given[1])]
        dictionary, acoustic = given[2:4]
        targets = [Path(given[4])]
    pronunciations = lexicon(model("dictionary", dictionary, "DICTIONARY_PATH"))
    archive = zipfile.ZipFile(model("acoustic", acoustic, "ACOUSTIC_MODEL_PATH"))
    phones = set(json.loads(archive.read("meta.json"))["phones"])
    if extra := {p for said in pronunciations.values() for p in said} - phones:
        raise PronunciationAcousticMismatchError(
            "There were phones in the dictionary that do not have acoustic models: \n" + ", ".join(sorted(extra))
        )
    print("INFO     Setting up corpus information...", file=sys.stderr, flush=True)
    if "hang" in SET:
        # The real one works in several processes.
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"])
        Path(SET["hang"]).write_text(f"{os.getpid()} {child.pid} {work}")
        time.sleep(120)
    beam = float(options.get("--beam", 10))
    done = 0
    for sound, text, target in zip(sounds, texts, targets, strict=True):
        tiers = aligned(sound, text, pronunciations, 0.01 if beam >= 100 else 0.04)
        if tiers is not None:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(written(*tiers, options.get("--output_format", "long_textgrid")), encoding="utf-8")
            done += 1
    print("INFO     Exporting alignment TextGrids...", file=sys.stderr, flush=True)
    (ROOT / "calls.jsonl").open("a").write(json.dumps(arguments) + "\n")
    if not done:
        raise NoAlignmentsError(
            f"There were no successful alignments for {len(sounds)} utterances.\n"
            f"The current set up used a beam of {beam} and a retry beam of {4 * beam}."
        )


FLAGS = {"--single_speaker", "--clean", "--overwrite", "--no_use_postgres", "--no_tokenization"}


def ending(options):
    return ".json" if options.get("--output_format") == "json" else ".TextGrid"


def model(kind, name, argument):
    """The file of a model; the messages are those of validate_model_arg."""
    folder = ROOT / "pretrained_models" / kind
    available = {p.stem: p for p in (folder.iterdir() if folder.is_dir() else ()) if p.suffix in EXTENSIONS[kind]}
    path = available.get(name, Path(name))
    if path.exists() and path.suffix in EXTENSIONS[kind]:
        return path
    if path.suffix in EXTENSIONS[kind]:
        problem = f'FileArgumentNotFoundError: Could not find "{name}".'
    elif path.exists():
        problem = f'ModelExtensionError: The path "{name}" does not have the correct extensions for {kind}.'
    else:
        problem = f'PretrainedModelNotFoundError: Could not find a model named "{name}" for {kind}.'
        problem += f" Available: {', '.join(available)}." if available else ""
    usage(f"Invalid value for '{argument}': {problem}")


def lexicon(path):
    entries = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        word, *said = line.split()
        entries.setdefault(word, [p for p in said if not p.replace(".", "").isdigit()])
    return entries


def g2p(words, _, out):
    letters = {"k": "K", "m": "M", "t": "T", "a": "AA1", "l": "L", "o": "OW1"}
    rows = [(w, " ".join(letters.get(c, "AH0") for c in w)) for w in words.read_text(encoding="utf-8").split()]
    out.write_text("".join(f"{word}\t0.9\t{said}\n" for word, said in rows), encoding="utf-8")
    (ROOT / "calls.jsonl").open("a").write(json.dumps(["g2p"]) + "\n")


def aligned(sound, text, pronunciations, shortest):
    with wave.open(str(sound)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16000, 1, 2)
        duration = file.getnframes() / 16000
    if text.suffix == ".TextGrid":
        fields = [line.partition("=")[2].strip() for line in text.read_text().splitlines() if "=" in line]
        at = fields.index('"IntervalTier"') + 5
        parts = [(float(fields[i]), float(fields[i + 1]), fields[i + 2].strip('"')) for i in range(at, len(fields), 3)]
    else:
        parts = [(0.0, duration, text.read_text(encoding="utf-8"))]
    words, phones = [], []
    for begin, end, said in parts:
        labels = [w if w in pronunciations else "<unk>" for w in said.lower().split()]
        spoken = [pronunciations.get(w, ["spn"]) for w in labels]
        step = (end - begin) / (2 + sum(map(len, spoken)))
        if step < shortest:
            return None
        at = begin + step
        for label, said_as in zip(labels, spoken, strict=True):
            words.append((at, at + step * len(said_as), label))
            phones += [(at + i * step, at + (i + 1) * step, p) for i, p in enumerate(said_as)]
            at = words[-1][1]
    return words, phones, duration


def written(words, phones, duration, form):
    tiers = {"words": words, "phones": phones}
    if form == "json":
        content = {name: {"type": "interval", "entries": rows} for name, rows in tiers.items()}
        return json.dumps({"start": 0, "end": duration, "tiers": content})
    text = 'File type = "ooTextFile"\nObject class = "TextGrid"\n\n'
    if form == "short_textgrid":
        text += f"0\n{duration}\n<exists>\n2\n"
        for name, rows in tiers.items():
            text += f'"IntervalTier"\n"{name}"\n0\n{duration}\n{len(rows)}\n'
            text += "".join(f'{a}\n{b}\n"{label}"\n' for a, b, label in rows)
        return text
    text += f"xmin = 0 \nxmax = {duration} \ntiers? <exists> \nsize = 2 \nitem []: \n"
    for number, (name, rows) in enumerate(tiers.items(), 1):
        text += f'    item [{number}]:\n        class = "IntervalTier" \n        name = "{name}" \n        xmin = 0 \n'
        text += f"        xmax = {duration} \n        intervals: size = {len(rows)} \n"
        for i, (a, b, label) in enumerate(rows, 1):
            text += f"        intervals [{i}]:\n            xmin = {a} \n            xmax = {b} \n"
            text += f'            text = "{label}" \n'
    return text


def usage(problem):
    """As rich_click draws it, as wide as COLUMNS says."""
    width = int(os.environ.get("COLUMNS", 80)) - 4
    lines = [problem[i : i + width] for i in range(0, len(problem), width)]
    box = "".join(f"│ {line.ljust(width)} │\n" for line in lines)
    edge = "─" * (width - 6)
    print(f"Usage: mfa [OPTIONS] COMMAND [ARGS]...\n\n╭─ Error {edge}─╮\n{box}╰{'─' * (width + 2)}╯", file=sys.stderr)
    sys.exit(2)


try:
    main(sys.argv[1:])
except MFAError as error:
    print("Exception ignored in atexit callback: <bound method ExitHooks.history_save_handler>", file=sys.stderr)
    print('Traceback (most recent call last):\n  File "utils.py", line 1, in history_save_handler', file=sys.stderr)
    print(f"montreal_forced_aligner.exceptions.{type(error).__name__}: {error}", file=sys.stderr)
    sys.exit(1)
