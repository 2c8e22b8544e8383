#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The operand forms of every allowed row of the rule table.

Nobody lists them: every combination of operands that could be one is offered to the
assembler, and what it takes is a form. So a row that is added to the table comes with
its forms, and an assembler too old for a mnemonic shows as a row that nothing runs.
forms() returns (mnemonic, form) pairs in the notation of instructions.py.
"""
import itertools
import os
import re
import subprocess
import tempfile

# The rows by kind, as the C preprocessor sees them.
TABLE = """
#define INTEGER(m) integer m
#define INTEGER_RAISES(m) integer m
#define HINT(m) hint m
#define HINT_RAISES(m) hint m
#define BRANCH(m) branch m
#define VECTOR(m) vector m
#define VECTOR_RAISES(m) vector m
#define SSE(m) vector m vector V##m
#define SSE_RAISES(m) vector m vector V##m
#include "sfi/rules.inc"
"""

# What stands for an operand when the assembler is asked; no shift by cl.
SAMPLE = {"r8": "bl", "r16": "bx", "r32": "ebx", "r64": "rbx", "x": "xmm1", "y": "ymm1", "z": "zmm1", "k": "k1",
          "X": "xmm17", "e": "ymm17", "m8": "byte ptr [rdx]", "m16": "word ptr [rdx]", "m32": "dword ptr [rdx]",
          "m64": "qword ptr [rdx]", "m128": "xmmword ptr [rdx]", "m256": "ymmword ptr [rdx]",
          "m512": "zmmword ptr [rdx]", "b2": "word ptr [rdx]", "b4": "dword ptr [rdx]", "b8": "qword ptr [rdx]",
          "i5": "3", "i7": "3", "i8": "-3", "i16": "-300", "i32": "-70000", "i64": "-7000000000"}

# Forms that need something of their state: instructions.py has them by hand.
BY_HAND = {"lea", "bt", "bts", "btr", "btc", "nop"}

GENERAL = ["{r8}", "{r16}", "{r32}", "{r64}"]
MEMORY = ["{m8}", "{m16}", "{m32}", "{m64}"]
WIDE = ["{m128}", "{m256}", "{m512}"]
VECTORS = ["{x}", "{y}", "{z}"]
BROADCASTS = ["{b%d}{1to%d}" % (size, bits // 8 // size) for size in (2, 4, 8) for bits in (128, 256, 512)]
ROUNDING = ["", ", {sae}", ", {rn-sae}", ", {rd-sae}", ", {ru-sae}", ", {rz-sae}"]


def rows():
    """(kind, mnemonic) of each row."""
    text = subprocess.run(["cc", "-E", "-P", "-x", "c", "-Isrc", "-"],
                          input=TABLE, capture_output=True, text=True, check=True).stdout.split()
    return list(dict.fromkeys(zip(text[::2], text[1::2])))


def integer_operands():
    anything = GENERAL + MEMORY
    yield ""
    yield from anything + ["{m128}"]
    for first in anything:
        for second in anything + ["{i5}", "{i8}", "{i16}", "{i32}", "{i64}", "1", "cl"]:
            yield first + ", " + second
    for register, memory in zip(GENERAL[1:], MEMORY[1:]):
        for second, third in itertools.product((register, memory), (register, memory, "{i5}", "{i32}", "cl")):
            yield ", ".join((register, second, third))
        for third in ("{i5}", "cl"):
            yield ", ".join((memory, register, third))


def vector_operands(name):
    wide, general, memory = name[0] == "v", ["{r32}", "{r64}"], MEMORY + WIDE
    if name[0] == "k":
        registers, memory, broadcasts = ["{k}"] + general, MEMORY, []
    elif wide:
        registers, broadcasts = VECTORS + ["{k}"] + general, BROADCASTS
    else:
        registers, memory, broadcasts = ["{x}"] + general, MEMORY + ["{m128}"], []
    anything = registers + memory + broadcasts
    yield ""
    yield "{m32}"
    for tail in ("", ", {i7}"):
        for first, second in list(itertools.product(registers, anything)) + list(itertools.product(memory, registers)):
            yield first + ", " + second + tail
        if name[0] == "k":
            yield "{k}, {k}, {k}"
        if not wide:
            continue
        if not tail:
            for first, second in zip(WIDE, VECTORS):
                yield ", ".join((first, second, second))
        pairs = [(each, each) for each in VECTORS + general] + [("{k}", each) for each in VECTORS]
        for (first, second), third in itertools.product(pairs, anything):
            yield ", ".join((first, second, third)) + tail
            if not tail and first in VECTORS[:2]:
                yield ", ".join((first, second, third, first))


def protect(form):
    """The assembler's own braces (masks, broadcasts, rounding) as <...>, so that those left are operands."""
    form = form.replace("{{k}}{z}", "<{k}><z>").replace("{{k}}", "<{k}>")
    return re.sub(r"{(1to\d+|sae|r\w-sae)}", r"<\1>", form)


def unprotect(text):
    return text.replace("<", "{").replace(">", "}")


def sample(mnemonic, form):
    """The form with every operand filled in, for the assembler."""
    return mnemonic + " " + unprotect(re.sub(r"{(\w+)}", lambda operand: SAMPLE[operand.group(1)], protect(form)))


def taken(candidates):
    """Those of (mnemonic, form) that the assembler takes without a remark. It may also break over one."""
    lines = ["\t.intel_syntax noprefix\n"] + ["\t%s\n" % sample(*candidate) for candidate in candidates]
    refused = set()
    while True:
        with tempfile.TemporaryDirectory() as place:
            source = os.path.join(place, "forms.s")
            with open(source, "w", encoding="ascii") as out:
                out.writelines(lines)
            said = subprocess.run(["as", "-o", os.path.join(place, "forms.o"), source], capture_output=True, text=True,
                                  check=False).stderr
        refused.update(int(line) for line in re.findall(r"forms\.s:(\d+): (?!Internal)", said))
        broken = re.search(r"forms\.s:(\d+): Internal error|Internal error", said)
        if not broken:
            return [candidate for i, candidate in enumerate(candidates) if i + 2 not in refused]
        at = int(broken.group(1)) if broken.group(1) else int(re.findall(r"forms\.s:(\d+): ", said)[-1]) + 1
        refused.add(at)
        for line in refused:
            lines[line - 1] = "\n"


def decorated(mnemonic, form):
    """The forms that masks, rounding and registers above 15 add to a vector form."""
    operands = form.split(", ")
    first, rest = operands[0], ", ".join([""] + operands[1:])
    yield mnemonic, first + "{{k}}" + rest
    if not first.startswith("{m"):
        yield mnemonic, first + "{{k}}{z}" + rest
    if "{m" not in form and "{b" not in form:
        for rounding in ROUNDING[1:]:
            yield mnemonic, form + rounding
        yield mnemonic, first + "{{k}}" + rest + ", {rn-sae}"
    if "{z}" not in form and ("{x}" in form or "{y}" in form):
        yield mnemonic, form.replace("{x}", "{X}").replace("{y}", "{e}")


def forms():
    """(mnemonic, form) of everything the rows allow and the assembler knows."""
    plain, vector = [], []
    for kind, row in rows():
        name = row.lower()
        if name in BY_HAND:
            continue
        if kind == "integer":
            plain += [(name, form) for form in integer_operands()]
        elif kind == "vector":
            vector += [(name, form) for form in vector_operands(name)]
    plain, vector = taken(plain), taken(vector)
    more = [each for mnemonic, form in vector if mnemonic[0] == "v" for each in decorated(mnemonic, form)]
    return list(dict.fromkeys(plain + vector + taken(more)))


if __name__ == "__main__":
    for pair in forms():
        print("%s %s" % pair)
