/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Re-encodes a guest instruction with other registers or another memory operand, all
 * else being equal. Knows legacy, VEX and EVEX encodings, not what the guest's
 * operands mean; which registers to put where is emit's decision.
 */
#pragma once

#include "translator/insn.h"

namespace ub::translator {

/* What to put in place of the instruction's own memory operand or r/m register. */
struct NewMemory {
	enum class Form : uint8_t {
		kSame,		/* the guest's own displacement bytes, its base exchanged */
		kValue,		/* [base + disp] */
		kAbsolute,	/* [disp] */
	};
	Gpr base = kNoGpr;
	Form form = Form::kSame;
	int32_t disp = 0;

	/* Without a base the guest's operand stays as it is. */
	bool replaces() const { return base != kNoGpr || form == Form::kAbsolute; }
};

struct Rewrite {
	/* Register numbers for the encoding's fields; kNoGpr leaves the guest's. */
	Gpr reg = kNoGpr;
	Gpr rm = kNoGpr;
	Gpr vvvv = kNoGpr;
	Gpr opcode = kNoGpr;
	NewMemory memory;

	void set(Field field, Gpr value);
};

struct Encoded {
	uint8_t bytes[kMaxInsnBytes + 1];
	uint8_t length = 0;	/* 0: it cannot be encoded so */
};

Encoded encode(const Insn &insn, const Rewrite &rewrite);

/* An instruction of two registers in its other encoding, `reg` and `rm` exchanged: compilers write op rm, reg. */
bool turns(const Insn &insn);
Insn turned(const Insn &insn);

} // namespace ub::translator
