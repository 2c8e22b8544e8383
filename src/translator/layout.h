/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Layout: the order of a region's blocks in the image. A first part of emit: blocks
 * follow their likely predecessor so that little code jumps, and where a branch goes
 * back in this order its target begins with a poll.
 */
#pragma once

#include "base/result.h"
#include "translator/region.h"

namespace ub::translator {

struct Layout {
	struct Place {
		uint32_t position = kNoBlock;	/* in `order`; kNoBlock: unreachable, not in the image */
		uint32_t predecessors = 0;	/* edges that lead here */
		bool polls = false;		/* a branch leads back here */
		bool joined = false;		/* only its predecessor in `order` leads here: one straight line */
	};
	Table<uint32_t> order;
	Place *places = nullptr;		/* by block */

	/* The block behind position `i`, or kNoBlock. */
	uint32_t after(uint32_t i) const { return i + 1 < order.size() ? order[i + 1] : kNoBlock; }
};

/* Calls visit(block) for each successor inside the region, the likely one first. */
template <typename Visit>
void for_each_successor(const Region &region, const Block &block, Visit visit)
{
	const auto inside = [&](const Successor &s) {
		if (s.block != kNoBlock)
			visit(s.block);
	};

	switch (block.end) {
	case End::kFallThrough:
	case End::kJump:
	case End::kCall:
		inside(block.next);
		return;
	case End::kBranch:
		inside(block.likely_taken ? block.taken : block.next);
		inside(block.likely_taken ? block.next : block.taken);
		return;
	case End::kTargets:
		for (const Successor &target : region.targets_of(block))
			inside(target);
		return;
	case End::kUnread:
	case End::kBudget:
	case End::kUnseen:
	case End::kSyscall:
	case End::kRefused:
	case End::kVector:
		return;
	}
}

/* kNoMemory when the arena is used up. */
Result<Layout> lay_out(const Region &region, Arena &arena);

} // namespace ub::translator
