#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Writes instances of instruction forms as assembly, with a table to find them by.

Each row of FORMS is a list of mnemonics and the operand forms they are tried with;
a form in braces stands for a random operand of its kind. What they leave out of the
rule table's rows and forms is added from row_forms.py, an instance each. The assembler
picks the encodings, so they come from another hand than the translator's decoder. The
table says which registers must hold pointers, indexes or counts when an instance runs.
The seed is fixed: the same file, always.
"""
import random

import row_forms

SEED = 2023
INSTANCES = 4           # of a form of FORMS with an operand to choose, per mnemonic

GPR64 = "rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15".split()
GPR32 = "eax ecx edx ebx esp ebp esi edi".split() + ["r%dd" % i for i in range(8, 16)]
GPR16 = "ax cx dx bx sp bp si di".split() + ["r%dw" % i for i in range(8, 16)]
GPR8 = "al cl dl bl spl bpl sil dil".split() + ["r%db" % i for i in range(8, 16)]
HIGH8 = {"ah": 0, "ch": 1, "dh": 2, "bh": 3}
RSP = 4

# What an instance needs of its state beside pointers (kKind… in instructions_test.cc).
LOW, DIVIDES, COUNTS, TLS, STACK, AVX, AVX512, ROW, VARIES = 1, 2, 4, 8, 16, 32, 64, 128, 256

ALU = "add adc sub sbb and or xor cmp".split()
SHIFT = "shl shr sar rol ror rcl rcr".split()
CC = "o no b nb z nz be nbe s ns p np l nl le nle".split()

FORMS = [
    (["mov"] + ALU, ["{r8}, {r8}", "{r16}, {r16}", "{r32}, {r32}", "{r64}, {r64}",
                     "{r8}, {m8}", "{r16}, {m16}", "{r32}, {m32}", "{r64}, {m64}",
                     "{m8}, {r8}", "{m16}, {r16}", "{m32}, {r32}", "{m64}, {r64}",
                     "{r8}, {i8}", "{r16}, {i16}", "{r32}, {i32}", "{r64}, {i32}",
                     "{m8}, {i8}", "{m16}, {i16}", "{m32}, {i32}", "{m64}, {i32}"]),
    (["movabs"], ["{r64}, {i64}"]),
    (["mov"], ["{r64}, rsp", "{r32}, esp", "{m64}, rsp"]),
    (["test"], ["{r8}, {r8}", "{r16}, {r16}", "{r32}, {r32}", "{r64}, {r64}", "{m8}, {r8}",
                "{m64}, {r64}", "{r32}, {i32}", "{m8}, {i8}", "{m32}, {i32}", "{m64}, {i32}"]),
    (["movzx", "movsx"], ["{r32}, {r8}", "{r32}, {m8}", "{r64}, {r8}", "{r64}, {m8}",
                          "{r16}, {m8}", "{r32}, {r16}", "{r32}, {m16}", "{r64}, {m16}"]),
    (["movsxd"], ["{r64}, {r32}", "{r64}, {m32}"]),
    (["lea"], ["{r64}, {a}", "{r32}, {a}", "{r16}, {a}"]),
    (["inc", "dec", "neg", "not"], ["{r8}", "{r16}", "{r32}", "{r64}", "{m8}", "{m16}", "{m32}", "{m64}"]),
    (["mul", "imul"], ["{r8}", "{r32}", "{r64}", "{m8}", "{m16}", "{m32}", "{m64}"]),
    (["imul"], ["{r32}, {r32}", "{r64}, {m64}", "{r16}, {m16}", "{r64}, {r64}, {i8}", "{r32}, {m32}, {i32}"]),
    (["div", "idiv"], ["{r8}", "{r16}", "{r32}", "{r64}", "{m8}", "{m16}", "{m32}", "{m64}"]),
    (SHIFT, ["{r8}, 1", "{r32}, 1", "{r64}, 1", "{m32}, 1", "{r8}, {i5}", "{r16}, {i5}", "{r32}, {i5}",
             "{r64}, {i6}", "{m8}, {i5}", "{m64}, {i6}", "{r8}, cl", "{r32}, cl", "{r64}, cl", "{m16}, cl", "{m64}, cl"]),
    (["shld", "shrd"], ["{r32}, {r32}, {i5}", "{r64}, {r64}, cl", "{m64}, {r64}, {i6}", "{m32}, {r32}, cl"]),
    (["bt", "bts", "btr", "btc"], ["{r32}, {r32}", "{r64}, {r64}", "{r64}, {i6}", "{m64}, {i6}", "{m32}, {i5}",
                                   "{m64}, {x64}"]),
    (["bsf", "bsr", "tzcnt", "lzcnt", "popcnt"], ["{r32}, {r32}", "{r64}, {r64}", "{r32}, {m32}", "{r64}, {m64}"]),
    (["bswap"], ["{r32}", "{r64}"]),
    (["andn"], ["{r32}, {r32}, {r32}", "{r64}, {r64}, {m64}"]),
    (["blsi", "blsr", "blsmsk"], ["{r32}, {r32}", "{r64}, {m64}"]),
    (["bextr", "bzhi", "sarx", "shlx", "shrx"], ["{r32}, {r32}, {r32}", "{r64}, {r64}, {r64}", "{r64}, {m64}, {r64}"]),
    (["rorx"], ["{r64}, {r64}, {i6}", "{r32}, {m32}, {i5}"]),
    (["pdep", "pext"], ["{r64}, {r64}, {r64}", "{r64}, {r64}, {m64}"]),
    (["mulx"], ["{r64}, {r64}, {r64}", "{r64}, {r64}, {m64}"]),
    (["movbe"], ["{r64}, {m64}", "{m32}, {r32}"]),
    (["adcx", "adox"], ["{r64}, {r64}", "{r64}, {m64}"]),
    (["crc32"], ["{r32}, {r8}", "{r64}, {m64}"]),
    (["cmov" + cc for cc in CC], ["{r32}, {r32}", "{r64}, {r64}", "{r64}, {m64}"]),
    (["set" + cc for cc in CC], ["{r8}", "{m8}"]),
    (["xchg"], ["{r8}, {r8}", "{r32}, {r32}", "{r64}, {r64}", "{m8}, {r8}", "{m32}, {r32}", "{m64}, {r64}"]),
    (["xadd", "cmpxchg"], ["{r32}, {r32}", "{r64}, {r64}", "{m8}, {r8}", "{m32}, {r32}", "{m64}, {r64}"]),
    (["lock add", "lock sub", "lock and", "lock or", "lock xor", "lock adc", "lock sbb", "lock xadd", "lock cmpxchg"],
     ["{m8}, {r8}", "{m32}, {r32}", "{m64}, {r64}"]),
    (["lock add", "lock or"], ["{m32}, {i8}", "{m64}, {i32}"]),
    (["lock inc", "lock dec", "lock not", "lock neg"], ["{m32}", "{m64}"]),
    (["lock btr", "lock bts"], ["{m32}, {i5}"]),
    (["cmpxchg8b", "lock cmpxchg8b"], ["{m64}"]),
    (["lock cmpxchg16b"], ["{m128}"]),
    (["cbw", "cwde", "cdqe", "cwd", "cdq", "cqo", "lahf", "sahf", "clc", "stc", "cmc", "cld", "std", "nop", "pause",
      "lfence", "mfence", "sfence", "endbr64", "endbr32", "xlatb", "leave"], [""]),
    (["nop"], ["{m32}", "{m16}"]),
    (["prefetcht0", "prefetcht1", "prefetcht2", "prefetchnta", "prefetchw"], ["{m8}"]),
    (["push"], ["{r64}", "{r16}", "{m64}", "{i8}", "{i32}", "rsp", "qword ptr [rsp+16]"]),
    (["pop"], ["{r64}", "{r16}", "{m64}", "qword ptr [rsp+16]"]),
    (["add", "sub"], ["rsp, 8", "rsp, 0x100", "rsp, 0x1000"]),
    (["lea"], ["rsp, [rsp+0x40]", "rsp, [rsp-0x40]"]),
    (["and"], ["rsp, -16", "rsp, -64"]),
    (["mov"], ["{s64}"]),
    (["lea"], ["rsp, [rbp-0x20]"]),
    (["enter"], ["0x20, 0"]),
    (["movsb", "movsw", "movsd", "movsq", "stosb", "stosw", "stosd", "stosq", "lodsb", "lodsw", "lodsd", "lodsq",
      "scasb", "scasw", "scasd", "scasq", "cmpsb", "cmpsw", "cmpsd", "cmpsq"], [""]),
    (["rep movsb", "rep movsw", "rep movsd", "rep movsq", "rep stosb", "rep stosd", "rep stosq", "rep lodsb",
      "rep stosw", "rep lodsd", "repe cmpsb", "repne cmpsb", "repe cmpsw", "repe cmpsd", "repe cmpsq", "repne scasb",
      "repe scasb", "repne scasw", "repne scasd", "repne scasq"], [""]),
    (["clflush", "clflushopt", "clwb"], ["{m8}"]),
    (["jmp"] + ["j" + cc for cc in CC], ["7f; inc ecx; 7:"]),
    (["jrcxz", "loop", "loope", "loopne"], ["7f; not ecx; 7:"]),
    # Vectors: moves, then what strings, hashes and numbers are made of.
    (["movaps", "movups", "movdqa", "movdqu", "movapd", "movupd"], ["{x}, {x}", "{x}, {m128}", "{m128}, {x}"]),
    (["movntdq", "movntps"], ["{m128}, {x}"]),
    (["movnti"], ["{m64}, {r64}"]),
    (["movss", "movd"], ["{x}, {m32}", "{m32}, {x}"]),
    (["movsd", "movq", "movhps", "movlps", "movhpd", "movlpd"], ["{x}, {m64}", "{m64}, {x}"]),
    (["movd"], ["{x}, {r32}", "{r32}, {x}"]),
    (["movq"], ["{x}, {r64}", "{r64}, {x}", "{x}, {x}"]),
    (["movss", "movsd", "movhlps", "movlhps"], ["{x}, {x}"]),
    (["pmovmskb", "movmskps", "movmskpd"], ["{r32}, {x}"]),
    (["pxor", "por", "pand", "pandn", "pcmpeqb", "pcmpeqd", "pcmpgtb", "paddb", "paddw", "paddd", "paddq", "psubb", "psubq",
      "pminub", "pmaxub", "punpcklbw", "punpcklwd", "punpckldq", "punpcklqdq", "punpckhwd", "punpckhqdq", "packuswb",
      "pshufb", "pmuludq", "pmulld", "pmaddwd", "psadbw", "xorps", "andps", "andnpd", "orps", "ptest", "aesenc",
      "pcmpeqq", "pmaxsd", "pabsd"], ["{x}, {x}", "{x}, {m128}"]),
    (["pshufd", "pshuflw", "shufps", "shufpd", "palignr", "pcmpistri", "pcmpestri", "pclmulqdq"],
     ["{x}, {x}, {i7}", "{x}, {m128}, {i7}"]),
    (["pslldq", "psrldq", "psrld", "psllq", "psraw"], ["{x}, {i5}"]),
    (["psllq", "psrlw"], ["{x}, {x}", "{x}, {m128}"]),
    (["pextrw", "pextrb", "pextrd"], ["{r32}, {x}, {i5}"]),
    (["pextrb"], ["{m8}, {x}, {i5}"]),
    (["pinsrw"], ["{x}, {r32}, {i5}", "{x}, {m16}, {i5}"]),
    (["pinsrq"], ["{x}, {r64}, {i5}", "{x}, {m64}, {i5}"]),
    (["addss", "subss", "mulss", "divss", "minss", "maxss", "sqrtss", "comiss", "ucomiss"], ["{x}, {x}", "{x}, {m32}"]),
    (["addsd", "subsd", "mulsd", "divsd", "minsd", "maxsd", "sqrtsd", "comisd", "ucomisd", "cmpltsd"],
     ["{x}, {x}", "{x}, {m64}"]),
    (["addps", "mulpd", "divps", "sqrtpd", "cvtdq2ps", "cvttps2dq"], ["{x}, {x}", "{x}, {m128}"]),
    (["cvtss2sd"], ["{x}, {x}", "{x}, {m32}"]),
    (["cvtsd2ss"], ["{x}, {x}", "{x}, {m64}"]),
    (["cvtsi2ss", "cvtsi2sd"], ["{x}, {r32}", "{x}, {r64}", "{x}, {m64}"]),
    (["cvttss2si", "cvttsd2si", "cvtsd2si"], ["{r32}, {x}", "{r64}, {x}"]),
    (["cvttsd2si"], ["{r64}, {m64}"]),
    (["roundsd"], ["{x}, {x}, {i5}"]),
    (["movshdup", "lddqu"], ["{x}, {m128}"]),
    (["movddup"], ["{x}, {x}", "{x}, {m64}"]),
    (["stmxcsr", "ldmxcsr"], ["{m32}"]),
    (["fnstcw"], ["{m16}"]),
    (["vmovdqa", "vmovdqu", "vmovaps", "vmovups"], ["{y}, {y}", "{y}, {m256}", "{m256}, {y}", "{x}, {m128}"]),
    (["vpxor", "vpor", "vpand", "vpcmpeqb", "vpcmpeqd", "vpminub", "vpaddb", "vpaddd", "vpsubb", "vpshufb", "vpunpcklbw",
      "vaddps", "vmulpd", "vpmulld"], ["{y}, {y}, {y}", "{y}, {y}, {m256}", "{x}, {x}, {m128}"]),
    (["vpmovmskb"], ["{r32}, {y}"]),
    (["vpbroadcastb", "vpbroadcastd"], ["{y}, {x}"]),
    (["vpbroadcastd", "vbroadcastss"], ["{y}, {m32}"]),
    (["vextracti128"], ["{x}, {y}, 1", "{m128}, {y}, 1"]),
    (["vinserti128"], ["{y}, {y}, {m128}, 1"]),
    (["vperm2i128"], ["{y}, {y}, {m256}, 1"]),
    (["vpermq"], ["{y}, {m256}, {i5}"]),
    (["vpmaskmovd", "vmaskmovps"], ["{y}, {y}, {m256}", "{m256}, {y}, {y}"]),
    (["vfmadd231ps", "vfmadd213sd"], ["{x}, {x}, {x}"]),
    (["vfmadd231pd"], ["{y}, {y}, {m256}"]),
    (["vmovd"], ["{x}, {r32}", "{m32}, {x}"]),
    (["vmovq"], ["{r64}, {x}", "{x}, {m64}"]),
    (["vaddsd", "vdivss"], ["{x}, {x}, {x}"]),
    (["vcvtsi2sd"], ["{x}, {x}, {r64}"]),
    (["vptest"], ["{y}, {y}", "{y}, {m256}"]),
    (["vzeroupper", "vzeroall"], [""]),
    (["vpgatherdd"], ["{y}, [{p}+{y}*1], {y}"]),
    (["vmovdqu8", "vmovdqu64", "vmovdqa64"], ["{z}, {z}", "{z}, {m512}", "{m512}, {z}", "{e}, {m256}", "{m256}, {e}",
                                              "{e}{{k}}{z}, {m256}", "{m256}{{k}}, {e}"]),
    (["vpcmpb", "vpcmpub"], ["{k}, {e}, {m256}, {i5}", "{k}, {z}, {z}, {i5}"]),
    (["vpcmpd"], ["{k}, {e}, {m256}, {i5}"]),
    (["vpcmpeqb", "vptestmb", "vptestnmb"], ["{k}, {e}, {e}", "{k}, {e}, {m256}", "{k}{{k}}, {z}, {m512}"]),
    (["vpxorq", "vpaddq", "vpandd"], ["{z}, {z}, {z}", "{z}, {z}, {m512}", "{e}, {e}, {m256}"]),
    (["vpternlogd"], ["{e}, {e}, {m256}, {i7}", "{z}, {z}, {z}, {i7}"]),
    (["vpminub"], ["{e}, {e}, {m256}"]),
    (["vpbroadcastb"], ["{e}, {r32}", "{z}, {r32}"]),
    (["vpaddd"], ["{z}, {z}, {b4}{1to16}"]),
    (["kmovd"], ["{k}, {r32}", "{r32}, {k}", "{k}, {m32}", "{m32}, {k}"]),
    (["kmovq"], ["{k}, {r64}", "{r64}, {k}", "{k}, {k}"]),
    (["kortestd", "kortestq", "ktestd"], ["{k}, {k}"]),
    (["kunpckdq", "korq", "kandnd"], ["{k}, {k}, {k}"]),
    (["kshiftrq"], ["{k}, {k}, {i5}"]),
    (["vpscatterdd"], ["[{p}+{z}*1]{{k}}, {z}"]),
    (["vpcompressd"], ["{m512}{{k}}, {z}"]),
    # Never in a translation; the exit must be before them and change nothing.
    (["fld1", "fninit", "emms"], [""]),
    (["pushfq", "ud2", "hlt", "cli", "in al, dx", "clts", "mov rax, cr0", "wbinvd"], [""]),
]


class Instance:
    """One instruction with its operands chosen."""

    def __init__(self, mnemonic, form, rng):
        self.rng = rng
        self.pointers, self.indexes, self.kinds, self.vectors = 0, 0, 0, []
        # ah … bh cannot be named beside anything that needs a REX prefix.
        self.rexless = "8}" in form and "64" not in form and rng.random() < 0.3
        name = mnemonic.split()[-1]
        if name in ("div", "idiv"):
            self.kinds |= DIVIDES
        if name[:4] in ("movs", "stos", "lods", "scas", "cmps") and form == "":
            self.pointers |= 1 << 6 | 1 << 7
        if mnemonic.startswith("rep") or mnemonic in ("jrcxz", "loop", "loope", "loopne"):
            self.kinds |= COUNTS
        if name.startswith("v") or "{y}" in form:
            self.kinds |= AVX
        if any(k in form for k in ("{z}", "{X}", "{e}", "{k}", "{1to", "sae}")):
            self.kinds |= AVX512
        if name in ("rdtsc", "rdtscp", "rdpid", "rdrand", "rdseed"):
            self.kinds |= VARIES
        if name == "xlatb":
            self.pointers |= 1 << 3
        if name in ("leave", "enter") or "rbp-0x20" in form or form == "{s64}":
            self.kinds |= STACK
        self.form = (mnemonic + " " + form).strip()
        form = row_forms.protect(form)
        while "{" in form:
            start, end = form.index("{"), form.index("}")
            form = form[:start] + self.operand(form[start + 1:end]) + form[end + 1:]
        self.text = row_forms.unprotect((mnemonic + " " + form).strip()).replace("{k0}", "{k1}")

    def register(self, names):
        choices = [i for i in range(8 if self.rexless else 16) if i != RSP]
        return names[self.rng.choice(choices)]

    def operand(self, kind):
        size = {"8": "byte", "16": "word", "32": "dword", "64": "qword", "128": "xmmword", "256": "ymmword",
                "512": "zmmword"}
        rng = self.rng
        if kind in ("x", "y", "z", "X", "e"):
            # A gather's three vectors must differ.
            free = [i for i in range(16) if i not in self.vectors]
            self.vectors.append(rng.choice(free))
            return {"x": "xmm%d", "y": "ymm%d", "z": "zmm%d", "X": "xmm%d", "e": "ymm%d"}[kind] % (
                self.vectors[-1] + (16 if kind in ("X", "e") else 0))
        if kind == "k":
            return "k%d" % rng.randrange(8)
        if kind == "p":
            register = self.register(GPR64)
            self.pointers |= 1 << GPR64.index(register)
            return register
        if kind[0] == "b":
            return "%s ptr %s" % (size[str(8 * int(kind[1:]))], self.address(False, int(kind[1:])))
        if kind == "r8":
            if self.rexless:
                return rng.choice(list(HIGH8) + GPR8[:4])
            return self.register(GPR8)
        if kind == "r16":
            return self.register(GPR16)
        if kind == "r32":
            return self.register(GPR32)
        if kind == "r64":
            return self.register(GPR64)
        if kind == "x64":       # a bit offset
            register = self.register(GPR64)
            self.indexes |= 1 << GPR64.index(register)
            return register
        if kind == "s64":
            return "rsp, rbp"
        if kind[0] == "i":
            bits = int(kind[1:])
            if bits in (5, 6, 7):
                return str(rng.randrange(1 << bits))
            value = rng.choice([0, 1, -1, 2 ** (bits - 1) - 1, -2 ** (bits - 1), rng.randrange(-2 ** (bits - 1), 2 ** (bits - 1))])
            return str(value)
        if kind == "a":
            return self.address(True, 1)
        return "%s ptr %s" % (size[kind[1:]], self.address(False, int(kind[1:]) // 8))

    def address(self, anything, size):
        """A memory operand of so many bytes; `anything`: only computed with, need not be mapped."""
        rng = self.rng
        registers = [i for i in range(8 if self.rexless else 16) if i != RSP]

        def pointer():
            choice = rng.choice([i for i in registers if not self.indexes >> i & 1])
            if not anything:
                self.pointers |= 1 << choice
            return GPR64[choice]

        def index():
            choice = rng.choice([i for i in registers if not self.pointers >> i & 1])
            if not anything:
                self.indexes |= 1 << choice
            return GPR64[choice]

        d8 = rng.randrange(-128, 128)
        d32 = rng.choice([rng.randrange(-0x800, 0x800), 0x7f0, -0x7f0])
        scale = rng.choice([1, 2, 4, 8])
        shape = rng.randrange(13)
        if size >= 16 and rng.random() < 0.8:
            # Vectors mostly aligned, if their base is.
            d8, d32 = d8 & -size, d32 & -size
            shape = rng.choice([0, 2, 4])
        if shape <= 1:
            return "[%s]" % pointer()
        if shape <= 3:
            return "[%s%+d]" % (pointer(), d8)
        if shape == 4:
            return "[%s%+d]" % (pointer(), d32)
        if shape <= 6:
            base = pointer()
            return "[%s+%s*%d%+d]" % (base, index(), scale, d8)
        if shape == 7:
            return "[rsp%+d]" % (abs(d8) & ~7)
        if shape == 8:
            return "[rsp+%s*%d%+d]" % (index(), scale, abs(d8))
        if shape == 9:
            self.kinds |= LOW
            return "[rip+0x%x]" % (0x102000 + 8 * rng.randrange(0x200))
        if shape == 10:
            self.kinds |= LOW
            return rng.choice(["ds:0x%x" % (0x10102000 + 8 * rng.randrange(0x200)),
                               "[%s*%d+0x10102000]" % (index(), scale)])
        if shape == 11:
            # Cut to 32 bits, which hold the low guest's addresses.
            self.kinds |= LOW
            base = GPR32[GPR64.index(pointer())]
            return rng.choice(["[%s%+d]" % (base, d8), "[%s+%s*%d%+d]" % (base, GPR32[GPR64.index(index())], scale, d8)])
        if anything:
            return "[%s]" % pointer()
        self.kinds |= TLS
        return "fs:[ub_tls_scratch@tpoff+%d]" % (8 * rng.randrange(7))


def choose():
    """The instances, those of FORMS first. None moves another's choices."""
    def instance(mnemonic, form, i):
        return Instance(mnemonic, form, random.Random("%d %s %s %d" % (SEED, mnemonic, form, i)))

    rows, seen = [], set()
    for mnemonics, forms in FORMS:
        for mnemonic in mnemonics:
            for form in forms:
                seen.add((mnemonic, form))
                rows += [instance(mnemonic, form, i) for i in range(INSTANCES if "{" in form else 1)]
    for mnemonic, form in row_forms.forms():
        if (mnemonic, form) not in seen:
            rows.append(instance(mnemonic, form, 0))
            rows[-1].kinds |= ROW
    return rows


def main():
    print("\t.intel_syntax noprefix\n\t.section .rodata\n")
    rows = list(enumerate(choose()))
    for n, instance in rows:
        print(".Li%d:\t%s" % (n, instance.text))
    print(".Li%d:" % len(rows))
    print("\n\t.section .data.rel.ro, \"aw\"\n\t.p2align 3\n\t.globl ub_instructions, ub_instructions_end")
    print("ub_instructions:")
    for n, instance in rows:
        print("\t.quad .Lt%d, .Lf%d, .Li%d, .Li%d\n\t.long %d, %d, %d, 0" %
              (n, n, n, n + 1, instance.pointers, instance.indexes, instance.kinds))
    print("ub_instructions_end:\n\n\t.section .rodata.str1.1, \"aMS\", @progbits, 1")
    for n, instance in rows:
        print(".Lt%d:\t.string \"%s\"\n.Lf%d:\t.string \"%s\"" % (n, instance.text, n, instance.form))
    print("\t.section .note.GNU-stack, \"\", @progbits")


main()
