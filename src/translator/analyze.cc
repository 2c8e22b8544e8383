/* SPDX-License-Identifier: GPL-2.0 */
/*
 * discover → unroll → ANALYZE → sanitize → emit → verify → publish
 *
 * Backward flag liveness over the region's blocks. Whatever leaves the region may
 * look at every flag; so may the unlearned targets of an indirect branch or return.
 * Before an instruction that exits and is then executed natively only the flags matter
 * that matter natively, so a faulting access needs nothing extra. Untrusted: a
 * wrong answer here makes wrong programs, not an unsafe kernel.
 */
#include "translator/analyze.h"

namespace ub::translator {

namespace {

/* Past these the answer is "everything is live": code that needs more is not a compiler's. */
constexpr uint32_t kMaxPasses = 64;

uint16_t live_at(const Region &region, const Successor &to)
{
	return to.block == kNoBlock ? kArithmeticFlags : region.blocks[to.block].live_in;
}

/* A block's instructions as one: live_in = read | (live_out & ~killed). */
struct Summary {
	uint16_t read = 0;
	uint16_t killed = 0;
};

Summary summarise(const Region &region, const Block &block)
{
	Summary s;

	for (const Insn &insn : region.of(block)) {
		s.read |= uint16_t(insn.flags_read & ~s.killed);
		s.killed |= insn.flags_killed;
	}
	return s;
}

} // namespace

uint16_t flags_live_out(const Region &region, const Block &block)
{
	switch (block.end) {
	case End::kFallThrough:
	case End::kJump:
	case End::kCall:
		return live_at(region, block.next);
	case End::kBranch:
		return uint16_t(live_at(region, block.next) | live_at(region, block.taken));
	case End::kUnread:
	case End::kBudget:
	case End::kUnseen:
	case End::kTargets:
	case End::kSyscall:
	case End::kRefused:
	case End::kVector:
		return kArithmeticFlags;
	}
	return kArithmeticFlags;
}

Result<> analyze(Region &region, Arena &arena)
{
	Summary *summaries = arena.make<Summary>(region.blocks.size());

	if (!summaries)
		return Fault::kNoMemory;
	for (size_t i = 0; i < region.blocks.size(); i++) {
		summaries[i] = summarise(region, region.blocks[i]);
		region.blocks[i].live_in = 0;
	}

	/* From "dead" upwards to the least fixed point. Live sets only grow and a bit travels one edge
	 * a pass at worst, but most edges go forward, so a few passes do. */
	uint32_t passes = 0;
	for (bool changed = true; changed;) {
		changed = false;
		if (passes++ == kMaxPasses) {
			for (Block &block : region.blocks)
				block.live_in = kArithmeticFlags;
			break;
		}
		for (size_t i = region.blocks.size(); i-- > 0;) {
			Block &block = region.blocks[i];
			const uint16_t out = flags_live_out(region, block);
			const uint16_t in = uint16_t(summaries[i].read | (out & ~summaries[i].killed));
			changed |= in != block.live_in;
			block.live_in = in;
		}
	}
	return Nothing{};
}

} // namespace ub::translator
