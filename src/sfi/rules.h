/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The rule table: which instructions an image may hold, by Zydis mnemonic. The
 * default is refusal. The rows are in rules.inc; the verifier refuses what is not
 * allowed there, and the translator makes an exit of it and shows why().
 *
 * A row speaks of the mnemonic alone. Which forms are legal (operands, prefixes,
 * memory) is decided in instruction.cc.
 */
#pragma once

#include <cstdint>

namespace ub::sfi {

enum class Kind : uint8_t {
	kRefused,
	kInteger,	/* general registers, flags, memory */
	kVector,	/* xmm, ymm, zmm and mask registers: the runtime owns the FPU */
	kHint,		/* nop, pause, prefetch: architecturally without an effect */
	kBranch,	/* direct jmp and jcc, jrcxz */
};

enum class Reason : uint8_t {
#define REASON(name, sentence) name,
#include "sfi/rules.inc"
#undef REASON
};

struct Rule {
	Kind kind = Kind::kRefused;
	bool raises = false;	/* may raise an exception without touching memory */
	Reason reason = Reason::kUnlisted;	/* of a refusal */
};

/**
 * rule - what the table says about an instruction
 * @mnemonic: a ZydisMnemonic
 * Context: any. Return: the row, the refusing default for what has none.
 */
const Rule &rule(uint16_t mnemonic);

/* Why a refused instruction is refused, a sentence; null for an allowed one. */
const char *why(const Rule &rule);

/* Whether a memory operand is accessed whatever the values; not said of shifts by cl, vector lanes, prefetches. What is
 * not listed may be all the same. Context: any. */
bool always_accesses(uint16_t mnemonic);

} // namespace ub::sfi
