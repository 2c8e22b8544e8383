/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Cases of translate() as a whole: what becomes an exit and why, and the shape of guards and loops.
 * What images compute is compared with the CPU in tests/host.
 */
#include "translate_case.h"

namespace {

using ub::Fault;
using ub::Observation;
using ub::UserAddr;
using ub::sfi::ExitReason;
using ub::testing::exit_of;
using ub::testing::exits_of;
using ub::testing::count_of;
using ub::testing::holds;
using ub::testing::kGuest;
using ub::testing::Translator;

UB_CASE(translate, ends_behind_the_syscall)
{
	Translator translate(test);
	/* mov eax, 39; syscall */
	const auto t = translate("\xb8\x27\x00\x00\x00\x0f\x05");

	CHECK(t);
	CHECK_EQ(t->guest_instructions, 2);
	CHECK_EQ(t->verified.image().exits.size(), 1);
	CHECK_EQ(exit_of(*t, ExitReason::kSyscall)->ip, kGuest + 7);
	CHECK(!t->verified.uses_fpu());
}

UB_CASE(translate, gains_nothing_from_a_first_exit)
{
	Translator translate(test);

	CHECK_EQ(translate("\x0f\xa2").fault(), Fault::kNothingGained);	/* cpuid */
	CHECK_EQ(translate("\x9c").fault(), Fault::kNothingGained);	/* pushfq */
	CHECK_EQ(translate("\xf4").fault(), Fault::kNothingGained);	/* hlt */
}

UB_CASE(translate, needs_readable_code)
{
	Translator translate(test);

	translate.guest = UserAddr(0x7f0000001000);
	CHECK_EQ(translate("\x06").fault(), Fault::kGuestMemory);	/* no instruction */
	translate.guest = UserAddr(0x800000000000);
	CHECK_EQ(translate("\x90\x0f\x05").fault(), Fault::kGuestMemory);
}

UB_CASE(translate, leaves_before_what_it_cannot_translate)
{
	Translator translate(test);
	/* xor eax, eax; cpuid */
	const auto t = translate("\x31\xc0\x0f\xa2");

	CHECK(t);
	CHECK_EQ(exit_of(*t, ExitReason::kInstruction)->ip, kGuest + 2);
}

UB_CASE(translate, names_its_sources)
{
	Translator translate(test);

	/* nop; syscall across a page's end */
	constexpr uint32_t kPage = 4096;
	char *code = static_cast<char *>(test->scratch) + ub::translator::kArenaBytes;
	code[kPage - 2] = '\x90';
	code[kPage - 1] = '\x0f';
	code[kPage] = '\x05';
	translate.skipped = kPage - 2;
	const auto t = translate({code, kPage + 1});
	CHECK(t);
	CHECK_EQ(t->sources.size(), 1);
	CHECK_EQ(t->sources[0].start, UserAddr(0x7f0000001000));
	CHECK_EQ(t->sources[0].end, UserAddr(0x7f0000003000));
}

UB_CASE(translate, an_instruction_a_byte)
{
	Translator translate(test);
	char *code = static_cast<char *>(test->scratch) + ub::translator::kArenaBytes;

	/* cmc, many times; syscall */
	__builtin_memset(code, 0xf5, 1000);
	code[1000] = '\x0f';
	code[1001] = '\x05';
	const auto t = translate({code, 1002});
	CHECK(t);
	CHECK_EQ(t->guest_instructions, 1001);
}

UB_CASE(translate, masks_without_flags_where_they_live)
{
	Translator translate(test);

	/* mov rax, [rdi]; add rax, 1; syscall: flags dead before the load */
	const auto dead = translate("\x48\x8b\x07\x48\x83\xc0\x01\x0f\x05");
	CHECK(dead);
	/* mov r9, rdi; and r9, r10; mov rax, [r9] */
	CHECK(holds(*dead, "\x49\x89\xf9\x4d\x21\xd1\x49\x8b\x01"));

	/* mov rax, [rdi]; syscall: what comes after may look at flags */
	const auto live = translate("\x48\x8b\x07\x0f\x05");
	CHECK(live);
	/* pdep r9, rdi, r10; mov rax, [r9] */
	CHECK(holds(*live, "\xc4\x42\xc3\xf5\xca\x49\x8b\x01"));
}

UB_CASE(translate, reuses_a_mask)
{
	Translator translate(test);
	/* mov rax, [rdi]; mov rcx, [rdi + 8]; test eax, eax; syscall */
	const auto t = translate("\x48\x8b\x07\x48\x8b\x4f\x08\x85\xc0\x0f\x05");

	CHECK(t);
	CHECK(holds(*t, "\x49\x89\xf9\x4d\x21\xd1\x49\x8b\x01\x49\x8b\x49\x08"));

	/* mov rdi, [rdi]; mov rcx, [rdi]; test eax, eax; syscall: the base has changed */
	const auto chased = translate("\x48\x8b\x3f\x48\x8b\x0f\x85\xc0\x0f\x05");
	CHECK(chased);
	CHECK(holds(*chased, "\x49\x89\xf9\x4d\x21\xd1\x49\x8b\x39\x49\x89\xf9\x4d\x21\xd1\x49\x8b\x09"));

	/* mov eax, [rsp + rcx]; push rbx; mov edx, [rsp + rcx]; test eax, eax; syscall: and so it has here */
	const auto pushed = translate("\x8b\x04\x0c\x53\x8b\x14\x0c\x85\xc0\x0f\x05");
	CHECK(pushed);
	CHECK(holds(*pushed, "\x4d\x8d\x0c\x0b\x4d\x21\xd1\x41\x8b\x01\x49\x89\x5b\xf8\x4d\x8d\x5b\xf8"
			     "\x4d\x8d\x0c\x0b\x4d\x21\xd1\x41\x8b\x11"));
}

/* mov r9, rdi; and r9, r10 */
constexpr ub::testing::Bytes kMaskRdi("\x49\x89\xf9\x4d\x21\xd1");

UB_CASE(translate, a_mask_serves_a_moved_base)
{
	Translator translate(test);

	/* mov rax, [rdi]; add rdi, 8; mov rcx, [rdi]; test eax, eax; syscall */
	const auto base = translate("\x48\x8b\x07\x48\x83\xc7\x08\x48\x8b\x0f\x85\xc0\x0f\x05");
	CHECK(base);
	/* … mov rax, [r9]; add rdi, 8; mov rcx, [r9 + 8] */
	CHECK(holds(*base, "\x49\x89\xf9\x4d\x21\xd1\x49\x8b\x01\x48\x83\xc7\x08\x49\x8b\x49\x08"));

	/* mov eax, [rdi + rdx * 4]; dec rdx; mov ecx, [rdi + rdx * 4]; test eax, eax; syscall */
	const auto index = translate("\x8b\x04\x97\x48\xff\xca\x8b\x0c\x97\x85\xc0\x0f\x05");
	CHECK(index);
	/* mov eax, [r9]; dec rdx; mov ecx, [r9 - 4] */
	CHECK(holds(*index, "\x41\x8b\x01\x48\xff\xca\x41\x8b\x49\xfc"));

	/* Between the two: add rdi, rsi · add edi, 8 · mov rdi, 8 · lea rdi, [rdi + rsi] ·
	 * add qword [rdi], 8; adc rdi, 8 */
	CHECK_EQ(count_of(*translate("\x48\x8b\x07\x48\x01\xf7\x48\x8b\x0f\x85\xc0\x0f\x05"), kMaskRdi), 2);
	CHECK_EQ(count_of(*translate("\x48\x8b\x07\x83\xc7\x08\x48\x8b\x0f\x85\xc0\x0f\x05"), kMaskRdi), 2);
	CHECK_EQ(count_of(*translate("\x48\x8b\x07\x48\xc7\xc7\x08\x00\x00\x00\x48\x8b\x0f\x85\xc0\x0f\x05"), kMaskRdi), 2);
	CHECK_EQ(count_of(*translate("\x48\x8b\x07\x48\x8d\x3c\x37\x48\x8b\x0f\x85\xc0\x0f\x05"), kMaskRdi), 2);
	CHECK_EQ(count_of(*translate("\x48\x8b\x07\x48\x83\x07\x08\x48\x83\xd7\x08\x48\x8b\x0f\x85\xc0\x0f\x05"), kMaskRdi), 2);

	/* … lea rdi, [rdi + 0x7ffffff0], and twice sub rdi, 0x100000: too far */
	CHECK_EQ(count_of(*translate("\x48\x8b\x07\x48\x8d\xbf\xf0\xff\xff\x7f\x48\x8b\x0f\x85\xc0\x0f\x05"), kMaskRdi), 2);
	CHECK_EQ(count_of(*translate("\x48\x8b\x07\x48\x81\xef\x00\x00\x10\x00\x48\x81\xef\x00\x00\x10\x00\x48\x8b\x0f\x85\xc0\x0f\x05"), kMaskRdi), 2);
}

UB_CASE(translate, a_mask_serves_where_all_paths_have_it)
{
	Translator translate(test);

	/* mov rax, [rdi]; test al, al; jz 1f; inc rbx; 1: mov rcx, [rdi]; test eax, eax; syscall */
	CHECK_EQ(count_of(*translate("\x48\x8b\x07\x84\xc0\x74\x03\x48\xff\xc3\x48\x8b\x0f\x85\xc0\x0f\x05"), kMaskRdi), 1);
	/* the same with inc rdi */
	CHECK_EQ(count_of(*translate("\x48\x8b\x07\x84\xc0\x74\x03\x48\xff\xc7\x48\x8b\x0f\x85\xc0\x0f\x05"), kMaskRdi), 2);
	/* test al, al; jz 1f; mov rax, [rdi]; 1: mov rcx, [rdi]; test eax, eax; syscall */
	CHECK_EQ(count_of(*translate("\x84\xc0\x74\x03\x48\x8b\x07\x48\x8b\x0f\x85\xc0\x0f\x05"), kMaskRdi), 2);
	/* 1: mov rax, [rdi]; inc rdi; test al, al; jnz 1b; syscall: once for all rounds */
	CHECK_EQ(count_of(*translate("\x48\x8b\x07\x48\xff\xc7\x84\xc0\x75\xf6\x0f\x05"), kMaskRdi), 1);
}

UB_CASE(translate, stack_accesses_have_no_mask)
{
	Translator translate(test);
	/* push rbx; push rbp; mov rax, [rsp + 8]; syscall */
	const auto t = translate("\x53\x55\x48\x8b\x44\x24\x08\x0f\x05");

	CHECK(t);
	/* mov [r11 - 8], rbx; mov [r11 - 16], rbp; lea r11, [r11 - 16]; mov rax, [r11 + 8] */
	CHECK(holds(*t, "\x49\x89\x5b\xf8\x49\x89\x6b\xf0\x4d\x8d\x5b\xf0\x49\x8b\x43\x08"));
	CHECK_EQ(t->verified.image().faults.size(), 3);
	/* The pushes are one for faults: they leave before the first. */
	CHECK_EQ(exits_of(*t, ExitReason::kFault), 2);
}

UB_CASE(translate, loops_poll)
{
	Translator translate(test);
	/* 1: dec rdi; jnz 1b; syscall */
	const auto t = translate("\x48\xff\xcf\x75\xfb\x0f\x05");

	CHECK(t);
	CHECK_EQ(exits_of(*t, ExitReason::kPoll), 1);
	CHECK_EQ(exit_of(*t, ExitReason::kPoll)->ip, kGuest);

	/* jz 1f; nop; 1: syscall: nothing leads back */
	const auto straight = translate("\x74\x01\x90\x0f\x05");
	CHECK(straight);
	CHECK_EQ(exits_of(*straight, ExitReason::kPoll), 0);
}

/* mov r9, [rsp + WORK]: each poll begins so */
constexpr ub::testing::Bytes kPoll("\x4c\x8b\x4c\x24\x40");

UB_CASE(translate, small_loops_are_unrolled)
{
	Translator translate(test);

	/* 1: inc rbx; dec rdi; jnz 1b; syscall */
	const auto t = translate("\x48\xff\xc3\x48\xff\xcf\x75\xf8\x0f\x05");
	CHECK(t);
	CHECK_EQ(count_of(*t, "\x48\xff\xc3\x48\xff\xcf"), 32);
	CHECK_EQ(count_of(*t, kPoll), 1);
	CHECK_EQ(t->guest_instructions, 4);
	CHECK_EQ(t->verified.image().exits.size(), 2);

	/* 1: dec rdi; jz 2f; inc rbx; jmp 1b; 2: syscall */
	const auto tested_first = translate("\x48\xff\xcf\x74\x05\x48\xff\xc3\xeb\xf6\x0f\x05");
	CHECK(tested_first);
	CHECK_EQ(count_of(*tested_first, "\x48\xff\xc3"), 32);
	CHECK_EQ(count_of(*tested_first, kPoll), 1);

	/* 1: inc rbx; test bl, 1; jz 2f; inc rdx; 2: dec rdi; jnz 1b; syscall */
	const auto two_ways = translate("\x48\xff\xc3\xf6\xc3\x01\x74\x03\x48\xff\xc2\x48\xff\xcf\x75\xf0\x0f\x05");
	CHECK(two_ways);
	CHECK_EQ(count_of(*two_ways, "\x48\xff\xc3\xf6\xc3\x01"), 21);
	CHECK_EQ(count_of(*two_ways, kPoll), 1);
}

UB_CASE(translate, only_the_inner_loop_is_unrolled)
{
	Translator translate(test);
	/* 1: mov ecx, 4; 2: dec rcx; jnz 2b; dec rdi; jnz 1b; syscall */
	const auto t = translate("\xb9\x04\x00\x00\x00\x48\xff\xc9\x75\xfb\x48\xff\xcf\x75\xf1\x0f\x05");

	CHECK(t);
	CHECK_EQ(count_of(*t, "\xb9\x04\x00\x00\x00"), 1);
	CHECK_EQ(count_of(*t, "\x48\xff\xc9"), 32);
	CHECK_EQ(count_of(*t, "\x48\xff\xcf"), 1);
	CHECK_EQ(count_of(*t, kPoll), 2);
}

UB_CASE(translate, other_loops_are_not_unrolled)
{
	constexpr uint32_t kLong = 24;
	Translator translate(test);
	char code[3 * kLong + 7];

	/* 1: inc rbx, 24 times; dec rdi; jnz 1b; syscall: 26 instructions */
	for (uint32_t i = 0; i < kLong; i++)
		__builtin_memcpy(code + 3 * i, "\x48\xff\xc3", 3);
	__builtin_memcpy(code + 3 * kLong, "\x48\xff\xcf\x75\xb3\x0f\x05", 7);
	const auto longer = translate({code, sizeof(code)});
	CHECK(longer);
	CHECK_EQ(count_of(*longer, "\x48\xff\xc3"), kLong);

	/* the same with 22 of them */
	__builtin_memcpy(code + 3 * 22, "\x48\xff\xcf\x75\xb9\x0f\x05", 7);
	const auto just_so = translate({code, sizeof(code)});
	CHECK(just_so);
	CHECK_EQ(count_of(*just_so, "\x48\xff\xc3"), 5 * 22);

	/* 1: inc rbx; call 2f; dec rdi; jnz 1b; syscall; 2: ret */
	const Observation learned[] = {{kGuest + 3, kGuest + 15}};
	const auto calls = translate("\x48\xff\xc3\xe8\x07\x00\x00\x00\x48\xff\xcf\x75\xf3\x0f\x05\xc3", learned);
	CHECK(calls);
	CHECK_EQ(count_of(*calls, "\x48\xff\xc3"), 1);
}

UB_CASE(translate, too_little_room_is_too_big)
{
	Translator translate(test);

	translate.code_bytes = 16;
	CHECK_EQ(translate("\x48\x8b\x07\x48\x8b\x47\x08\x0f\x05").fault(), Fault::kTooBig);
	translate.code_bytes = 256;
	CHECK(translate("\x48\x8b\x07\x48\x8b\x47\x08\x0f\x05"));
}

UB_CASE(translate, respects_the_machine)
{
	Translator translate(test);

	translate.contract.locked_accesses = false;
	CHECK_EQ(translate("\xf0\x48\xff\x07\x0f\x05").fault(), Fault::kNothingGained);	/* lock inc [rdi] */
	CHECK_EQ(translate("\x48\x87\x07\x0f\x05").fault(), Fault::kNothingGained);	/* xchg [rdi], rax */
	translate.contract.avx512 = false;
	CHECK_EQ(translate("\x62\xf1\xfe\x48\x6f\x07\x0f\x05").fault(), Fault::kNothingGained);	/* vmovdqu64 zmm0, [rdi] */
	translate.contract.avx = false;
	CHECK_EQ(translate("\xc5\xfe\x6f\x07\x0f\x05").fault(), Fault::kNothingGained);	/* vmovdqu ymm0, [rdi] */
	const auto sse = translate("\xf3\x0f\x6f\x07\x0f\x05");	/* movdqu xmm0, [rdi] */
	CHECK(sse);
	CHECK(sse->verified.uses_fpu());
}

UB_CASE(translate, does_without_vector_registers_when_told_to)
{
	Translator translate(test);

	/* inc eax; movdqu xmm0, [rdi]; syscall */
	const auto with = translate("\xff\xc0\xf3\x0f\x6f\x07\x0f\x05");
	CHECK(with);
	CHECK(with->verified.uses_fpu());
	CHECK(!exit_of(*with, ExitReason::kVector));
	translate.vectors = false;
	const auto without = translate("\xff\xc0\xf3\x0f\x6f\x07\x0f\x05");
	CHECK(without);
	CHECK(!without->verified.uses_fpu());
	CHECK_EQ(exit_of(*without, ExitReason::kVector)->ip, kGuest + 2);
	/* Leaving at once tells how often it is wanted. */
	const auto at_once = translate("\xf3\x0f\x6f\x07\x0f\x05");
	CHECK(at_once);
	CHECK_EQ(exit_of(*at_once, ExitReason::kVector)->ip, kGuest);
}

UB_CASE(translate, high_bytes_stay_without_a_rex)
{
	Translator translate(test);

	/* mov ah, [rdi] cannot name r9, so ah comes to r10b: mov r10b, [r9]; mov ah, bl can stay */
	const auto loads = translate("\x8a\x27\x0f\x05");
	CHECK(loads);
	CHECK(holds(*loads, "\x45\x8a\x11"));
	const auto t = translate("\x88\xdc\x0f\x05");
	CHECK(t);
	CHECK(holds(*t, "\x88\xdc"));
}

struct Lines : ub::translator::DumpSink {
	void line(const char *) override { count++; }
	int count = 0;
};

/* A loop that moves rsp: an access through it tells the verifier that it is a user address, but not of each instruction. */
UB_CASE(translate, the_stack_is_masked_where_accesses_prove_nothing)
{
	Translator translate(test);

	/* 1: add rsp, 0x328; adc byte [rsp + 0x50], 1; jnz 1b; syscall */
	CHECK(translate("\x48\x81\xc4\x28\x03\x00\x00\x80\x54\x24\x50\x01\x75\xf2\x0f\x05"));
	/* 1: add rsp, -32; bsf rdx, [rsp + 8]; jnz 1b; syscall */
	CHECK(translate("\x48\x83\xc4\xe0\x48\x0f\xbc\x54\x24\x08\x75\xf4\x0f\x05"));
}

UB_CASE(translate, odd_forms_are_exits)
{
	Translator translate(test);

	/* movzx esp, ah: r9 in place of esp would take a REX */
	CHECK_EQ(translate("\x0f\xb6\xe4\x0f\x05").fault(), Fault::kNothingGained);
	CHECK_EQ(translate("\x0f\xbe\xe6\x0f\x05").fault(), Fault::kNothingGained);
	/* A prefix between REX and VEX; popcnt, of Knights Corner, with a VEX prefix */
	CHECK_EQ(translate("\x48\x36\xc5\xed\x54\xc1\x0f\x05").fault(), Fault::kNothingGained);
	CHECK_EQ(translate("\xc5\xfa\xb8\xc1\x0f\x05").fault(), Fault::kNothingGained);
	/* Parts of rsp, without a high byte: movzx esp, al; mov sp, ax; mov spl, al */
	CHECK(translate("\x0f\xb6\xe0\x0f\x05"));
	CHECK(translate("\x66\x89\xc4\x0f\x05"));
	CHECK(translate("\x40\x88\xc4\x0f\x05"));
}

UB_CASE(translate, dumps_a_line_an_instruction)
{
	Translator translate(test);
	Lines lines;

	CHECK(translate("\x31\xc0\x0f\x05", {}, &lines));
	/* the block, two instructions, one exit */
	CHECK_EQ(lines.count, 4);
}

} // namespace
