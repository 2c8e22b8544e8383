/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DISCOVER → unroll → analyze → sanitize → emit → verify → publish
 *
 * Decides which guest code belongs to a gap's region. Blocks are found best first: a
 * path costs its instructions and a penalty for each unlikely turn, so the budget goes
 * to the near and learned code before it goes to error paths. Calls are followed when
 * they were seen taken or while the eager budget lasts; indirect branches and returns
 * to frames from before the gap go to learned targets, and to what a hint says. Untrusted.
 */
#include "translator/discover.h"

#include <algorithm>

#include "translator/address_map.h"
#include "translator/guest_code.h"
#include "translator/hints.h"
#include "translator/learned.h"
#include "translator/sanitize.h"

namespace ub::translator {

namespace {

constexpr uint32_t kMaxPages = 384;
constexpr uint32_t kMaxContexts = 2048;
constexpr uint32_t kMaxBlockInsns = 128;

/* Penalties, in instructions of path length. */
constexpr uint32_t kTakenForward = 8;
constexpr uint32_t kTakenFar = 400;	/* out-of-line cold code */
constexpr uint32_t kUnseenCall = 40;
constexpr int64_t kFar = 4096;

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

bool dearer(const Candidate &a, const Candidate &b)
{
	return a.path.cost != b.path.cost ? a.path.cost > b.path.cost : a.block > b.block;
}

class Discovery {
public:
	Discovery(const Request &request, uint32_t instructions, const sfi::Contract &contract, Arena &arena);
	Result<Region> run();

private:
	uint32_t insn_at(UserAddr address);
	uint32_t child_context(uint32_t parent, UserAddr return_address, bool eager);
	void seen(uint32_t context);
	bool may_grow(uint32_t context) const;

	void want(const Successor &to, const Path &path);
	void split(uint32_t block, UserAddr at);
	void decode(const Candidate &found);
	void finish(Block &block, const Insn &last, int32_t stack);
	void finish_call(Block &block, const Insn &call);
	void finish_targets(Block &block, const Insn &branch, int32_t stack);
	void add_targets(uint32_t context, const Insn &branch, UserAddr hint);
	UserAddr hint(const Block &block, const Insn &branch, int32_t stack);
	void want_successors(const Block &block, const Path &path);
	uint32_t turn(const Insn &branch, const Successor &to, uint32_t cost) const;
	uint32_t unseen_turn(const Block &block, const Insn &branch, uint32_t cost) const;
	void resolve(Successor &to) const;

	const Request &request_;
	const sfi::Contract &contract_;
	Arena &arena_;
	GuestCode code_;
	Hints hints_;
	Decoder decoder_;
	Region region_;
	uint32_t limit_;
	uint32_t eager_used_ = 0;
	AddressMap insn_index_;		/* address → insn */
	AddressMap block_index_;	/* (context, address) → the block that holds the instruction */
	AddressMap context_index_;	/* (parent, return address) → context */
	Table<Candidate> queue_;	/* a heap, cheapest first */
	Learned learned_;
};

Discovery::Discovery(const Request &request, uint32_t instructions, const sfi::Contract &contract, Arena &arena)
	: request_(request), contract_(contract), arena_(arena), code_(request.mm, arena, kMaxPages),
	  hints_(request.mm, code_, request.stack), decoder_(arena), limit_(instructions),
	  insn_index_(arena, instructions + kMaxBlockInsns),
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
			if (!learned_.from(at).empty())
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

void Discovery::finish_call(Block &block, const Insn &call)
{
	const bool eager = !learned_.has(call.address, UserAddr(call.target));
	const bool follow = !eager || eager_used_ < request_.budget.eager_instructions;
	const uint32_t child = follow ? child_context(block.context, call.next(), eager)
				      : uint32_t(AddressMap::kMissing);

	block.end = End::kCall;
	block.next = {UserAddr(call.target), child == AddressMap::kMissing ? 0 : child, kNoBlock};
	block.taken = {};
	if (child == AddressMap::kMissing)
		block.next.address = UserAddr(~uint64_t(0));
}

void Discovery::finish_targets(Block &block, const Insn &branch, int32_t stack)
{
	block.end = End::kTargets;
	block.next = {};
	block.first_target = uint32_t(region_.targets.size());

	if (branch.kind == Kind::kReturn && block.context) {
		const Context &c = region_.contexts[block.context];
		region_.targets.push_back({c.return_address, c.parent});
	} else {
		add_targets(block.context, branch, hint(block, branch, stack));
	}
	block.target_count = uint32_t(region_.targets.size()) - block.first_target;
}

/* Where a branch may go that was not seen to. 0: no hint. */
UserAddr Discovery::hint(const Block &block, const Insn &branch, int32_t stack)
{
	if (branch.kind == Kind::kReturn)
		return hints_.return_at(stack);
	return branch.mem.present ? hints_.through(branch.mem) : hints_.through(branch.regs[0].reg, region_, block);
}

/* Those seen first; then, if it is another one, what a hint says. */
void Discovery::add_targets(uint32_t context, const Insn &branch, UserAddr hint)
{
	const std::span<const Observation> seen = learned_.from(branch.address);
	uint32_t left = request_.budget.targets;

	if (branch.kind == Kind::kIndirectCall) {
		if (seen.empty() && (!hint.value || eager_used_ >= request_.budget.eager_instructions))
			return;
		context = child_context(context, branch.next(), seen.empty());
		if (context == AddressMap::kMissing)
			return;
	}
	for (const Observation &o : seen) {
		if (!left)
			return;
		if (!o.to.in_user_half())
			continue;
		left--;
		region_.targets.push_back({o.to, context});
	}
	if (left && hint.value && !learned_.has(branch.address, hint))
		region_.targets.push_back({hint, context});
}

/* The cost of the path to a branch's target. One seen taken is where execution goes: paths
 * are counted from there anew. */
uint32_t Discovery::turn(const Insn &branch, const Successor &to, uint32_t cost) const
{
	const int64_t distance = to.address - branch.address;

	if (learned_.has(branch.address, to.address))
		return 0;
	if (distance <= 0 && distance > -kFar)
		return cost;
	return cost + (distance > kFar || distance < -kFar ? kTakenFar : kTakenForward);
}

/* The same of an indirect branch's where a hint says it goes. */
uint32_t Discovery::unseen_turn(const Block &block, const Insn &branch, uint32_t cost) const
{
	/* A frame from before the gap is returned to, sooner or later. */
	if (branch.kind == Kind::kReturn)
		return block.context ? cost : 0;
	if (branch.kind == Kind::kIndirectCall)
		return learned_.from(branch.address).empty() ? cost + kUnseenCall : 0;
	return cost;
}

void Discovery::want_successors(const Block &given, const Path &path)
{
	const Block block = given;	/* want() may split the block itself */

	switch (block.end) {
	case End::kFallThrough:
	case End::kJump:
		want(block.next, path);
		break;
	case End::kBranch: {
		const Insn &branch = region_.of(block).back();
		want(block.next, path.costing(learned_.has(branch.address, block.next.address) ? 0 : path.cost));
		want(block.taken, path.costing(turn(branch, block.taken, path.cost)));
		break;
	}
	case End::kCall: {
		const Insn &call = region_.of(block).back();
		const bool seen = learned_.has(call.address, block.next.address);
		want(block.next, path.costing(seen ? 0 : path.cost + kUnseenCall));
		break;
	}
	case End::kTargets: {
		const Insn &branch = region_.of(block).back();
		const uint32_t unseen = unseen_turn(block, branch, path.cost);
		for (const Successor &target : region_.targets_of(block))
			want(target, path.costing(learned_.has(branch.address, target.address) ? 0 : unseen));
		break;
	}
	case End::kUnread:
	case End::kBudget:
	case End::kUnseen:
	case End::kSyscall:
	case End::kRefused:
	case End::kVector:
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
	region_.contexts.push_back(Context());
	want({request_.start, 0}, {0, 0, kNoBlock});
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
	}
	for (Successor &target : region_.targets)
		resolve(target);
	region_.sources = code_.sources(arena_);
	return region_;
}

} // namespace

Result<Region> discover(const Request &request, uint32_t instructions, const sfi::Contract &contract, Arena &arena)
{
	return Discovery(request, instructions, contract, arena).run();
}

} // namespace ub::translator
