// SPDX-License-Identifier: GPL-2.0
/*
 * What gaps teach, and what is made of it: branches that were missed, parts in which chains go on where a
 * translation was left, and sites that are native again as they do not pay.
 */
#include "chains.h"

#include "space.h"
#include "translator/translate.h"

namespace host {
namespace {

/* Where it is not a question of time how much is learned. */
class Learning : public Chains {
protected:
	Learning() : settings_(ub_settings)
	{
		ub_settings.put_back = 0;
		ub_settings.chain_max_us = ub_settings.short_gap_us = 1000000;
	}
	~Learning() override { ub_settings = settings_; }

private:
	const struct ub_settings settings_;
};

/* Calls, returns and a function pointer: learned one after the other. */
TEST_F(Learning, calls_are_learned)
{
	const auto function = code_.label(), other = code_.label(), start = code_.label();

	code_.jmp(start);
	code_.bind(function);
	inc_r12(code_);
	code_.call(other);
	code_.ret();
	code_.bind(other);
	code_.raw({0x49, 0x83, 0xc4, 0x02});	/* add r12, 2 */
	code_.ret();
	code_.bind(start);
	loop(SYS_getppid, kCalls, [&] {
		code_.call(function);
		code_.lea(RAX, other);
		code_.call_reg(RAX);
	});
	process_->state.regs.r12 = 0;
	const Ended ended = finish();

	EXPECT_EQ(ended.state.regs.r12, 5u * kCalls);
	EXPECT_GE(share_chained(), 0.9);
}

/* Functions that are known when they have run, in one another: a gap has all of them learned together. */
TEST_F(Learning, a_gap_is_learned_at_one_go)
{
	constexpr int kFunctions = 30;
	const auto inner = code_.label(), outer = code_.label(), start = code_.label();

	code_.jmp(start);
	code_.bind(inner);
	inc_r12(code_);
	code_.ret();
	code_.bind(outer);
	for (int i = 0; i < kFunctions; i++) {
		code_.lea(RAX, inner);
		code_.call_reg(RAX);
	}
	code_.ret();
	code_.bind(start);
	loop(SYS_getppid, kCalls, [&] {
		code_.lea(RAX, outer);
		code_.call_reg(RAX);
	});
	process_->state.regs.r12 = 0;
	const Ended ended = finish();

	EXPECT_EQ(ended.state.regs.r12, uint64_t(kFunctions) * kCalls);
	EXPECT_GE(share_chained(), 0.9);
	std::vector<ub_site> sites(UB_SITES_MAX);
	ASSERT_EQ(ub_space_sites(process_->mm.space, sites.data()), 1u);
	EXPECT_GE(sites[0].explored, unsigned(kFunctions));
	EXPECT_LE(sites[0].rounds, 3u);
	EXPECT_EQ(process_->stat().translations, 1u);
	EXPECT_LE(process_->count(UB_COUNT_exits), 3u);
}

/* More than any translation has room for, which counts in r12. */
void much_code(Code &code)
{
	inc_r12(code);
	for (uint32_t i = 0; i < ub::translator::kWideInstructions + 2000; i++)
		code.raw({0x90});			/* nop */
}

/* What a translation has no room for is in parts, and chains go on in them. */
TEST_F(Learning, a_gap_longer_than_a_translation_chains)
{
	constexpr int kFew = kCalls / 4;

	loop(SYS_getppid, kFew, [&] {
		much_code(code_);
	});
	process_->state.regs.r12 = 0;
	const Ended ended = finish();

	EXPECT_EQ(ended.state.regs.r12, uint64_t(kFew));
	EXPECT_GE(share_chained(), 0.8);
	EXPECT_GE(process_->stat().explored, 10u);
	EXPECT_LE(process_->count(UB_COUNT_exits), kFew / 50);
}

/* A part that wants vector registers begins where a run without them was. */
TEST_F(Learning, parts_use_vector_registers)
{
	constexpr int kFew = kCalls / 4;

	loop(SYS_getppid, kFew, [&] {
		much_code(code_);
		code_.raw({0x66, 0x0f, 0xd4, 0xc1});		/* paddq xmm0, xmm1 */
	});
	const uint64_t one[2] = {1, 2}, zero[2] = {0, 0};
	memcpy(process_->state.vectors + 160, zero, 16);
	memcpy(process_->state.vectors + 160 + 16, one, 16);
	process_->state.regs.r12 = 0;
	const Ended ended = finish();

	uint64_t sum[2];
	memcpy(sum, ended.state.vectors + 160, 16);
	EXPECT_EQ(sum[0], kFew);
	EXPECT_EQ(sum[1], 2 * kFew);
	EXPECT_EQ(ended.state.regs.r12, uint64_t(kFew));
	EXPECT_GE(share_chained(), 0.8);
}

/* Where work is pending, a chain does not go on from part to part. */
TEST_F(Learning, work_ends_a_chain_of_parts)
{
	const auto head = code_.label();
	unsigned long raised = 0;

	loop(SYS_getppid, 2000, [&] {
		code_.raw({0xb9});				/* mov ecx, imm32 */
		code_.imm32(3);
		code_.bind(head);
		much_code(code_);
		code_.raw({0xff, 0xc9});			/* dec ecx */
		code_.jcc(5, head);
	});
	process_->state.regs.r12 = 0;
	on_syscall = [&](ub_regs *) {
		if (process_->stat().explored > 20 && raised < 200) {
			work_flags = kPollMask;
			raised++;
		}
	};
	const Ended ended = finish();

	EXPECT_EQ(ended.state.regs.r12, 3ul * 2000);
	EXPECT_EQ(raised, 200u);
}

/* The gap takes another way from its middle on, when there is no room left but what parts take. */
TEST_F(Learning, old_parts_give_way)
{
	constexpr uint32_t kFew = kCalls / 2;
	const auto other = code_.label(), on = code_.label();
	bool filled = false;

	loop(SYS_getppid, kFew, [&] {
		code_.raw({0x81, 0xfb});			/* cmp ebx, imm32 */
		code_.imm32(kFew / 2);
		code_.jcc(2, other);				/* jb */
		much_code(code_);
		code_.jmp(on);
		code_.bind(other);
		much_code(code_);
		code_.bind(on);
	});
	process_->state.regs.r12 = 0;
	on_syscall = [&](ub_regs *regs) {
		ub_space &space = *process_->mm.space;
		if (filled || regs->bx > kFew / 2)
			return;
		space.stat.code_bytes += ub::kMaxCodeBytes / 4 * 3 - space.stat.code_bytes;
		filled = true;
	};
	const Ended ended = finish();
	on_syscall = nullptr;

	EXPECT_EQ(ended.state.regs.r12, kFew);
	EXPECT_TRUE(filled);
	EXPECT_GE(share_chained(), 0.75);
}

/* A part of a gap is a translation more: with as many as a space may have there is none. */
TEST_F(Learning, explorations_stay_within_a_spaces_room)
{
	const auto function = code_.label(), start = code_.label();

	code_.jmp(start);
	code_.bind(function);
	inc_r12(code_);
	code_.ret();
	code_.bind(start);
	loop(SYS_getppid, kCalls, [&] {
		code_.lea(RAX, function);
		code_.call_reg(RAX);
	});
	process_->state.regs.r12 = 0;
	/* As if all but what the site's own translation needs were taken. */
	on_syscall = [&](ub_regs *) {
		ub_space &space = *process_->mm.space;
		if (space.stat.translations == 1 && space.stat.code_bytes < ub::kMaxCodeBytes)
			space.stat.code_bytes += ub::kMaxCodeBytes;
	};
	const Ended ended = process_->run();
	on_syscall = nullptr;
	EXPECT_EQ(ended.state.regs.r12, kCalls);
	EXPECT_EQ(process_->stat().explored, 0u);
}

/* What leaves an image each time: an instruction that is never translated. */
void count_and_leave(Code &code)
{
	inc_r12(code);
	code.raw({0x31, 0xc0, 0x31, 0xc9});	/* xor eax, eax; xor ecx, ecx */
	code.raw({0x53, 0x0f, 0xa2, 0x5b});	/* push rbx; cpuid; pop rbx */
}

/* What makes its gaps slow may be what it has not learned yet: it is translated with that before it is judged. */
TEST_F(Chains, a_site_that_learns_is_not_put_back)
{
	const auto function = code_.label(), other = code_.label(), start = code_.label();

	code_.jmp(start);
	code_.bind(function);
	inc_r12(code_);
	code_.bind(other);
	code_.ret();
	code_.bind(start);
	loop(SYS_getppid, 4 * kCalls, [&] {
		code_.lea(RAX, function);
		code_.call_reg(RAX);
		code_.lea(RAX, other);
		code_.call_reg(RAX);
	});
	process_->state.regs.r12 = 0;
	on_syscall = [&](ub_regs *) {
		slow_runs = process_->stat().translated == 1;
		if (slow_runs)	/* and as if it had to wait long */
			process_->mm.space->sites.for_each([](ub::profiler::Site &site) { site.retry_at_ns = ~uint64_t(0); });
	};
	const Ended ended = finish();
	on_syscall = nullptr;
	slow_runs = false;

	EXPECT_EQ(ended.state.regs.r12, 4 * kCalls);
	EXPECT_EQ(process_->stat().rolled_back, 0u);
	EXPECT_GE(share_chained(), 0.8);
}

/* A gap that is left each time for an instruction that is never translated, which takes longer than
 * to run it natively from the beginning, is put back. */
TEST_F(Chains, a_futile_site_is_put_back)
{
	slow_exits = true;
	loop(SYS_getppid, kCalls, [&] {
		count_and_leave(code_);
	});
	process_->state.regs.r12 = 0;
	const Ended ended = finish();

	EXPECT_EQ(ended.state.regs.r12, kCalls);
	slow_exits = false;
	EXPECT_LE(process_->count(UB_COUNT_exits), kCalls / 4);
	EXPECT_GE(process_->stat().rolled_back, 1u);
}

/* So is one that the chain before it always gets to. */
TEST_F(Chains, a_futile_site_among_others_is_put_back)
{
	slow_exits = true;
	loop(SYS_getppid, kCalls, [&] {
		set_eax(code_, SYS_getuid);
		code_.syscall();
		count_and_leave(code_);
	});
	process_->state.regs.r12 = 0;
	const Ended ended = finish();

	EXPECT_EQ(ended.state.regs.r12, kCalls);
	slow_exits = false;
	EXPECT_LE(process_->count(UB_COUNT_exits), kCalls / 4);
	EXPECT_EQ(process_->stat().rolled_back, 1u);
	EXPECT_EQ(process_->stat().translations, 1u);
}

/* A gap that takes longer translated than natively is put back. */
TEST_F(Chains, a_site_that_does_not_pay_is_put_back)
{
	slow_runs = true;
	loop(SYS_getppid, 4 * kCalls, [&] { inc_r12(code_); });
	process_->state.regs.r12 = 0;
	const Ended ended = finish();
	slow_runs = false;

	EXPECT_EQ(ended.state.regs.r12, 4 * kCalls);
	EXPECT_GE(process_->stat().rolled_back, 1u);
	EXPECT_GE(process_->count(UB_COUNT_chained), 300u);
	EXPECT_LE(share_chained(), 0.5);
}

/* Trials of sites that come in turn end for all of them. */
TEST_F(Chains, sites_in_turn_are_all_decided)
{
	loop(SYS_getppid, 4 * kCalls, [&] {
		set_eax(code_, SYS_getuid);
		code_.syscall();
	});
	finish();
	EXPECT_EQ(process_->stat().rolled_back, 0u);
	EXPECT_GE(share_chained(), 0.97);
}

TEST_F(Chains, long_gaps_stay_native)
{
	loop(SYS_getppid, 300, [&] {
		const auto head = code_.label();
		code_.raw({0xb9});			/* mov ecx, imm32 */
		code_.imm32(1000000);
		code_.bind(head);
		code_.raw({0xff, 0xc9});		/* dec ecx */
		code_.jcc(5, head);
	});
	finish();
	EXPECT_EQ(process_->count(UB_COUNT_entries), 0u);
}

} // namespace
} // namespace host
