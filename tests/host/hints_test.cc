// SPDX-License-Identifier: GPL-2.0
/*
 * How soon programs are learned whose gaps leave by the stack and through pointers, and
 * that hints which are wrong change nothing but that.
 */
#include <gtest/gtest.h>

#include <sys/syscall.h>
#include <unistd.h>

#include "code.h"
#include "instance.h"
#include "process.h"

namespace host {
namespace {

constexpr unsigned int kCalls = 20000;

class Hinted : public testing::Test {
protected:
	Hinted() : guest_(kHighBase), code_(guest_.code()), process_(guest_) { guest_.fill(1); }

	/* mov eax, imm32 */
	void set_eax(uint32_t value)
	{
		code_.raw({0xb8});
		code_.imm32(value);
	}

	/* The program: ebx times what `body` emits; r12 is the sum of what the functions add. */
	template <typename Body>
	Ended run(Code::Label start, Body body)
	{
		const auto head = code_.label();

		code_.bind(start);
		code_.mov(RBX, kCalls);
		code_.bind(head);
		body();
		code_.raw({0xff, 0xcb});	/* dec ebx */
		code_.jcc(5, head);		/* jnz */
		set_eax(SYS_exit_group);
		code_.syscall();
		code_.finish();
		guest_.set_code(code_.bytes(), code_.syscalls());

		process_.state.regs.r12 = 0;
		const Ended ended = process_.run();
		EXPECT_EQ(int(ended.stop), int(Stop::kSyscall)) << "signal " << ended.signal;
		EXPECT_EQ(process_.stat().rejected, 0u);
		return ended;
	}

	/* inner(): r12 += 1, a getppid. middle(): calls inner in a frame of its own. */
	void nested(Code::Label middle)
	{
		const auto inner = code_.label();

		code_.bind(inner);
		code_.raw({0x49, 0xff, 0xc4});		/* inc r12 */
		set_eax(SYS_getppid);
		code_.syscall();
		code_.raw({0x85, 0xc0});		/* test eax, eax */
		code_.ret();
		code_.bind(middle);
		code_.push(RBP);
		code_.move_stack(-0x28);
		code_.call(inner);
		code_.move_stack(0x28);
		code_.pop(RBP);
		code_.ret();
	}

	/* r12 += by */
	void add_r12(uint8_t by)
	{
		code_.raw({0x49, 0x83, 0xc4, by});
	}

	/* A function through a pointer in the data, as the PLT has it. */
	void stub(Code::Label name, uint64_t slot)
	{
		code_.bind(name);
		code_.raw({0xff, 0x25});
		code_.imm32(slot - (code_.here() + 4));
	}

	void set_slot(uint64_t slot, uint64_t value) { memcpy(reinterpret_cast<void *>(slot), &value, sizeof(value)); }
	double share_chained() const
	{
		return double(process_.count(UB_COUNT_chained)) / double(process_.count(UB_COUNT_syscalls));
	}

	Guest guest_;
	Code code_;
	Process process_;
};

/* Two returns to frames of before the gap and a jump through a pointer: nothing to miss. */
TEST_F(Hinted, nested_frames_and_a_pointer_need_one_round)
{
	const auto middle = code_.label(), function = code_.label(), start = code_.label(), name = code_.label();
	const uint64_t slot = guest_.data() + 64;

	code_.jmp(start);
	nested(middle);
	code_.bind(function);
	add_r12(2);
	code_.ret();
	stub(name, slot);
	set_slot(slot, code_.address(function));
	const Ended ended = run(start, [&] {
		code_.call(middle);
		code_.call(name);
	});

	EXPECT_EQ(ended.state.regs.r12, 3u * kCalls);
	EXPECT_EQ(process_.stat().translated, 1u);
	/* The loop ends once. */
	EXPECT_LE(process_.count(UB_COUNT_exits), 1u);
	EXPECT_GE(share_chained(), 0.9);
}

/* What the pointer said when the translation was made is wrong from the first run on. */
TEST_F(Hinted, a_stale_pointer_is_learned)
{
	const auto middle = code_.label(), function = code_.label(), other = code_.label(), start = code_.label(),
		   name = code_.label();
	const uint64_t slot = guest_.data() + 64;

	code_.jmp(start);
	nested(middle);
	code_.bind(function);
	add_r12(2);
	code_.ret();
	code_.bind(other);
	add_r12(4);
	code_.ret();
	stub(name, slot);
	set_slot(slot, code_.address(function));
	uint64_t twos = 0, calls = 0;
	on_syscall = [&](ub_regs *) {
		calls++;
		if (traces.translated)
			set_slot(slot, code_.address(other));
		else
			twos++;
	};
	const Ended ended = run(start, [&] {
		code_.call(middle);
		code_.call(name);
	});

	EXPECT_EQ(calls, kCalls);
	EXPECT_EQ(ended.state.regs.r12, kCalls + 2 * twos + 4 * (kCalls - twos));
	EXPECT_LE(process_.stat().translated, 2u);
	EXPECT_GE(share_chained(), 0.9);
}

/* Called from two places in turn: the stack knows one of them. */
TEST_F(Hinted, a_stack_that_tells_half_of_it_is_learned)
{
	const auto middle = code_.label(), start = code_.label();

	code_.jmp(start);
	nested(middle);
	const Ended ended = run(start, [&] {
		code_.call(middle);
		add_r12(2);
		code_.call(middle);
		add_r12(4);
	});

	EXPECT_EQ(ended.state.regs.r12, 8u * kCalls);
	EXPECT_LE(process_.stat().translated, 2u);
	EXPECT_GE(share_chained(), 0.9);
}

/* What lies where the return address is belongs to another call. */
TEST_F(Hinted, a_stack_that_lies_is_learned)
{
	const auto inner = code_.label(), other = code_.label(), start = code_.label(), back = code_.label();

	code_.jmp(start);
	code_.bind(other);
	add_r12(1);
	code_.ret();
	/* The frame's return address is that of `other` as the gap begins, and is put right in it. */
	code_.bind(inner);
	code_.lea(RAX, back);
	code_.raw({0x48, 0x87, 0x04, 0x24});	/* xchg rax, [rsp] */
	code_.raw({0x49, 0x89, 0xc5});		/* mov r13, rax */
	set_eax(SYS_getppid);
	code_.syscall();
	code_.raw({0x4c, 0x89, 0x2c, 0x24});	/* mov [rsp], r13 */
	code_.ret();
	const Ended ended = run(start, [&] {
		code_.call(other);
		code_.bind(back);
		code_.call(inner);
		add_r12(2);
	});

	EXPECT_EQ(ended.state.regs.r12, 3u * kCalls);
	EXPECT_LE(process_.stat().translated, 2u);
	EXPECT_GE(share_chained(), 0.9);
}

/* With a frame pointer and a stack moved by a register the returns are learned, one by one. */
TEST_F(Hinted, a_depth_that_is_not_constant_is_learned)
{
	const auto inner = code_.label(), start = code_.label();

	code_.jmp(start);
	code_.bind(inner);
	code_.push(RBP);
	code_.raw({0x48, 0x89, 0xe5});		/* mov rbp, rsp */
	code_.raw({0x48, 0x83, 0xe4, 0xc0});	/* and rsp, -64 */
	set_eax(SYS_getppid);
	code_.syscall();
	code_.raw({0xc9});			/* leave */
	add_r12(1);
	code_.ret();
	const Ended ended = run(start, [&] { code_.call(inner); });

	EXPECT_EQ(ended.state.regs.r12, kCalls);
	EXPECT_LE(process_.stat().translated, 2u);
	EXPECT_GE(share_chained(), 0.9);
}

/* A call through a pointer in memory at a known place, by a register. */
TEST_F(Hinted, a_pointer_that_was_loaded_needs_one_round)
{
	const auto middle = code_.label(), function = code_.label(), start = code_.label();
	const uint64_t slot = guest_.data() + 128;

	code_.jmp(start);
	nested(middle);
	code_.bind(function);
	add_r12(2);
	code_.ret();
	set_slot(slot, code_.address(function));
	const Ended ended = run(start, [&] {
		code_.call(middle);
		code_.raw({0x48, 0x8b, 0x05});		/* mov rax, [rip + slot] */
		code_.imm32(slot - (code_.here() + 4));
		add_r12(1);
		code_.call_reg(RAX);
	});

	EXPECT_EQ(ended.state.regs.r12, 4u * kCalls);
	EXPECT_EQ(process_.stat().translated, 1u);
	EXPECT_LE(process_.count(UB_COUNT_exits), 1u);
	EXPECT_GE(share_chained(), 0.9);
}

} // namespace
} // namespace host
