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

/* What all these begin with: a call, and what it returns to. They are entered behind it. */
#define CALLER "\xe8\x02\x00\x00\x00\x0f\x05"
constexpr int64_t kCaller = 7;
constexpr uint64_t kBehindCall = kGuest.value + 5;

UB_CASE(hints, a_return_goes_where_the_stack_says)
{
	Translator translate(test);
	const uint64_t stack[] = {kBehindCall};

	translate.skipped = kCaller;
	translate.stack = stack;
	const auto t = translate(CALLER "\xc3");	/* ret */
	CHECK(t);
	CHECK_EQ(exit_of(*t, ExitReason::kSyscall)->ip, kGuest + 7);
	CHECK_EQ(exit_of(*t, ExitReason::kTarget)->ip, kGuest + 7);

	translate.stack = {};
	const auto none = translate(CALLER "\xc3");
	CHECK(none);
	CHECK(!exit_of(*none, ExitReason::kSyscall));
}

UB_CASE(hints, the_stack_is_followed)
{
	Translator translate(test);
	const uint64_t stack[] = {1, 2, kBehindCall, 4};

	translate.skipped = kCaller;
	translate.stack = stack;
	/* pop rbx; add rsp, 8; ret */
	CHECK(exit_of(*translate(CALLER "\x5b\x48\x83\xc4\x08\xc3"), ExitReason::kSyscall));
	/* push rbx; sub rsp, 16; lea rsp, [rsp + 40]; ret */
	CHECK(exit_of(*translate(CALLER "\x53\x48\x83\xec\x10\x48\x8d\x64\x24\x28\xc3"), ExitReason::kSyscall));
	/* jz 1f; add rsp, 16; ret; 1: pop rbx; pop rbx; call 2f; ret; 2: push rbx; pop rbx; ret */
	const auto called = translate(CALLER "\x74\x05\x48\x83\xc4\x10\xc3\x5b\x5b\xe8\x01\x00\x00\x00\xc3\x53\x5b\xc3");
	CHECK(called);
	CHECK(exit_of(*called, ExitReason::kSyscall));
	CHECK_EQ(exits_of(*called, ExitReason::kTarget), 3);
	/* pop rbx; ret: one too few */
	CHECK(!exit_of(*translate(CALLER "\x5b\xc3"), ExitReason::kSyscall));
	/* add rsp, 32; ret: more than is known; push rbx; ret: less */
	CHECK(!exit_of(*translate(CALLER "\x48\x83\xc4\x20\xc3"), ExitReason::kSyscall));
	CHECK(!exit_of(*translate(CALLER "\x53\xc3"), ExitReason::kSyscall));
	/* add rsp, 17; ret: between the words */
	CHECK(!exit_of(*translate(CALLER "\x48\x83\xc4\x11\xc3"), ExitReason::kSyscall));
}

/* `call`, a syscall, and a ret to the syscall. */
template <uint32_t n>
bool returns_behind(Translator &translate, const char (&call)[n])
{
	constexpr uint32_t kCall = n - 1;
	char code[kCall + 3];
	const uint64_t stack[] = {kGuest.value + kCall};

	__builtin_memcpy(code, call, kCall);
	__builtin_memcpy(code + kCall, "\x0f\x05\xc3", 3);
	translate.skipped = kCall + 2;
	translate.stack = stack;
	const auto t = translate({code, sizeof(code)});
	return t && exit_of(*t, ExitReason::kSyscall);
}

UB_CASE(hints, what_is_not_behind_a_call_is_not_returned_to)
{
	Translator translate(test);

	/* call rel32, rax, r12, [rax], [rip + 1], [rax + 1], [rsp + 1], [rax + 1000h], [r12 + 1000h], [rbx*8 + 1000h] */
	CHECK(returns_behind(translate, "\xe8\x00\x00\x00\x00"));
	CHECK(returns_behind(translate, "\xff\xd0"));
	CHECK(returns_behind(translate, "\x41\xff\xd4"));
	CHECK(returns_behind(translate, "\xff\x10"));
	CHECK(returns_behind(translate, "\xff\x15\x01\x00\x00\x00"));
	CHECK(returns_behind(translate, "\xff\x50\x01"));
	CHECK(returns_behind(translate, "\xff\x54\x24\x01"));
	CHECK(returns_behind(translate, "\xff\x90\x00\x10\x00\x00"));
	CHECK(returns_behind(translate, "\x41\xff\x94\x24\x00\x10\x00\x00"));
	CHECK(returns_behind(translate, "\xff\x14\xdd\x00\x10\x00\x00"));
	/* nop; jmp rel32; jmp rax; push [rip + 1]; half a call */
	CHECK(!returns_behind(translate, "\x90\x90\x90\x90\x90\x90\x90\x90"));
	CHECK(!returns_behind(translate, "\xe9\x00\x00\x00\x00"));
	CHECK(!returns_behind(translate, "\xff\xe0"));
	CHECK(!returns_behind(translate, "\xff\x35\x01\x00\x00\x00"));
	CHECK(!returns_behind(translate, "\xe8\x00\x00\x00"));

	/* The kernel's, nobody's. */
	uint64_t stack[] = {0xffffffff81000000};
	translate.skipped = kCaller;
	translate.stack = stack;
	CHECK(!exit_of(*translate(CALLER "\xc3"), ExitReason::kSyscall));
	stack[0] = 0x7e0000001005;
	CHECK(!exit_of(*translate(CALLER "\xc3"), ExitReason::kSyscall));
}

UB_CASE(hints, a_stack_moved_by_no_constant_gives_none)
{
	Translator translate(test);
	const uint64_t stack[] = {kBehindCall, kBehindCall, kBehindCall, kBehindCall};

	translate.skipped = kCaller;
	translate.stack = stack;
	/* mov rsp, rbp; ret · pop rsp; ret · leave; ret · and rsp, -16; ret · add rsp, rax; ret */
	CHECK(!exit_of(*translate(CALLER "\x48\x89\xec\xc3"), ExitReason::kSyscall));
	CHECK(!exit_of(*translate(CALLER "\x5c\xc3"), ExitReason::kSyscall));
	CHECK(!exit_of(*translate(CALLER "\xc9\xc3"), ExitReason::kSyscall));
	CHECK(!exit_of(*translate(CALLER "\x48\x83\xe4\xf0\xc3"), ExitReason::kSyscall));
	CHECK(!exit_of(*translate(CALLER "\x48\x01\xc4\xc3"), ExitReason::kSyscall));
	/* 1: pop rbx; dec ecx; jnz 1b; ret: as far as the first round has it */
	CHECK(exit_of(*translate(CALLER "\x5b\xff\xc9\x75\xfb\xc3"), ExitReason::kSyscall));
}

UB_CASE(hints, outer_frames_are_returned_to_one_after_the_other)
{
	Translator translate(test);
	const uint64_t stack[] = {kBehindCall, 7, kGuest.value + 14};

	/* call …; pop rbx; ret 8; nop; call …; syscall; ret, which is where it begins */
	translate.skipped = 16;
	translate.stack = stack;
	const auto t = translate("\xe8\x00\x00\x00\x00\x5b\xc2\x08\x00\xe8\x00\x00\x00\x00\x0f\x05\xc3");
	CHECK(t);
	CHECK_EQ(exits_of(*t, ExitReason::kTarget), 2);
	CHECK_EQ(exit_of(*t, ExitReason::kSyscall)->ip, kGuest + 16);
}

UB_CASE(hints, a_seen_return_comes_first)
{
	Translator translate(test);
	const uint64_t stack[] = {kBehindCall};
	/* ret; elsewhere: cpuid */
	const Observation seen[] = {{kGuest + 7, kGuest + 8}};

	translate.skipped = kCaller;
	translate.stack = stack;
	translate.budget.targets = 1;
	const auto one = translate(CALLER "\xc3\x0f\xa2", seen);
	CHECK(one);
	CHECK(exit_of(*one, ExitReason::kInstruction));
	CHECK(!exit_of(*one, ExitReason::kSyscall));
	translate.budget.targets = 2;
	const auto two = translate(CALLER "\xc3\x0f\xa2", seen);
	CHECK(two);
	CHECK(exit_of(*two, ExitReason::kInstruction));
	CHECK(exit_of(*two, ExitReason::kSyscall));
}

UB_CASE(hints, a_register_that_was_loaded_is_a_pointer)
{
	Translator translate(test);

	/* mov rax, [rip + 8]; inc ecx; jmp rax; nop; 1: syscall; nop; and a pointer to 1 */
	const auto plain = translate("\x48\x8b\x05\x08\x00\x00\x00\xff\xc1\xff\xe0\x90\x0f\x05\x90"
				     "\x0c\x10\x00\x00\x00\x7f\x00\x00");
	CHECK(plain);
	CHECK_EQ(exit_of(*plain, ExitReason::kSyscall)->ip, kGuest + 14);
	/* the same, xor eax, ecx in place of inc; mov eax, [rip + 9]: not that any more */
	const auto changed = translate("\x48\x8b\x05\x08\x00\x00\x00\x31\xc8\xff\xe0\x90\x0f\x05\x90"
				       "\x0c\x10\x00\x00\x00\x7f\x00\x00");
	CHECK(changed);
	CHECK(!exit_of(*changed, ExitReason::kSyscall));
	const auto half = translate("\x8b\x05\x09\x00\x00\x00\xff\xc1\xff\xe0\x90\x0f\x05\x90\x90"
				    "\x0b\x10\x00\x00\x00\x7f\x00\x00");
	CHECK(half);
	CHECK(!exit_of(*half, ExitReason::kSyscall));

	/* mov r12, [rip + 11]; jz 1f; inc ecx; 1: call r12; syscall; 2: ret; nop; and a pointer to 2 */
	const auto before = translate("\x4c\x8b\x25\x0b\x00\x00\x00\x74\x02\xff\xc1\x41\xff\xd4\x0f\x05\xc3\x90"
				      "\x10\x10\x00\x00\x00\x7f\x00\x00");
	CHECK(before);
	CHECK_EQ(exit_of(*before, ExitReason::kSyscall)->ip, kGuest + 16);
}

} // namespace
