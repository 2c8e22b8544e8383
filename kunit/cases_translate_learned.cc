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

/* One function, called from two places: what it does for one caller is not expected for the other. */
UB_CASE(translate, what_is_learned_holds_within_the_same_calls)
{
	Translator translate(test);
	const uint32_t first = ub::calls_within(ub::kNoCalls, kGuest + 5);
	const uint32_t second = ub::calls_within(ub::kNoCalls, kGuest + 10);
	const Observation learned[] = {{kGuest + 12, kGuest + 16, first}, {kGuest + 12, kGuest + 14, second}};

	/* call 1f; call 1f; syscall; 1: jz 2f; nop; ret; 2: ret */
	translate.budget.unlikely = 0;
	const auto t = translate("\xe8\x07\x00\x00\x00\xe8\x02\x00\x00\x00\x0f\x05\x74\x02\x90\xc3\xc3", learned);
	CHECK(t);
	CHECK_EQ(exits_of(*t, ExitReason::kCold), 2);
	for (const ub::sfi::Exit &exit : t->verified.image().exits) {
		if (exit.reason != ExitReason::kCold)
			continue;
		CHECK_EQ(exit.from, kGuest + 12);
		CHECK_EQ(exit.calls, exit.to == kGuest + 16 ? second : first);
		CHECK_EQ(exit.to, exit.calls == second ? kGuest + 16 : kGuest + 14);
	}
}

/* jz 1f; nop; syscall; 1: nop; syscall */
constexpr ub::testing::Bytes kSides("\x74\x03\x90\x0f\x05\x90\x0f\x05");

/* Of a branch that was not seen, the side that is jumped to: the more was learned the less of such is translated. */
UB_CASE(translate, what_is_not_expected_is_cold)
{
	Translator translate(test);
	Observation elsewhere[10];

	for (int i = 0; i < 10; i++)
		elsewhere[i] = {kGuest + 100, kGuest + (200 + i)};
	const auto both = translate(kSides);
	CHECK(both);
	CHECK(!exit_of(*both, ExitReason::kCold));
	CHECK_EQ(exits_of(*both, ExitReason::kSyscall), 2);

	translate.budget.unlikely = 10;
	const auto one = translate(kSides, elsewhere);
	CHECK(one);
	CHECK_EQ(exits_of(*one, ExitReason::kSyscall), 1);
	const ub::sfi::Exit *cold = exit_of(*one, ExitReason::kCold);
	CHECK(cold);
	CHECK_EQ(cold->from, kGuest);
	CHECK_EQ(cold->to, kGuest + 5);

	/* jmp 2f; 1: syscall; 2: nop; jz 1b; nop; syscall: loops go on */
	const auto loop = translate("\xeb\x02\x0f\x05\x90\x74\xfb\x90\x0f\x05", elsewhere);
	CHECK(loop);
	CHECK_EQ(exit_of(*loop, ExitReason::kCold)->to, kGuest + 7);
}

UB_CASE(translate, what_was_seen_is_expected)
{
	Translator translate(test);
	const Observation jumped[] = {{kGuest, kGuest + 5}};
	const Observation both[] = {{kGuest, kGuest + 5}, {kGuest, kGuest + 2}};

	translate.budget.unlikely = 0;
	const auto one = translate(kSides, jumped);
	CHECK(one);
	CHECK_EQ(exit_of(*one, ExitReason::kCold)->to, kGuest + 2);
	CHECK(!exit_of(*translate(kSides, both), ExitReason::kCold));
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
