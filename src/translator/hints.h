/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Hints: where an indirect branch is likely to go that no run has missed yet, so that
 * not each of them costs a translation. Part of discover. A hint is one more
 * address in a compare chain: what it was taken from may change at any time, and
 * a wrong one just misses. The code it names is read as all guest code is.
 */
#pragma once

#include "base/observation.h"
#include "translator/guest_code.h"
#include "translator/region.h"

struct ubk_mm;

namespace ub::translator {

/* Where the user's rsp is, in bytes from where it was at the gap's start. */
inline constexpr int32_t kStackUnknown = INT32_MIN;

/* … and behind an instruction; unknown once it was moved by what is no small constant. */
int32_t stack_behind(int32_t stack, const Insn &insn, const Lowering &how);

class Hints {
public:
	/* @stack: see Request */
	Hints(struct ubk_mm *mm, GuestCode &code, std::span<const uint64_t> stack)
		: mm_(mm), code_(code), stack_(stack)
	{
	}

	/* Where a branch through memory goes by the pointer that lies there now, if its place
	 * is known: an entry of the GOT. 0: no hint. */
	UserAddr through(const MemOperand &pointer);

	/* The same of a branch at the end of `block` through a register, if it was loaded from such
	 * a place on the way there. */
	UserAddr through(Gpr pointer, const Region &region, const Block &block);

	/* Where a return to a frame from before the gap goes, by what lay on the stack once at
	 * `stack`, if that is behind a call. 0: no hint. */
	UserAddr return_at(int32_t stack);

private:
	bool behind_call(UserAddr target);

	struct ubk_mm *mm_;
	GuestCode &code_;
	std::span<const uint64_t> stack_;
};

} // namespace ub::translator
