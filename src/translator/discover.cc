/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DISCOVER → unroll → analyze → sanitize → emit → verify → publish
 *
 * Decides which guest code belongs to a gap's region. Blocks are found best first, by
 * the cost of the path to them (discover_paths.cc), so the budget goes to the near and
 * learned code before it goes to error paths. Untrusted.
 */
#include <algorithm>

#include "translator/discovery.h"
#include "translator/sanitize.h"

namespace ub::translator {

namespace {

constexpr uint32_t kMaxPasses = 2;
constexpr uint32_t kMaxPages = 384;
constexpr uint32_t kMaxBlockInsns = 128;

bool dearer(const Candidate &a, const Candidate &b)
{
	return a.path.cost != b.path.cost ? a.path.cost > b.path.cost : a.block > b.block;
}

} // namespace

Discovery::Discovery(const Request &request, uint32_t instructions, const sfi::Contract &contract, Arena &arena)
	: request_(request), contract_(contract), arena_(arena), code_(request.mm, arena, kMaxPages),
	  hints_(request.mm, code_, request.stack), decoder_(arena), limit_(instructions),
	  insn_index_(arena, kMaxPasses * instructions + kMaxBlockInsns),
	  block_index_(arena, 2 * instructions + kMaxBlockInsns), context_index_(arena, kMaxContexts),
	  queue_(arena, 4 * instructions + 16), learned_(request, arena)
{
	region_.insns = Table<Insn>(arena, kMaxPasses * instructions + kMaxBlockInsns);
	region_.lowerings = Table<Lowering>(arena, kMaxPasses * instructions + kMaxBlockInsns);
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
uint32_t Discovery::child_context(uint32_t parent, UserAddr return_address, bool eager)
{
	const uint32_t known = context_index_.find(parent, return_address);
	if (known != AddressMap::kMissing) {
		region_.contexts[known].eager &= eager;
		return known;
	}

	Context child;
	child.parent = parent;
	child.depth = region_.contexts[parent].depth + 1;
	child.return_address = return_address;
	child.calls = calls_within(region_.contexts[parent].calls, return_address);
	child.eager = eager || region_.contexts[parent].eager;
	if (!return_address.in_user_half())
		return AddressMap::kMissing;
	if (child.depth > request_.budget.call_depth || region_.contexts.size() == region_.contexts.capacity())
		return child.eager ? uint32_t(AddressMap::kMissing) : 0;

	const uint32_t index = uint32_t(region_.contexts.size());
	if (!context_index_.put(parent, return_address, index))
		return AddressMap::kMissing;
	region_.contexts.push_back(child);
	return index;
}

/* An observation made inside a context says that the calls leading to it are taken. */
void Discovery::seen(uint32_t context)
{
	while (region_.contexts[context].eager) {
		region_.contexts[context].eager = false;
		context = region_.contexts[context].parent;
	}
}

bool Discovery::may_grow(uint32_t context) const
{
	return region_.instructions < limit_ &&
	       (!region_.contexts[context].eager || eager_used_ < request_.budget.eager_instructions);
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
	int32_t stack = found.path.stack;

	block.decoded = true;
	block.found_from = found.path.from;
	for (;;) {
		block.next = {at, block.context};
		if (!may_grow(block.context)) {
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
		if (region_.contexts[block.context].eager) {
			eager_used_++;
			if (learned_.seen(at, calls(block.context)))
				seen(block.context);
		}
		if (insn.kind >= Kind::kJump)
			finish(block, insn, stack);
		stack = stack_behind(stack, insn, region_.lowerings[insn_index]);
		if (insn.kind >= Kind::kJump)
			break;
		at = insn.next();
	}
	want_successors(block, {found.path.cost + block.count, stack, index});
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

/* Anew, with more learned. What was read and decoded stays. */
Result<Region> Discovery::run_again(const Request &request)
{
	learned_ = Learned(request, arena_);
	region_.blocks.clear();
	region_.targets.clear();
	region_.contexts.clear();
	region_.instructions = 0;
	block_index_.clear();
	context_index_.clear();
	queue_.clear();
	eager_used_ = 0;
	return run();
}

Result<Region> Discovery::run()
{
	uint32_t within = 0;

	region_.contexts.push_back(Context());
	for (const UserAddr return_address : request_.open)
		within = child_context(within, return_address, false);
	want({request_.start, within}, {0, 0, kNoBlock});
	while (!queue_.empty()) {
		std::pop_heap(queue_.begin(), queue_.end(), dearer);
		const Candidate next = queue_.back();
		queue_.resize_down(queue_.size() - 1);
		const Block &block = region_.blocks[next.block];
		if (!block.decoded && may_grow(block.context))
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

namespace {

/* Adds how each block that an observation was made in was reached: found from block to block, by
 * the cheapest path, which is where execution is likely to have gone. */
void add_ways(const Region &region, const Learned &learned, Arena &arena, Table<Observation> &ways)
{
	bool *on_a_way = arena.make<bool>(region.blocks.size());

	for (uint32_t i = 0; on_a_way && i < region.blocks.size(); i++) {
		const Block &block = region.blocks[i];
		const uint32_t calls = region.contexts[block.context].calls;
		const std::span<const Insn> insns = region.of(block);
		/* Where a budget ended is in the middle of a block now. */
		if (!block.decoded || std::none_of(insns.begin(), insns.end(),
						   [&](const Insn &insn) { return learned.seen(insn.address, calls); }))
			continue;
		for (uint32_t at = i; !on_a_way[at] && region.blocks[at].found_from != kNoBlock;) {
			const uint32_t from = region.blocks[at].found_from;
			const Block &before = region.blocks[from];
			on_a_way[at] = true;
			if (before.count)
				ways.push_back({region.of(before).back().address, region.blocks[at].start,
						region.contexts[before.context].calls});
			at = from;
		}
	}
}

} // namespace

/*
 * A region that the budget ended is discovered anew with the ways to what was learned in it as if they
 * had been learned, too: what lies beside them then costs the same wherever it is, and the budget goes to
 * what is near any of them instead of all that is near the entry. The next translation begins with these ways.
 */
Result<Region> discover(const Request &request, uint32_t instructions, const sfi::Contract &contract, Arena &arena)
{
	const size_t learned = request.learned.size();
	Table<Observation> known(arena, learned + kMaxWays);
	Request informed = request;

	for (const Observation &seen : request.learned)
		known.push_back(seen);
	for (const Observation &way : request.ways)
		known.push_back(way);
	informed.learned = known.span();
	Discovery discovery(informed, instructions, contract, arena);
	Result<Region> region = discovery.run();
	if (!region || region->instructions < instructions || !learned || !request.open.empty())
		return region;
	known.resize_down(learned);
	add_ways(*region, Learned(request, arena), arena, known);
	informed.learned = known.span();
	region = discovery.run_again(informed);
	/* With these it is found again, up to where its budget ended. */
	if (region && region->instructions >= instructions)
		region->ways = known.span().subspan(learned);
	return region;
}

} // namespace ub::translator
