// SPDX-License-Identifier: GPL-2.0
/*
 * The hall from end to end: sites become hot, are translated, chain, end as
 * they must, and leave nothing behind. Syscalls are real ones.
 */
#include "chains.h"

#include <algorithm>

#include <fcntl.h>
#include <sys/mman.h>

#include "runtime/run.h"
#include "space.h"

namespace host {
namespace {

TEST_F(Chains, getppid_loop_chains)
{
	loop(SYS_getppid, kCalls, [&] { code_.raw({0x49, 0x01, 0xc4}); });	/* add r12, rax */
	process_->state.regs.r12 = 0;
	const Ended ended = finish();

	EXPECT_EQ(ended.state.regs.r12, uint64_t(getppid()) * kCalls);
	EXPECT_EQ(ended.state.regs.bx, 0u);
	EXPECT_GE(share_chained(), 0.9);
	EXPECT_GE(process_->stat().translated, 1u);
}

/* What the syscall instruction leaves in rcx and r11 must be there, chained or not. */
TEST_F(Chains, rcx_and_r11_are_the_syscalls)
{
	loop(SYS_getppid, kCalls, [&] {
		code_.raw({0x49, 0x01, 0xcc});		/* add r12, rcx */
		code_.raw({0x4d, 0x09, 0xdd});		/* or r13, r11 */
		code_.raw({0x4d, 0x01, 0xd6});		/* add r14, r10 */
		code_.raw({0x4d, 0x01, 0xcf});		/* add r15, r9 */
	});
	process_->state.regs.r12 = process_->state.regs.r13 = 0;
	process_->state.regs.r14 = process_->state.regs.r15 = 0;
	process_->state.regs.r10 = 3, process_->state.regs.r9 = 5;
	const Ended ended = finish();

	EXPECT_EQ(ended.state.regs.r12, (guest_.code() + code_.syscalls()[0] + 2) * kCalls);
	EXPECT_EQ(ended.state.regs.r13 & ~kUserFlags, 0x202u);
	EXPECT_EQ(ended.state.regs.r14, 3u * kCalls);
	EXPECT_EQ(ended.state.regs.r15, 5u * kCalls);
	EXPECT_GE(share_chained(), 0.9);
}

TEST_F(Chains, pread_and_sum)
{
	const int file = memfd_create("data", 0);
	std::vector<uint8_t> bytes(256);
	uint64_t sum = 0;
	for (size_t i = 0; i < bytes.size(); i++)
		sum += bytes[i] = uint8_t(i * 7);
	ASSERT_EQ(write(file, bytes.data(), bytes.size()), ssize_t(bytes.size()));

	loop(SYS_pread64, kCalls, [&] {
		const auto head = code_.label();
		code_.raw({0x31, 0xc9});			/* xor ecx, ecx */
		code_.bind(head);
		code_.raw({0x44, 0x0f, 0xb6, 0x04, 0x0e});	/* movzx r8d, byte [rsi + rcx] */
		code_.raw({0x4d, 0x01, 0xc4});			/* add r12, r8 */
		code_.raw({0xff, 0xc1});			/* inc ecx */
		code_.raw({0x39, 0xd1});			/* cmp ecx, edx */
		code_.jcc(2, head);				/* jb */
	});
	auto &regs = process_->state.regs;
	regs.di = uint64_t(file), regs.si = guest_.data(), regs.dx = 256, regs.r10 = 0, regs.r12 = 0;
	const Ended ended = finish();

	EXPECT_EQ(ended.state.regs.r12, sum * kCalls);
	EXPECT_GE(share_chained(), 0.9);
	close(file);
}

TEST_F(Chains, vector_registers_survive)
{
	loop(SYS_getppid, kCalls, [&] {
		code_.raw({0x66, 0x0f, 0xd4, 0xc1});	/* paddq xmm0, xmm1 */
		code_.raw({0x66, 0x0f, 0xd4, 0xfa});	/* paddq xmm7, xmm2 */
	});
	const uint64_t one[2] = {1, 2}, zero[2] = {0, 0};
	memcpy(process_->state.vectors + 160, zero, 16);
	memcpy(process_->state.vectors + 160 + 16, one, 16);
	memcpy(process_->state.vectors + 160 + 32, one, 16);
	memcpy(process_->state.vectors + 160 + 7 * 16, zero, 16);
	const Ended ended = finish();

	uint64_t sum[2];
	memcpy(sum, ended.state.vectors + 160, 16);
	EXPECT_EQ(sum[0], kCalls);
	EXPECT_EQ(sum[1], 2 * kCalls);
	memcpy(sum, ended.state.vectors + 160 + 7 * 16, 16);
	EXPECT_EQ(sum[0], kCalls);
	/* So many say that it pays, and it is translated with them at once. */
	EXPECT_LE(process_->count(ub_thread_counter(UB_COUNT_exit_syscall + unsigned(ub::sfi::ExitReason::kVector))), 20u);
}

TEST_F(Chains, strings_chain)
{
	loop(SYS_getppid, kCalls, [&] { code_.raw({0xac}); });	/* lodsb */
	process_->state.regs.si = guest_.data();
	const Ended ended = finish();

	EXPECT_EQ(ended.state.regs.si, guest_.data() + kCalls);
	EXPECT_GE(share_chained(), 0.9);
}

/* Images count on strings going upwards. */
TEST_F(Chains, downward_strings_stay_native)
{
	loop(SYS_getppid, kCalls, [&] { code_.raw({0xac}); });	/* lodsb */
	process_->state.regs.si = guest_.data() + kCalls;
	process_->state.regs.flags |= 0x400;
	const Ended ended = finish();

	EXPECT_EQ(ended.state.regs.si, guest_.data());
	EXPECT_EQ(process_->count(UB_COUNT_chained), 0u);
}

/* Work for the thread, raised while its chain runs: it is in user mode before the next call. */
TEST_F(Chains, work_ends_a_chain)
{
	unsigned long calls = 0, raised = 0;

	loop(SYS_getppid, kCalls, [&] {});
	on_syscall = [&](ub_regs *) {
		EXPECT_EQ(work_flags, 0u) << "a syscall was chained past pending work";
		if (++calls % 100 == 0) {
			work_flags = 0x4;
			raised++;
		}
	};
	finish();
	EXPECT_GE(process_->natively_made, raised);
	EXPECT_GE(share_chained(), 0.8);
}

/* A loop in a gap sees the work flags too. */
TEST_F(Chains, a_loop_polls)
{
	static uint64_t kTurns = 1000;

	loop(SYS_getppid, 4000, [&] {
		const auto head = code_.label();
		code_.raw({0xb9});				/* mov ecx, imm32 */
		code_.imm32(kTurns);
		code_.bind(head);
		inc_r12(code_);
		code_.raw({0xff, 0xc9});			/* dec ecx */
		code_.jcc(5, head);
	});
	process_->state.regs.r12 = 0;
	unsigned long calls = 0;
	on_syscall = [&](ub_regs *) { work_flags = ++calls % 50 == 0 ? 0x8 : 0; };
	const Ended ended = finish();
	EXPECT_EQ(ended.state.regs.r12, kTurns * 4000);
	EXPECT_GE(share_chained(), 0.5);
}

TEST_F(Chains, a_syscall_that_is_not_chained_is_made_natively)
{
	unsigned long made = 0;

	loop(SYS_getppid, kCalls, [&] {
		set_eax(code_, SYS_personality);	/* not in the table's list of what chains */
		code_.mov(RDI, 0xffffffff);
		code_.syscall();
	});
	on_syscall = [&](ub_regs *regs) { made += regs->ax == SYS_personality; };
	finish();
	EXPECT_EQ(made, kCalls);
	EXPECT_GE(process_->natively_made, kCalls);
}

/* Memory that a translation was made from is unmapped while its chain runs. */
TEST_F(Chains, invalidation_ends_a_chain)
{
	unsigned long calls = 0, dropped = 0;

	loop(SYS_getppid, kCalls, [&] { inc_r12(code_); });
	process_->state.regs.r12 = 0;
	on_syscall = [&](ub_regs *) {
		if (++calls % 2000 == 0)
			dropped += ub_space_invalidate(process_->mm.space, guest_.code(), guest_.code() + 4096);
	};
	const Ended ended = finish();

	EXPECT_EQ(ended.state.regs.r12, kCalls);
	EXPECT_GE(dropped, 2u);
	EXPECT_EQ(process_->stat().retired, dropped);
	EXPECT_EQ(process_->stat().translations, process_->stat().translated - process_->stat().retired);
}

TEST_F(Chains, a_range_beside_the_code_invalidates_nothing)
{
	loop(SYS_getppid, kCalls, [&] {});
	on_syscall = [&](ub_regs *) {
		EXPECT_EQ(ub_space_invalidate(process_->mm.space, guest_.data(), guest_.data() + 4096), 0u);
	};
	finish();
	EXPECT_GE(share_chained(), 0.9);
}

/* Memory is wanted: what is in use stays, what is not goes at the second call, and may come back. */
TEST_F(Chains, what_is_not_used_is_given_back)
{
	unsigned long calls = 0;

	loop(SYS_getppid, kCalls, [&] {});
	on_syscall = [&](ub_regs *) {
		if (++calls % 5000 == 0) {
			EXPECT_EQ(ub_space_trim(process_->mm.space), 0u);
		}
	};
	finish();
	on_syscall = nullptr;
	EXPECT_GE(share_chained(), 0.9);
	EXPECT_EQ(process_->stat().retired, process_->stat().translated - 1);

	const unsigned int first = ub_space_trim(process_->mm.space);
	EXPECT_GE(first + ub_space_trim(process_->mm.space), 1u);
	EXPECT_EQ(process_->stat().translations, 0u);
	EXPECT_EQ(process_->stat().code_bytes, 0u);
	EXPECT_EQ(ub_space_trim(process_->mm.space), 0u);

	const unsigned long before = process_->count(UB_COUNT_chained);
	process_->state.regs.ip = guest_.code();
	finish();
	EXPECT_GE(process_->count(UB_COUNT_chained) - before, kCalls / 2);
}

/* Without room in the arena the program runs natively, and others are asked for theirs. */
TEST_F(Chains, a_full_arena_is_room_wanted)
{
	std::vector<unsigned long> taken;
	const unsigned long before = trim_requests;

	while (const unsigned long at = ubk_code_reserve(64 << 10))
		taken.push_back(at);
	loop(SYS_getppid, kCalls, [&] { inc_r12(code_); });
	process_->state.regs.r12 = 0;
	EXPECT_EQ(finish().state.regs.r12, kCalls);
	EXPECT_EQ(process_->count(UB_COUNT_chained), 0u);
	EXPECT_GT(trim_requests, before);
	for (const unsigned long at : taken)
		ubk_code_release(at, 64 << 10);
}

/* The pointer goes bad in the middle of a chain: the same signal, the same registers. */
TEST_F(Chains, a_fault_is_the_programs)
{
	loop(SYS_getppid, kCalls, [&] {
		inc_r12(code_);
		code_.raw({0x4c, 0x89, 0x65, 0x00});		/* mov [rbp], r12 */
		code_.raw({0x81, 0xfb});			/* cmp ebx, imm32 */
		code_.imm32(kCalls / 2);
		code_.raw({0x49, 0x0f, 0x44, 0xef});		/* cmove rbp, r15 */
	});
	process_->state.regs.r12 = 0;
	process_->state.regs.bp = guest_.data();
	process_->state.regs.r15 = guest_.unmapped() + 0x1230;
	const Ended ended = process_->run();

	EXPECT_EQ(int(ended.stop), int(Stop::kException));
	EXPECT_EQ(ended.signal, SIGSEGV);
	EXPECT_EQ(ended.address, guest_.unmapped() + 0x1230);
	EXPECT_EQ(ended.state.regs.r12, kCalls / 2 + 2);
	EXPECT_EQ(ended.state.regs.bp, process_->state.regs.r15);
	EXPECT_GE(process_->count(UB_COUNT_exit_fault), 1u);
	EXPECT_GE(process_->count(UB_COUNT_chained), kCalls / 4);
}

/* docs/transient.md: behind the checks and the last push of a slot, before the jump. */
TEST_F(Chains, a_fence_stands_before_each_image)
{
	/* push qword [rdi + 64]; lfence */
	static constexpr uint8_t kFence[] = {0xff, 0x77, 0x40, 0x0f, 0xae, 0xe8};
	const auto *begin = reinterpret_cast<const uint8_t *>(&ub_enter);
	const auto *end = reinterpret_cast<const uint8_t *>(&ub_leave);

	const auto *fence = std::search(begin, end, std::begin(kFence), std::end(kFence));
	ASSERT_NE(fence, end);
	/* Every image is entered by the one jump behind it. */
	static constexpr uint8_t kJump[] = {0x41, 0xff, 0xe1};
	const auto *jump = std::search(fence, end, std::begin(kJump), std::end(kJump));
	ASSERT_NE(jump, end);
	EXPECT_TRUE(std::all_of(jump + sizeof(kJump), end, [](uint8_t padding) { return padding == 0xcc; }));
}

} // namespace
} // namespace host
