/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Part of discover: where blocks lead, and what going there costs. A path costs something for each
 * turn that is a guess; where a branch was seen to go, within the same calls, the path is counted
 * from there anew. The side of a branch that is not expected to be taken is left out, the less was learned
 * the later: being missed, it is learned. Calls are followed; indirect branches and returns to frames
 * from before the gap go to learned targets, and to what a hint says.
 */
#include "translator/discovery.h"

namespace ub::translator {

namespace {

/* What makes a path dearer: see kUnlikely. */
constexpr uint32_t kLikelyTurn = 8;
constexpr uint32_t kUnseenCall = 8;
constexpr uint32_t kUnseenTarget = 40;
constexpr int64_t kFar = 4096;		/* loops are shorter */

} // namespace

void Discovery::finish_call(Block &block, const Insn &call)
{
	const uint32_t child = child_context(block.context, call.next());

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
		/* It need not go where its call was made: longjmp(), coroutines. */
		for (const Observation &o : learned_.from(branch.address))
			if (o.calls == c.calls)
				add_target(block.first_target, {o.to, 0});
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

/* Once, as long as there is room. */
void Discovery::add_target(uint32_t first, const Successor &target)
{
	for (uint32_t i = first; i < region_.targets.size(); i++)
		if (region_.targets[i].address == target.address)
			return;
	if (target.address.in_user_half() && region_.targets.size() - first < request_.budget.targets)
		region_.targets.push_back(target);
}

/* Those seen within the same calls first, then the others; then what a hint says. */
void Discovery::add_targets(uint32_t context, const Insn &branch, UserAddr hint)
{
	const std::span<const Observation> all = learned_.from(branch.address);
	const uint32_t first = uint32_t(region_.targets.size()), here = calls(context);
	uint32_t into = context;

	if (branch.kind == Kind::kIndirectCall) {
		if (all.empty() && !hint.value)
			return;
		into = child_context(context, branch.next());
		if (into == AddressMap::kMissing)
			return;
	}
	for (const Observation &o : all)
		if (o.within(here))
			add_target(first, {o.to, into});
	for (const Observation &o : all)
		add_target(first, {o.to, into});
	if (hint.value)
		add_target(first, {hint, into});
}

/* Whether a block's last instruction was seen to lead there, within the block's calls. */
bool Discovery::went(const Block &block, UserAddr to) const
{
	return learned_.has(region_.of(block).back().address, to, calls(block.context));
}

/* Whether it was seen to lead anywhere. */
bool Discovery::went_anywhere(const Block &block) const
{
	return learned_.seen(region_.of(block).back().address, calls(block.context));
}

/*
 * The cost of the path to one side of a conditional branch. Where it was seen to go within the same calls, execution
 * goes: paths are counted from there anew. Else it goes where it does within other calls, and else into loops
 * and past what is jumped over.
 */
uint32_t Discovery::turn(const Block &block, const Successor &to, uint32_t cost) const
{
	const UserAddr branch = region_.of(block).back().address;
	const int64_t distance = block.taken.address - branch;
	const bool loops = distance <= 0 && distance > -kFar;

	if (went(block, to.address))
		return 0;
	if (went_anywhere(block))
		return cost + kUnlikely;
	if (!learned_.from(branch).empty())
		return cost + (learned_.has(branch, to.address) ? kLikelyTurn : kUnlikely);
	return cost + (loops == (to.address == block.taken.address) ? kLikelyTurn : kUnlikely);
}

/* The same of an indirect branch's where it was not seen to go. */
uint32_t Discovery::unseen_target(const Block &block, const Successor &to, uint32_t cost) const
{
	const Insn &branch = region_.of(block).back();

	/* A frame from before the gap is returned to, sooner or later. */
	if (branch.kind == Kind::kReturn)
		return block.context ? cost : 0;
	if (went_anywhere(block) && learned_.has(branch.address, to.address))
		return cost + kUnlikely;
	return cost + (branch.kind == Kind::kIndirectCall ? kUnseenTarget : 0);
}

void Discovery::want_successors(const Block &given, const Path &path)
{
	const Block block = given;	/* want() may split the block itself */

	switch (block.end) {
	case End::kFallThrough:
	case End::kJump:
		want(block.next, path.costing(went(block, block.next.address) ? 0 : path.cost));
		break;
	case End::kBranch:
		want(block.next, path.costing(turn(block, block.next, path.cost)));
		want(block.taken, path.costing(turn(block, block.taken, path.cost)));
		break;
	case End::kCall:
		want(block.next, path.costing(went(block, block.next.address) ? 0 : path.cost + kUnseenCall));
		break;
	case End::kTargets: {
		for (const Successor &target : region_.targets_of(block))
			want(target, path.costing(went(block, target.address) ? 0 : unseen_target(block, target, path.cost)));
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

} // namespace ub::translator
