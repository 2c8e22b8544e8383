/* SPDX-License-Identifier: GPL-2.0 */
/* Cases of the translator's calls, returns and indirect branches: what is learned, and what a budget leaves out. */
#include "translate_case.h"

namespace {

using ub::Observation;
using ub::sfi::ExitReason;
using ub::testing::exit_of;
using ub::testing::exits_of;
using ub::testing::kGuest;
using ub::testing::Translator;

UB_CASE(translate, returns_are_learned)
{
	Translator translate(test);
	const Observation learned[] = {{kGuest, kGuest + 1}};

	/* ret; syscall */
	const auto first = translate("\xc3\x0f\x05");
	CHECK(first);
	CHECK_EQ(exit_of(*first, ExitReason::kTarget)->ip, kGuest);
	CHECK(!exit_of(*first, ExitReason::kSyscall));

	const auto second = translate("\xc3\x0f\x05", learned);
	CHECK(second);
	CHECK(exit_of(*second, ExitReason::kTarget));
	CHECK_EQ(exit_of(*second, ExitReason::kSyscall)->ip, kGuest + 3);
}

UB_CASE(translate, calls_return_to_where_they_came_from)
{
	Translator translate(test);
	/* call 1f; syscall; 1: ret. The call is followed, and so is its return. */
	const auto t = translate("\xe8\x02\x00\x00\x00\x0f\x05\xc3");

	CHECK(t);
	CHECK_EQ(exit_of(*t, ExitReason::kSyscall)->ip, kGuest + 7);
	CHECK(!exit_of(*t, ExitReason::kCold));
}

UB_CASE(translate, calls_not_seen_are_cold_without_an_eager_budget)
{
	Translator translate(test);
	const Observation learned[] = {{kGuest, kGuest + 7}};

	translate.budget.eager_instructions = 0;
	const auto unseen = translate("\xe8\x02\x00\x00\x00\x0f\x05\xc3");
	CHECK(unseen);
	const ub::sfi::Exit *cold = exit_of(*unseen, ExitReason::kCold);
	CHECK(cold);
	CHECK_EQ(cold->ip, kGuest);
	CHECK_EQ(cold->from, kGuest);
	CHECK_EQ(cold->to, kGuest + 7);

	const auto seen = translate("\xe8\x02\x00\x00\x00\x0f\x05\xc3", learned);
	CHECK(seen);
	CHECK(!exit_of(*seen, ExitReason::kCold));
}

/* One function, called from two places: what it does for one caller is not expected for the other. */
UB_CASE(translate, what_is_learned_holds_within_the_same_calls)
{
	Translator translate(test);
	const uint32_t first = ub::calls_within(ub::kNoCalls, kGuest + 5);
	const uint32_t second = ub::calls_within(ub::kNoCalls, kGuest + 10);
	const Observation learned[] = {{kGuest, kGuest + 12}, {kGuest + 5, kGuest + 12},
				       {kGuest + 12, kGuest + 18, first}};

	/* call 1f; call 1f; syscall; 1: call 2f; ret; 2: ret */
	translate.budget.eager_instructions = 0;
	const auto t = translate("\xe8\x07\x00\x00\x00\xe8\x02\x00\x00\x00\x0f\x05"
				 "\xe8\x01\x00\x00\x00\xc3\xc3", learned);
	CHECK(t);
	CHECK_EQ(exits_of(*t, ExitReason::kCold), 1);
	const ub::sfi::Exit *cold = exit_of(*t, ExitReason::kCold);
	CHECK_EQ(cold->from, kGuest + 12);
	CHECK_EQ(cold->to, kGuest + 18);
	CHECK_EQ(cold->calls, second);
}

/* Two ways lead on to the same block, and for neither is there a budget: both can be learned. */
UB_CASE(translate, a_block_that_the_eager_budget_leaves_out_is_cold)
{
	Translator translate(test);
	uint32_t cold = 0;

	/* call 1f; syscall; 1: jz 2f; nop; 2: nop; ret */
	translate.budget.eager_instructions = 2;
	const auto t = translate("\xe8\x02\x00\x00\x00\x0f\x05\x74\x01\x90\x90\xc3");
	CHECK(t);
	CHECK(!exit_of(*t, ExitReason::kBudget));
	for (const ub::sfi::Exit &exit : t->verified.image().exits) {
		if (exit.reason != ExitReason::kCold)
			continue;
		cold++;
		CHECK(exit.from == kGuest + 7 || exit.from == kGuest + 9);
		CHECK_EQ(exit.to, kGuest + 10);
	}
	CHECK_EQ(cold, 2u);

	const Observation learned[] = {{kGuest + 9, kGuest + 10}};
	const auto seen = translate("\xe8\x02\x00\x00\x00\x0f\x05\x74\x01\x90\x90\xc3", learned);
	CHECK(seen);
	CHECK(!exit_of(*seen, ExitReason::kCold));
	CHECK_EQ(exit_of(*seen, ExitReason::kSyscall)->ip, kGuest + 7);
}

UB_CASE(translate, many_targets_are_compared_in_groups)
{
	Translator translate(test);
	Observation learned[8];

	for (int i = 0; i < 8; i++)
		learned[i] = {kGuest, kGuest + (2 + 2 * i)};
	/* jmp rax; then eight times syscall */
	const auto t = translate("\xff\xe0\x0f\x05\x0f\x05\x0f\x05\x0f\x05\x0f\x05\x0f\x05\x0f\x05\x0f\x05", learned);
	CHECK(t);
	CHECK_EQ(exits_of(*t, ExitReason::kSyscall), 8);
	CHECK_EQ(exits_of(*t, ExitReason::kTarget), 1);

	translate.budget.targets = 3;
	const auto few = translate("\xff\xe0\x0f\x05\x0f\x05\x0f\x05\x0f\x05\x0f\x05\x0f\x05\x0f\x05\x0f\x05", learned);
	CHECK(few);
	CHECK_EQ(exits_of(*few, ExitReason::kSyscall), 3);
}

UB_CASE(translate, recursion_ends_in_learned_returns)
{
	Translator translate(test);
	const Observation learned[] = {{kGuest, kGuest}};

	/* call itself, for ever */
	translate.budget.call_depth = 3;
	const auto t = translate("\xe8\xfb\xff\xff\xff\x0f\x05", learned);
	CHECK(t);
	CHECK_EQ(t->guest_instructions, 4);
	CHECK_EQ(exits_of(*t, ExitReason::kPoll), 1);
}

UB_CASE(translate, budgets_end_in_exits)
{
	Translator translate(test);

	translate.budget.instructions = 3;
	const auto t = translate("\x31\xc0\x31\xc0\x31\xc0\x31\xc0\x31\xc0\x0f\x05");
	CHECK(t);
	CHECK_EQ(t->guest_instructions, 3);
	const ub::sfi::Exit *budget = exit_of(*t, ExitReason::kBudget);
	CHECK_EQ(budget->ip, kGuest + 6);
	/* It can be learned: next time the budget goes there first. */
	CHECK_EQ(budget->from, kGuest + 4);
	CHECK_EQ(budget->to, kGuest + 6);
}

} // namespace
