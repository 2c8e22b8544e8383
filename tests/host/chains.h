/* SPDX-License-Identifier: GPL-2.0 */
/* The fixture of chain_test.cc and learning_test.cc: a program that makes a system call in a loop, under ub. */
#pragma once

#include <gtest/gtest.h>

#include <sys/syscall.h>
#include <unistd.h>

#include "code.h"
#include "instance.h"
#include "process.h"

namespace host {

constexpr unsigned int kCalls = 20000;

/* mov eax, imm32 */
inline void set_eax(Code &code, uint32_t value)
{
	code.raw({0xb8});
	code.imm32(value);
}

inline void exit_group(Code &code)
{
	set_eax(code, SYS_exit_group);
	code.syscall();
}

inline void inc_r12(Code &code)
{
	code.raw({0x49, 0xff, 0xc4});
}

class Chains : public testing::Test {
protected:
	Chains() : guest_(kHighBase), code_(guest_.code()), pages_(code_pages_in_use()), process_(new Process(guest_))
	{
		guest_.fill(1);
	}
	~Chains() override
	{
		process_.reset();
		EXPECT_EQ(code_pages_in_use(), pages_) << "code memory leaked";
	}

	void load()
	{
		code_.finish();
		guest_.set_code(code_.bytes(), code_.syscalls());
	}

	/* ebx times: eax = number, syscall, then what `body` emits. */
	template <typename Body>
	void loop(uint32_t number, uint32_t times, Body body)
	{
		const auto head = code_.label();
		code_.mov(RBX, times);
		code_.bind(head);
		set_eax(code_, number);
		code_.syscall();
		body();
		code_.raw({0xff, 0xcb});	/* dec ebx */
		code_.jcc(5, head);		/* jnz */
		exit_group(code_);
		load();
	}

	Ended finish()
	{
		const Ended ended = process_->run();
		EXPECT_EQ(int(ended.stop), int(Stop::kSyscall)) << "signal " << ended.signal << " at " << std::hex << ended.state.regs.ip;
		EXPECT_FALSE(process_->mm.disabled);
		EXPECT_EQ(process_->stat().rejected, 0u);
		unsigned long by_reason = 0;
		for (int i = UB_COUNT_exit_syscall; i < UB_THREAD_COUNTER_MAX; i++)
			by_reason += process_->thread.count[i];
		EXPECT_EQ(by_reason, process_->count(UB_COUNT_exits));
		EXPECT_EQ(process_->count(UB_COUNT_syscalls), process_->natively_made + process_->count(UB_COUNT_chained));
		return ended;
	}

	double share_chained() const
	{
		return double(process_->count(UB_COUNT_chained)) / double(process_->count(UB_COUNT_syscalls));
	}

	Guest guest_;
	Code code_;
	size_t pages_;
	std::unique_ptr<Process> process_;
};

} // namespace host
