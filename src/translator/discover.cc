/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DISCOVER → unroll → analyze → sanitize → emit → verify → publish
 *
 * Decides which guest code belongs to a gap's region. Blocks are found best first, by
 * the cost of the path to them (discover_paths.cc): what was seen executed, and what is likely to follow it.
 * Where a gap goes elsewhere it leaves the region, and that is learned. Untrusted.
 */
#include <algorithm>

#include "translator/discovery.h"
#include "translator/sanitize.h"

namespace ub::translator {

namespace {

constexpr uint32_t kMaxPages = 384;
constexpr uint32_t kMaxBlockInsns = 128;

/* So many instructions cost a path one: it is branches that make it a guess. */
constexpr uint32_t kCertain = 16;

bool dearer(const Candidate &a, const Candidate &b)
{
	return a.path.cost != b.path.cost ? a.path.cost > b.path.cost : a.block > b.block;
}

} // namespace

Discovery::Discovery(const Request &request, uint32_t instructions, const sfi::Contract &contract, Arena &arena)
	: request_(request), contract_(contract), arena_(arena), code_(request.mm, arena, kMaxPages),
	  hints_(request.mm, code_, request.stack), decoder_(arena), limit_(instructions),
	  unlikely_left_(uint32_t(request.budget.unlikely / (1 + request.learned.size()))), insn_index_(arena, instructions + kMaxBlockInsns),
	  block_index_(arena, 2 * instructions + kMaxBlockInsns), context_index_(arena, kMaxContexts),
	  queue_(arena, 4 * instructions + 16), learned_(request, arena)
{
	region_.insns = Table<Insn>(arena, instructions + kMaxBlockInsns);
	region_.lowerings = Table<Lowering>(arena, instructions + kMaxBlockInsns);
	region_.blocks = Table<Block>(arena, instructions + kMaxBlockInsns);
	region_.targets = Table<Successor>(arena, instructions + kMaxBlockInsns);
	region_.contexts = Table<Context>(arena, kMaxContexts);
}

/* Decoded once per address. AddressMap::kMissing when there is no readable instruction. */
uint32_t Discovery::insn_at(UserAddr address)
{
	const uint32_t known = insn_index_.find(0, address);
	if (known != AddressMap::kMissing)
		return known;

	uint8_t joined[kMaxInsnBytes];
	const std::span<const uint8_t> bytes = code_.read(address, joined, sizeof(joined));
	Insn *insn = !bytes.empty() ? region_.insns.add() : nullptr;
	if (!insn)
		return AddressMap::kMissing;
	const uint32_t index = uint32_t(region_.insns.size() - 1);
	if (!decoder_.decode(address, bytes.data(), bytes.size(), *insn) || !insn_index_.put(0, address, index)) {
		region_.insns.resize_down(index);
		return AddressMap::kMissing;
	}
	Lowering how = lower(*insn, contract_);
	if (!how.why && insn->vector && !request_.vectors) {
		insn->kind = Kind::kVector;
		insn->why = "uses vector registers, which this translation does without";
		how = lower(*insn, contract_);
	} else if (how.why) {
		insn->why = how.why;
		insn->kind = Kind::kRefused;
	}
	region_.lowerings.push_back(how);
	return index;
}

/* Calls nested too deeply go to context 0, where returns are learned like those to frames
 * from before the gap; so recursion is followed too. kMissing: do not follow the call. */
uint32_t Discovery::child_context(uint32_t parent, UserAddr return_address)
{
	const uint32_t known = context_index_.find(parent, return_address);
	if (known != AddressMap::kMissing)
		return known;

	Context child;
	child.parent = parent;
	child.depth = region_.contexts[parent].depth + 1;
	child.return_address = return_address;
	child.calls = calls_within(region_.contexts[parent].calls, return_address);
	if (!return_address.in_user_half())
		return AddressMap::kMissing;
	if (child.depth > request_.budget.call_depth || region_.contexts.size() == region_.contexts.capacity())
		return 0;

	const uint32_t index = uint32_t(region_.contexts.size());
	if (!context_index_.put(parent, return_address, index))
		return AddressMap::kMissing;
	region_.contexts.push_back(child);
	return index;
}

bool Discovery::may_grow(bool unlikely) const
{
	return region_.instructions < limit_ && (!unlikely || unlikely_left_);
}

/* Sees to it that a block begins at `to`, decoded already or queued. Where a table is
 * full it does nothing: the edge then stays unresolved and becomes an exit. */
void Discovery::want(const Successor &to, const Path &path)
{
	if (!to.address.in_user_half())
		return;
	uint32_t index = block_index_.find(to.context, to.address);
	if (index == AddressMap::kMissing) {
		Block *block = region_.blocks.add();
		if (!block)
			return;
		*block = Block();
		block->start = to.address;
		block->context = to.context;
		index = uint32_t(region_.blocks.size() - 1);
		if (!block_index_.put(to.context, to.address, index))
			return;
	} else if (region_.blocks[index].start != to.address) {
		split(index, to.address);
		return;
	} else if (region_.blocks[index].decoded) {
		return;
	}
	if (queue_.push_back({path, index}))
		std::push_heap(queue_.begin(), queue_.end(), dearer);
}

/* Cuts a decoded block in two, the second beginning at an instruction of the first. */
void Discovery::split(uint32_t index, UserAddr at)
{
	Block &head = region_.blocks[index];
	uint32_t kept = 0;

	while (kept < head.count && region_.insns[head.first + kept].address != at)
		kept++;
	if (kept == head.count)
		return;
	Block tail = head;
	tail.start = at;
	tail.found_from = index;
	tail.first += kept;
	tail.count -= kept;
	if (!region_.blocks.push_back(tail))
		return;

	const uint32_t tail_index = uint32_t(region_.blocks.size() - 1);
	for (const Insn &insn : region_.of(tail))
		(void)block_index_.put(tail.context, insn.address, tail_index);
	head.count = kept;
	head.end = End::kFallThrough;
	head.next = {at, head.context};
	head.taken = {};
	head.target_count = 0;
}

void Discovery::decode(const Candidate &found)
{
	const uint32_t index = found.block;
	Block &block = region_.blocks[index];
	UserAddr at = block.start;
	uint32_t cost = found.path.cost, certain = 0;
	int32_t stack = found.path.stack;

	block.decoded = true;
	block.found_from = found.path.from;
	for (;;) {
		block.next = {at, block.context};
		/* Where a budget ended, it may have been seen to go on. */
		if (block.count && learned_.has(region_.of(block).back().address, at, calls(block.context)))
			cost = certain = 0;
		if (!may_grow(cost >= kUnlikely)) {
			if (block.count && block_index_.find(block.context, at) != AddressMap::kMissing)
				block.end = End::kFallThrough;
			else
				block.end = region_.instructions < limit_ ? End::kUnseen : End::kBudget;
			break;
		}
		const uint32_t insn_index = insn_at(at);
		if (insn_index == AddressMap::kMissing) {
			block.end = End::kUnread;
			break;
		}
		if (block.count == kMaxBlockInsns || (block.count && insn_index != block.first + block.count)) {
			block.end = End::kFallThrough;
			break;
		}
		const uint32_t owner = block_index_.find_or_put(block.context, at, index);
		if (owner != index) {
			block.end = owner == AddressMap::kMissing ? End::kBudget : End::kFallThrough;
			break;
		}

		const Insn &insn = region_.insns[insn_index];
		if (!block.count)
			block.first = insn_index;
		block.count++;
		region_.instructions++;
		unlikely_left_ -= cost >= kUnlikely;
		certain++;
		if (insn.kind >= Kind::kJump)
			finish(block, insn, stack);
		stack = stack_behind(stack, insn, region_.lowerings[insn_index]);
		if (insn.kind >= Kind::kJump)
			break;
		at = insn.next();
	}
	want_successors(block, {cost + certain / kCertain, stack, index});
}

/* Sets how a block ends from its last instruction. */
void Discovery::finish(Block &block, const Insn &last, int32_t stack)
{
	block.next = {last.next(), block.context};

	switch (last.kind) {
	case Kind::kJump:
		block.end = End::kJump;
		block.next.address = UserAddr(last.target);
		break;
	case Kind::kBranch:
	case Kind::kCounted:
		block.end = End::kBranch;
		block.taken = {UserAddr(last.target), block.context};
		break;
	case Kind::kCall:
		finish_call(block, last);
		break;
	case Kind::kReturn:
	case Kind::kIndirectJump:
	case Kind::kIndirectCall:
		finish_targets(block, last, stack);
		break;
	case Kind::kSyscall:
		block.end = End::kSyscall;
		break;
	case Kind::kVector:
		block.end = End::kVector;
		break;
	default:
		block.end = End::kRefused;
		break;
	}
}

void Discovery::resolve(Successor &to) const
{
	const uint32_t index = block_index_.find(to.context, to.address);

	to.block = kNoBlock;
	if (to.address.in_user_half() && index != AddressMap::kMissing &&
	    region_.blocks[index].start == to.address && region_.blocks[index].decoded)
		to.block = index;
}

Result<Region> Discovery::run()
{
	uint32_t within = 0;

	region_.contexts.push_back(Context());
	for (const UserAddr return_address : request_.open)
		within = child_context(within, return_address);
	want({request_.start, within}, {0, 0, kNoBlock});
	while (!queue_.empty()) {
		std::pop_heap(queue_.begin(), queue_.end(), dearer);
		const Candidate next = queue_.back();
		queue_.resize_down(queue_.size() - 1);
		if (!region_.blocks[next.block].decoded && may_grow(next.path.cost >= kUnlikely))
			decode(next);
	}
	if (arena_.exhausted())
		return Fault::kNoMemory;

	const Block &entry = region_.blocks[0];
	if (!entry.decoded || !entry.count)
		return Fault::kGuestMemory;
	if (region_.of(entry)[0].kind == Kind::kRefused)
		return Fault::kNothingGained;

	for (Block &block : region_.blocks) {
		resolve(block.next);
		resolve(block.taken);
		/* The block it would go on with is known, and no budget was left to decode it. */
		if (block.end == End::kFallThrough && block.next.block == kNoBlock)
			block.end = region_.instructions < limit_ ? End::kUnseen : End::kBudget;
	}
	for (Successor &target : region_.targets)
		resolve(target);
	region_.sources = code_.sources(arena_);
	return region_;
}

Result<Region> discover(const Request &request, uint32_t instructions, const sfi::Contract &contract, Arena &arena)
{
	return Discovery(request, instructions, contract, arena).run();
}

} // namespace ub::translator
