/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A guest process under ub, as the kernel would have it: guest code runs natively up
 * to a syscall, the syscall is made, then the core is asked (the hook); where it leaves
 * the registers, native running goes on. Workers run between, or when a test says.
 */
#pragma once

#include "guest.h"
#include "host.h"

namespace host {

class Process {
public:
	explicit Process(Guest &guest);
	~Process();
	Process(const Process &) = delete;
	Process &operator=(const Process &) = delete;

	/* Runs from state.regs.ip to the exit_group syscall, or to an exception. */
	Ended run();

	unsigned long count(enum ub_thread_counter which) const { return thread.count[which]; }
	struct ub_space_stat stat() const;
	/* Registers at a native syscall were what the native path leaves: see run(). */
	unsigned long natively_made = 0;

	State state;
	alignas(64) unsigned char vectors[sizeof(State::vectors)];	/* during syscalls */
	ub_thread thread{};
	ubk_mm mm;
};

} // namespace host
