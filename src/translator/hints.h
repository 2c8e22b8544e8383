/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Hints: where an indirect branch is likely to go that no run has missed yet, so that
 * not each of them costs a translation. Part of discover. A hint is one more
 * address in a compare chain: what it was taken from may change at any time, and
 * a wrong one just misses. The code it names is read as all guest code is.
 */
#pragma once

#include "translator/guest_code.h"
#include "translator/insn.h"

struct ubk_mm;

namespace ub::translator {

class Hints {
public:
	Hints(struct ubk_mm *mm, GuestCode &code) : mm_(mm), code_(code) {}

	/* Where a branch through memory goes by the pointer that lies there now, if its place
	 * is known: an entry of the GOT. 0: no hint. */
	UserAddr through(const MemOperand &pointer);

private:
	struct ubk_mm *mm_;
	GuestCode &code_;
};

} // namespace ub::translator
