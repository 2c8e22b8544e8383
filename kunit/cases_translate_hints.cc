/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Cases of hints: what makes one, what does not, and that observations come before them.
 * That programs with hints compute the same is shown in tests/host.
 */
#include "translate_case.h"

namespace {

using ub::Observation;
using ub::UserAddr;
using ub::sfi::ExitReason;
using ub::testing::exit_of;
using ub::testing::exits_of;
using ub::testing::holds;
using ub::testing::kGuest;
using ub::testing::Translator;

UB_CASE(hints, a_pointer_at_a_known_place_is_followed)
{
	Translator translate(test);

	/* jmp [rip + 2]; syscall; and where that points */
	const auto jump = translate("\xff\x25\x02\x00\x00\x00\x0f\x05\x06\x10\x00\x00\x00\x7f\x00\x00");
	CHECK(jump);
	CHECK_EQ(exit_of(*jump, ExitReason::kSyscall)->ip, kGuest + 8);
	CHECK_EQ(exit_of(*jump, ExitReason::kTarget)->ip, kGuest);

	/* the same, a bnd jmp */
	const auto bound = translate("\xf2\xff\x25\x02\x00\x00\x00\x0f\x05\x07\x10\x00\x00\x00\x7f\x00\x00");
	CHECK(bound);
	CHECK_EQ(exit_of(*bound, ExitReason::kSyscall)->ip, kGuest + 9);

	/* call [rip + 3]; syscall; 1: ret; and a pointer to 1 */
	const auto call = translate("\xff\x15\x03\x00\x00\x00\x0f\x05\xc3\x08\x10\x00\x00\x00\x7f\x00\x00");
	CHECK(call);
	CHECK_EQ(exit_of(*call, ExitReason::kSyscall)->ip, kGuest + 8);
}

UB_CASE(hints, other_pointers_are_not)
{
	Translator translate(test);

	/* jmp [rip + 2]; syscall; and there: the kernel's, nobody's, nothing */
	const auto kernel = translate("\xff\x25\x02\x00\x00\x00\x0f\x05\x06\x10\x00\x00\x00\x7f\xff\xff");
	CHECK(kernel);
	CHECK(!exit_of(*kernel, ExitReason::kSyscall));
	const auto wild = translate("\xff\x25\x02\x00\x00\x00\x0f\x05\x06\x10\x00\x00\x00\x7e\x00\x00");
	CHECK(wild);
	CHECK(!exit_of(*wild, ExitReason::kSyscall));
	const auto null = translate("\xff\x25\x02\x00\x00\x00\x0f\x05\x00\x00\x00\x00\x00\x00\x00\x00");
	CHECK(null);
	CHECK(!exit_of(*null, ExitReason::kSyscall));
	/* half a pointer */
	const auto half = translate("\xff\x25\x02\x00\x00\x00\x0f\x05\x06\x10\x00\x00");
	CHECK(half);
	CHECK(!exit_of(*half, ExitReason::kSyscall));
	/* jmp [rax + 2]: who knows where; jmp fs:[…] likewise */
	const auto unknown = translate("\xff\xa0\x02\x00\x00\x00\x0f\x05\x06\x10\x00\x00\x00\x7f\x00\x00");
	CHECK(unknown);
	CHECK(!exit_of(*unknown, ExitReason::kSyscall));
	const auto thread = translate("\x64\xff\x25\x02\x00\x00\x00\x0f\x05\x07\x10\x00\x00\x00\x7f\x00\x00");
	CHECK(!thread || !exit_of(*thread, ExitReason::kSyscall));
}

UB_CASE(hints, lookups_of_functions_are_not_followed)
{
	Translator translate(test);

	/* jmp [rip + 7]; push 1; syscall; and a pointer to the push */
	const auto lazy = translate("\xff\x25\x07\x00\x00\x00\x68\x01\x00\x00\x00\x0f\x05\x06\x10\x00\x00\x00\x7f\x00\x00");
	CHECK(lazy);
	CHECK(!exit_of(*lazy, ExitReason::kSyscall));

	/* the same, with an endbr64 */
	const auto marked = translate("\xff\x25\x0b\x00\x00\x00\xf3\x0f\x1e\xfa\x68\x01\x00\x00\x00\x0f\x05"
				      "\x06\x10\x00\x00\x00\x7f\x00\x00");
	CHECK(marked);
	CHECK(!exit_of(*marked, ExitReason::kSyscall));
}

UB_CASE(hints, what_was_seen_comes_first)
{
	Translator translate(test);
	/* jmp [rip + 4]; 1: syscall; 2: syscall; and a pointer to 2 */
	constexpr ub::testing::Bytes kCode("\xff\x25\x04\x00\x00\x00\x0f\x05\x0f\x05\x08\x10\x00\x00\x00\x7f\x00\x00");
	const Observation stale[] = {{kGuest, kGuest + 6}}, right[] = {{kGuest, kGuest + 8}};

	const auto both = translate(kCode, stale);
	CHECK(both);
	CHECK_EQ(exits_of(*both, ExitReason::kSyscall), 2);
	/* mov rcx, -1; lea rcx, [rcx + r9]; jrcxz …; lea rcx, [rcx + (1 - 2)] */
	CHECK(holds(*both, "\x48\xb9\xfa\xef\xff\xff\xff\x80\xff\xff\x4a\x8d\x0c\x09\xe3"));
	CHECK(holds(*both, "\x48\x8d\x49\xfe\xe3"));

	const auto once = translate(kCode, right);
	CHECK(once);
	CHECK_EQ(exits_of(*once, ExitReason::kSyscall), 1);

	translate.budget.targets = 1;
	const auto one = translate(kCode, stale);
	CHECK(one);
	CHECK_EQ(exits_of(*one, ExitReason::kSyscall), 1);
	CHECK_EQ(exit_of(*one, ExitReason::kSyscall)->ip, kGuest + 8);
}

UB_CASE(hints, calls_by_hint_are_eager)
{
	Translator translate(test);
	/* call [rip + 3]; syscall; 1: ret; and a pointer to 1 */
	constexpr ub::testing::Bytes kCode("\xff\x15\x03\x00\x00\x00\x0f\x05\xc3\x08\x10\x00\x00\x00\x7f\x00\x00");
	const Observation seen[] = {{kGuest, kGuest + 8}};

	translate.budget.eager_instructions = 0;
	const auto unseen = translate(kCode);
	CHECK(unseen);
	CHECK(!exit_of(*unseen, ExitReason::kSyscall));
	CHECK_EQ(exit_of(*unseen, ExitReason::kTarget)->ip, kGuest);
	CHECK_EQ(exit_of(*translate(kCode, seen), ExitReason::kSyscall)->ip, kGuest + 8);
}

} // namespace
