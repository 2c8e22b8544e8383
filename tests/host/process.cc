// SPDX-License-Identifier: GPL-2.0
/* The hook's life in user space: see process.h. */
#include "process.h"

#include "runtime/run.h"

#include <sys/syscall.h>

namespace host {

Process::Process(Guest &guest)
{
	const ub_machine here = machine();

	ub_core_init(&here);
	mm.space = ub_space_create(&mm);
	ub_thread_join(&thread, mm.space);
	state.regs.ip = guest.code();
	state.regs.sp = guest.stack_top() - 0x400;
	user_vectors = vectors;
	work_flags = 0;
	traces = {};
}

Process::~Process()
{
	on_syscall = nullptr;
	ub_space_invalidate(mm.space, 0, ~0ul);
	drain_deferred();
	ub_space_destroy(mm.space);
	drain_deferred();
	ub_core_exit();
	user_vectors = nullptr;
	work_flags = 0;
}

Ended Process::run()
{
	for (;;) {
		Ended ended = run_natively(state);
		if (ended.stop != Stop::kSyscall || ended.state.regs.ax == SYS_exit_group)
			return ended;
		state = ended.state;
		state.regs.flags &= ~0x10000ul;
		thread.count[UB_COUNT_syscalls]++;
		natively_made++;
		if (thread.gap_start_ip)
			ub_before_syscall(&thread);
		memcpy(vectors, state.vectors, sizeof(vectors));
		make_syscall(&state.regs);
		if (ub_due(&thread, &state.regs))
			ub_after_syscall(&thread, &state.regs);
		memcpy(state.vectors, vectors, sizeof(vectors));
		run_translation(&mm);
		drain_deferred();
		work_flags = 0;	/* user mode was returned to */
	}
}

struct ub_space_stat Process::stat() const
{
	struct ub_space_stat stat;

	ub_space_stat(mm.space, &stat);
	return stat;
}

} // namespace host
