/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Lowering: the decision for one instruction, whatever stands around it. Made by
 * sanitize's lower() when discover finds the instruction, as some decisions end a block;
 * part of each Step that the instruction becomes.
 */
#pragma once

#include "translator/insn.h"

namespace ub::translator {

/* How an instruction is put into the image. */
enum class Form : uint8_t {
	kNothing,	/* no bytes at all */
	kCopy,		/* byte for byte */
	kOperate,	/* re-encoded: other registers, a guarded memory operand, or both */
	kHighByte,	/* the same for ah, bh, ch or dh and a memory operand */
	kInSlot,	/* re-encoded: its one register that lives in a frame slot is its r/m operand there */
	kLea,		/* an address computed, not accessed */
	kStackShift,	/* a small constant added to the user's rsp */
	kStackWrite,	/* anything else written to the user's rsp: computed, checked, masked */
	kPush,
	kPop,
	kLeave,
	kXlat,
	kString,	/* guarded accesses at rsi and rdi, a loop if repeated */
	kControl,	/* the block's end: jumps, calls, returns */
	kExit,		/* left to native execution */
};

/* What proves a memory operand. */
enum class Guard : uint8_t {
	kNone,		/* no memory operand */
	kStack,		/* [user rsp + disp]: rsp is kept masked, the displacement is small */
	kSum,		/* mask base + index * scale in r9, then [r9 + disp] */
	kWhole,		/* the same with a displacement that is added before the mask */
	kConstant,	/* the address is known and in the user half */
	kAbsolute,	/* the same, and fits a 32-bit displacement */
	kFs,		/* fs:[disp]: the base was checked at entry */
	kFsWhole,	/* as kWhole, with the fs base from the frame in the sum */
};

/* What one instruction needs, whatever stands around it. */
struct Lowering {
	const char *why = nullptr;	/* kExit: the reason */
	int32_t shift = 0;		/* kStackShift */
	Form form = Form::kExit;
	Guard guard = Guard::kNone;
	/* The user's r9, r10 or r11 held in the physical r9 and r10 while it executes. */
	Gpr in_r9 = kNoGpr;
	Gpr in_r10 = kNoGpr;
};

} // namespace ub::translator
