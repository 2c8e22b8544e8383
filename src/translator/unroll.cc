/* SPDX-License-Identifier: GPL-2.0 */
/*
 * discover → UNROLL → analyze → sanitize → emit → verify → publish
 *
 * A loop is what leads from a block, its head, back to it without leaving the addresses
 * up to the last branch back, nor the call context. What leads back to the head
 * in one copy of it leads to the head of the next copy, and in the last one back to the
 * first: all cycles pass that head, so it polls. What leads out of the loop leads to
 * where it led; code outside enters the first copy. The copies are blocks of the same
 * guest instructions, like those of one function called from two places. Untrusted.
 */
#include "translator/unroll.h"

#include <algorithm>

namespace ub::translator {

namespace {

/* In guest instructions. Longer loops would gain little. */
constexpr uint32_t kMaxBody = 24;
constexpr uint32_t kMaxCopied = 128;
constexpr uint32_t kMaxCopies = 32;

/* Where there is much code its loops are not what takes the time, but what makes images large. */
constexpr uint32_t kMuchCode = 1000;

/* Of a block; a copy's are the same. */
template <typename Visit>
void for_each_edge(Block &block, Visit visit)
{
	switch (block.end) {
	case End::kFallThrough:
	case End::kJump:
		visit(block.next);
		return;
	case End::kBranch:
		visit(block.next);
		visit(block.taken);
		return;
	case End::kUnread:
	case End::kBudget:
	case End::kUnseen:
	case End::kCall:
	case End::kTargets:
	case End::kSyscall:
	case End::kRefused:
	case End::kVector:
		return;
	}
}

/* Whatever else a block ends with leads out of a loop. */
bool goes_on(const Block &block)
{
	return block.count && (block.end == End::kFallThrough || block.end == End::kJump || block.end == End::kBranch);
}

struct Loop {
	uint32_t blocks[kMaxBody];	/* the head first */
	uint32_t count = 0;
	uint32_t instructions = 0;

	/* Its place in `blocks`, or kNoBlock. */
	uint32_t find(uint32_t block) const
	{
		const uint32_t *found = std::find(blocks, blocks + count, block);
		return found == blocks + count ? kNoBlock : uint32_t(found - blocks);
	}

	bool add(const Region &region, uint32_t block)
	{
		instructions += region.blocks[block].count;
		if (instructions > kMaxBody)
			return false;
		blocks[count++] = block;
		return true;
	}
};

/* The loop from `head` on, the last branch back to it being that of `latch`. Return: false
 * when it is too long or has loops inside. */
bool find_loop(Region &region, uint32_t head, uint32_t latch, Loop &loop)
{
	const Block &first = region.blocks[head];
	const UserAddr last = region.blocks[latch].start;
	bool fits = loop.add(region, head);

	for (uint32_t i = 0; fits && i < loop.count; i++) {
		Block &block = region.blocks[loop.blocks[i]];
		for_each_edge(block, [&](const Successor &to) {
			if (!fits || to.block == kNoBlock || to.block == head || to.context != first.context ||
			    to.address < first.start || to.address > last || !goes_on(region.blocks[to.block]))
				return;
			fits = to.address > block.start && (loop.find(to.block) != kNoBlock || loop.add(region, to.block));
		});
	}
	return fits && loop.find(latch) != kNoBlock;
}

/* A copy of all blocks of the loop. Return: its head. */
uint32_t copy(Region &region, const Loop &loop)
{
	const uint32_t head = uint32_t(region.blocks.size());

	for (uint32_t i = 0; i < loop.count; i++) {
		Block block = region.blocks[loop.blocks[i]];
		for_each_edge(block, [&](Successor &to) {
			const uint32_t inside = to.block == kNoBlock ? kNoBlock : loop.find(to.block);
			if (inside != kNoBlock && inside != 0)
				to.block = head + inside;
		});
		region.blocks.push_back(block);
		region.instructions += block.count;
	}
	return head;
}

/* What leads back to the loop's head from `block` leads to the head of the next copy. */
void lead_on(Block &block, uint32_t head, uint32_t next)
{
	for_each_edge(block, [&](Successor &to) {
		if (to.block == head)
			to.block = next;
	});
	block.likely_taken = block.end == End::kBranch && block.taken.block == next;
}

void unroll(Region &region, const Loop &loop, uint32_t copies)
{
	uint32_t heads[kMaxCopies];

	for (uint32_t i = 1; i < copies; i++)
		heads[i] = copy(region, loop);
	for (uint32_t i = 0; i + 1 < copies; i++)
		for (uint32_t k = 0; k < loop.count; k++)
			lead_on(region.blocks[i ? heads[i] + k : loop.blocks[k]], loop.blocks[0], heads[i + 1]);
}

} // namespace

Result<> unroll(Region &region, Arena &arena)
{
	const uint32_t count = uint32_t(region.blocks.size());
	uint32_t left = 2 * kMaxCopied;
	uint32_t *latches = arena.raw<uint32_t>(count);	/* by head: of the blocks that lead back the last */

	if (!latches)
		return Fault::kNoMemory;
	if (region.instructions >= kMuchCode)
		return Nothing{};
	std::fill_n(latches, count, kNoBlock);
	for (uint32_t b = 0; b < count; b++) {
		Block &block = region.blocks[b];
		if (!goes_on(block))
			continue;
		for_each_edge(block, [&](const Successor &to) {
			if (to.block == kNoBlock || to.context != block.context || to.address > block.start)
				return;
			uint32_t &latch = latches[to.block];
			if (latch == kNoBlock || region.blocks[latch].start < block.start)
				latch = b;
		});
	}

	for (uint32_t head = 0; head < count; head++) {
		Loop loop;
		if (latches[head] == kNoBlock || !goes_on(region.blocks[head]) || !find_loop(region, head, latches[head], loop))
			continue;
		const uint32_t copies = std::min({kMaxCopies, kMaxCopied / loop.instructions, 1 + left / loop.instructions,
						  1 + uint32_t(region.blocks.capacity() - region.blocks.size()) / loop.count});
		if (copies < 2)
			continue;
		left -= (copies - 1) * loop.instructions;
		unroll(region, loop, copies);
	}
	return Nothing{};
}

} // namespace ub::translator
