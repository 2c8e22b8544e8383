/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Discovery: one pass of discover over the guest's code.
 *
 *	discover.cc		finding blocks, best first, within the budgets
 *	discover_paths.cc	where blocks lead, and what going there costs
 */
#pragma once

#include "translator/address_map.h"
#include "translator/discover.h"
#include "translator/guest_code.h"
#include "translator/hints.h"
#include "translator/learned.h"

namespace ub::translator {

/* What a path costs from where on it is not expected to be taken. */
inline constexpr uint32_t kUnlikely = 128;

/* A path up to a block. */
struct Path {
	uint32_t cost;
	int32_t stack;		/* how far it has moved the user's rsp */
	uint32_t from;		/* its last block */

	Path costing(uint32_t other) const { return {other, stack, from}; }
};

/* A block to decode, and the cheapest known path to it. */
struct Candidate {
	Path path;
	uint32_t block;
};

class Discovery {
public:
	Discovery(const Request &request, uint32_t instructions, const sfi::Contract &contract, Arena &arena);
	Result<Region> run();

private:
	uint32_t insn_at(UserAddr address);
	uint32_t child_context(uint32_t parent, UserAddr return_address);
	bool may_grow(bool unlikely) const;

	void want(const Successor &to, const Path &path);
	void split(uint32_t block, UserAddr at);
	void decode(const Candidate &found);
	void finish(Block &block, const Insn &last, int32_t stack);
	void finish_call(Block &block, const Insn &call);
	void finish_targets(Block &block, const Insn &branch, int32_t stack);
	void add_targets(uint32_t context, const Insn &branch, UserAddr hint);
	UserAddr hint(const Block &block, const Insn &branch, int32_t stack);
	void want_successors(const Block &block, const Path &path);
	uint32_t calls(uint32_t context) const { return region_.contexts[context].calls; }
	bool went(const Block &block, UserAddr to) const;
	bool went_anywhere(const Block &block) const;
	uint32_t turn(const Block &block, const Successor &to, uint32_t cost) const;
	uint32_t unseen_target(const Block &block, const Successor &to, uint32_t cost) const;
	void add_target(uint32_t first, const Successor &target);
	void resolve(Successor &to) const;

	const Request &request_;
	const sfi::Contract &contract_;
	Arena &arena_;
	GuestCode code_;
	Hints hints_;
	Decoder decoder_;
	Region region_;
	uint32_t limit_;
	uint32_t unlikely_left_;
	AddressMap insn_index_;		/* address → insn */
	AddressMap block_index_;	/* (context, address) → the block that holds the instruction */
	AddressMap context_index_;	/* (parent, return address) → context */
	Table<Candidate> queue_;	/* a heap, cheapest first */
	Learned learned_;
};

} // namespace ub::translator
