/* SPDX-License-Identifier: GPL-2.0 */
/*
 * discover → unroll → ANALYZE → sanitize → emit → verify → publish
 *
 * Fills in Block::live_in: the arithmetic flags whose value matters at a block's
 * start. Where they are dead a guard may destroy them.
 */
#pragma once

#include "base/result.h"
#include "translator/region.h"

namespace ub::translator {

/* kNoMemory when the arena is used up. */
Result<> analyze(Region &region, Arena &arena);

/* The flags that matter behind a block's last instruction. */
uint16_t flags_live_out(const Region &region, const Block &block);

/* The flags that matter before an instruction, given those behind it. */
constexpr uint16_t flags_live_before(const Insn &insn, uint16_t live_after)
{
	return uint16_t((live_after & ~insn.flags_killed) | insn.flags_read);
}

} // namespace ub::translator
