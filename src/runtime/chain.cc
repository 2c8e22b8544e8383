/* SPDX-License-Identifier: GPL-2.0 */
/* The loop. Each pass runs one gap and makes one syscall; the hot path is run_gap(). */

#include "profiler/site.h"
#include "runtime/chain.h"
#include "runtime/run.h"

namespace ub::runtime {
namespace {

uint64_t g_mask = ~(uint64_t(1) << 47);

/* How many syscalls pass between looks at the clock. */
constexpr uint32_t kClockEvery = 64;

constexpr uint64_t kNotAtSyscall = ~uint64_t(0);

struct Gap {
	sfi::Exit exit;
	profiler::Site *site;
};

/* Runs the translation for regs.ip. False if there is none, or rsp is not the user's. */
bool run_gap(const Cache &cache, ub_thread &thread, ub_regs &regs, ub_run &run, Gap &gap)
{
	int fpu = thread.fpu;

	if (!UserAddr(regs.sp).in_user_half())
		return false;
	ubk_run_begin(fpu);
	const Translation *translation = cache.find(UserAddr(regs.ip));
	if (translation && translation->uses_fpu && !fpu) {
		ubk_run_end(0);
		fpu = 1;
		ubk_run_begin(1);
		translation = cache.find(UserAddr(regs.ip));
	}
	if (!translation) {
		ubk_run_end(fpu);
		return false;
	}
	thread.fpu = translation->uses_fpu;
	gap.site = translation->site;
	unsigned number = ub_enter(&regs, translation->code.value, &run);
	gap.exit = translation->exits[number];
	ubk_run_end(fpu);
	thread.count[UB_COUNT_entries]++;
	regs.ip = gap.exit.ip.value;
	return true;
}

void leave_inside(ub_thread &thread, ub_regs &regs, const ub_run &run, const Gap &gap, Chain &chain)
{
	chain.end = ChainEnd::kExit;
	chain.reason = gap.exit.reason;
	regs.orig_ax = kNotAtSyscall;
	thread.count[UB_COUNT_exits]++;
	thread.count[UB_COUNT_exit_syscall + unsigned(gap.exit.reason)]++;
	if (gap.exit.reason == sfi::ExitReason::kCold)
		chain.missed = {gap.exit.from, gap.exit.to};
	else if (gap.exit.reason == sfi::ExitReason::kTarget && UserAddr(run.target).in_user_half())
		chain.missed = {gap.exit.from, UserAddr(run.target)};
	ubk_trace_exit(regs.ip, unsigned(gap.exit.reason));
}

} // namespace

void set_mask_bit(unsigned bit)
{
	g_mask = ~(uint64_t(1) << bit);
}

Chain run_chain(const Cache &cache, ub_thread &thread, ub_regs &regs)
{
	Chain chain;
	Gap gap{};
	ub_run run{g_mask, ubk_work_flags(), ubk_fs_base(), 0};
	uint64_t deadline_ns = 0;

	if (run.fs_base == ~0ul)
		return chain;
	for (uint32_t calls = 0; calls < ub_settings.chain_max; calls++) {
		if (calls % kClockEvery == kClockEvery - 1) {
			uint64_t now_ns = ubk_now_ns();

			if (!deadline_ns)
				deadline_ns = now_ns + ub_settings.chain_max_us * uint64_t(1000);
			else if (now_ns >= deadline_ns)
				break;
		}
		if (!run_gap(cache, thread, regs, run, gap))
			break;
		chain.site = gap.site;
		if (gap.exit.reason != sfi::ExitReason::kSyscall) {
			leave_inside(thread, regs, run, gap, chain);
			break;
		}
		gap.site->reached++;
		int next = ubk_next_syscall(&regs);
		if (next < 0) {
			chain.end = ChainEnd::kNativeCall;
			break;
		}
		thread.count[UB_COUNT_syscalls]++;
		thread.count[UB_COUNT_chained]++;
		if (next == 0) {
			chain.end = ChainEnd::kCall;
			break;
		}
	}
	return chain;
}

} // namespace ub::runtime
