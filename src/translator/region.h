/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Region: the guest code discovered for one gap, the noun between discover, analyze
 * and sanitize. Everything in it lives in the attempt's arena.
 *
 * A block is a straight run of instructions, keyed by (call context, address): a call
 * that is followed opens a context of its own, in which the callee's return
 * has one expected target. The same function called from two places has its blocks
 * twice and its decoded instructions once.
 */
#pragma once

#include <span>

#include "base/arena.h"
#include "base/extent.h"
#include "base/observation.h"
#include "translator/insn.h"
#include "translator/lowering.h"

namespace ub::translator {

inline constexpr uint32_t kNoBlock = ~uint32_t(0);
inline constexpr uint32_t kMaxContexts = 2048;

/* One way on from a block. */
struct Successor {
	UserAddr address;
	uint32_t context = 0;
	uint32_t block = kNoBlock;	/* kNoBlock: not in the region */
};

/* How a block ends. The last instruction decides it but for the first four. */
enum class End : uint8_t {
	kFallThrough,	/* goes on at `next` without a branch */
	kUnread,	/* the code at `next` cannot be read or is no instruction */
	kBudget,	/* the budget ended before `next` */
	kUnseen,	/* `next` is not expected to be reached */
	kJump,		/* direct jump to `next` */
	kBranch,	/* to `taken` on a condition, else `next` */
	kCall,		/* direct call, to `next` in its own context; kNoBlock: not followed */
	kTargets,	/* indirect jump, indirect call or return: to one of `targets` */
	kSyscall,
	kRefused,	/* the last instruction is not translated */
	kVector,	/* nor is this, but for Request::vectors it would be */
};

struct Block {
	UserAddr start;
	uint32_t context = 0;
	uint32_t first = 0;		/* index into Region::insns */
	uint32_t count = 0;
	Successor next;
	Successor taken;
	uint32_t first_target = 0;	/* kTargets: index into Region::targets */
	uint32_t target_count = 0;
	uint32_t found_from = kNoBlock;	/* the block before it on the path that discover found it by */
	uint16_t live_in = kArithmeticFlags;	/* flags whose value at the start matters: analyze */
	End end = End::kFallThrough;
	bool decoded = false;		/* false: was left out, nobody may go there */
	bool likely_taken = false;	/* kBranch: `taken` goes on in a loop */
};

/* A chain of calls made since the gap began. Context 0 is outside of them all. */
struct Context {
	uint32_t parent = 0;
	uint32_t depth = 0;
	UserAddr return_address;
	uint32_t calls = kNoCalls;	/* as observations have it */
};

struct Region {
	Table<Insn> insns;		/* in the order they were decoded */
	Table<Lowering> lowerings;	/* of each */
	Table<Block> blocks;		/* 0 is the entry */
	Table<Context> contexts;
	Table<Successor> targets;
	std::span<const Extent> sources;
	uint32_t instructions = 0;	/* sum of the blocks' counts */

	std::span<const Insn> of(const Block &b) const { return {insns.begin() + b.first, b.count}; }
	std::span<const Successor> targets_of(const Block &b) const
	{
		return {targets.begin() + b.first_target, b.target_count};
	}
};

} // namespace ub::translator
