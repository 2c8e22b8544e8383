/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The loop. ub_enter() runs an image and calls ub_next_image(), which makes the syscall
 * that the image has reached and finds the next image; run_chain() is what is around that.
 * Every chained syscall passes ub_next_image(): each instruction of it counts.
 */

#include <cstddef>

#include "profiler/site.h"
#include "runtime/chain.h"
#include "runtime/run.h"

namespace ub::runtime {
namespace {

static_assert(offsetof(ub_run, mask) == UB_RUN_MASK && offsetof(ub_run, work) == UB_RUN_WORK);
static_assert(offsetof(ub_run, fs_base) == UB_RUN_FSBASE && offsetof(ub_run, target) == UB_RUN_TARGET);
static_assert(offsetof(ub_run, exit) == UB_RUN_EXIT);

uint64_t g_mask = ~(uint64_t(1) << 47);

/* How many gaps are run between looks at the clock. */
constexpr uint32_t kClockEvery = 64;

constexpr uint64_t kNotAtSyscall = ~uint64_t(0);
constexpr unsigned kSyscallBytes = 2;

/* CF, PF, AF, ZF, SF, DF, OF may have any value in a run; beside them IF and bit 1 are set. */
constexpr uint64_t kUserFlags = 0xcd5;
constexpr uint64_t kFixedFlags = 0x202;

/* What ub_next_image() knows beside the ub_run it is called with. */
struct Loop : ub_run {
	const Cache *cache;
	ub_regs *regs;
	const Translation *translation;	/* being run; valid while in_run */
	uint64_t deadline_ns;		/* 0: the clock was not looked at yet */
	int granted;			/* what `left` was set to, in all */
	int next;			/* what ubk_next_syscall() said last */
	int fpu;			/* the run owns the vector registers */
	bool in_run;			/* the bracket is open */
	bool exit_pending;		/* the last image's exit is yet to be acted upon */
};

/* The translation to run at regs->ip, with the bracket as it needs it. Null if there is none. */
[[gnu::noinline]] const Translation *find(Loop &loop)
{
	const UserAddr start(loop.regs->ip);
	const Translation *translation = loop.cache->find(start);

	if (translation && translation->uses_fpu && !loop.fpu) {
		ubk_run_end(0);
		loop.fpu = 1;
		ubk_run_begin(1);
		translation = loop.cache->find(start);
	}
	return translation;
}

/* Ends the loop behind the last image's syscall. Return: what ends ub_enter(). */
[[gnu::noinline]] unsigned long stop(Loop &loop, int next, bool in_run)
{
	loop.next = next;
	loop.in_run = in_run;
	loop.exit_pending = false;
	return 0;
}

/* `left` is used up: may the chain go on for as many gaps again? */
[[gnu::noinline]] bool refill(ub_run &run)
{
	if (!run.refills)
		return false;
	run.refills--;

	Loop &loop = static_cast<Loop &>(run);
	uint64_t now_ns = ubk_now_ns();
	if (!loop.deadline_ns)
		loop.deadline_ns = now_ns + ub_settings.chain_max_us * uint64_t(1000);
	else if (now_ns >= loop.deadline_ns)
		return false;
	loop.left = kClockEvery - 1;
	loop.granted += kClockEvery;
	return true;
}

/* The last image left inside its gap. */
void leave_inside(const Loop &loop, const sfi::Exit &exit, ub_thread &thread, Chain &chain)
{
	chain.end = ChainEnd::kExit;
	chain.reason = exit.reason;
	loop.regs->ip = exit.ip.value;
	loop.regs->orig_ax = kNotAtSyscall;
	thread.count[UB_COUNT_exits]++;
	thread.count[UB_COUNT_exit_syscall + unsigned(exit.reason)]++;
	if (exit.reason == sfi::ExitReason::kCold)
		chain.missed = {exit.from, exit.to};
	else if (exit.reason == sfi::ExitReason::kTarget && UserAddr(loop.target).in_user_half())
		chain.missed = {exit.from, UserAddr(loop.target)};
}

/* Acts upon the last image's exit where ub_next_image() did not. Inside the run. */
void finish(const Loop &loop, ub_thread &thread, Chain &chain)
{
	if (loop.exit_pending) {
		const sfi::Exit &exit = loop.translation->exits[loop.exit];

		chain.site = loop.translation->site;
		if (exit.reason != sfi::ExitReason::kSyscall) {
			leave_inside(loop, exit, thread, chain);
			return;
		}
		/* The bounds were reached: this call is made from user mode. */
		chain.end = ChainEnd::kNativeCall;
		loop.regs->ip = exit.ip.value - kSyscallBytes;
		loop.regs->orig_ax = kNotAtSyscall;
	} else if (loop.next < 0) {
		chain.end = ChainEnd::kNativeCall;
	} else if (loop.next == 0) {
		chain.end = ChainEnd::kCall;
	}
}

void count(const Loop &loop, ub_thread &thread, const Chain &chain)
{
	uint64_t entries = uint64_t(loop.granted - loop.left);
	uint64_t calls = entries - (loop.exit_pending || loop.next < 0);

	thread.count[UB_COUNT_entries] += entries;
	thread.count[UB_COUNT_syscalls] += calls;
	thread.count[UB_COUNT_chained] += calls;
	if (chain.site)
		chain.site->reached += uint32_t(calls);
}

} // namespace

void set_mask_bit(unsigned bit)
{
	g_mask = ~(uint64_t(1) << bit);
}

Chain run_chain(const Cache &cache, ub_thread &thread, ub_regs &regs)
{
	Chain chain;
	Loop loop{};

	loop.mask = g_mask;
	loop.work = ubk_work_flags();
	loop.fs_base = ubk_fs_base();
	loop.left = loop.granted = kClockEvery - 1;
	loop.refills = ub_settings.chain_max / kClockEvery;
	loop.cache = &cache;
	loop.regs = &regs;
	loop.next = 1;
	loop.fpu = thread.fpu;
	loop.exit_pending = true;
	if (loop.fs_base == ~0ul || (regs.flags & ~kUserFlags) != kFixedFlags || !UserAddr(regs.sp).in_user_half())
		return chain;

	ubk_run_begin(loop.fpu);
	loop.in_run = true;
	loop.translation = find(loop);
	if (loop.translation) {
		ub_enter(&regs, loop.translation->code.value, &loop);
		finish(loop, thread, chain);
		count(loop, thread, chain);
	}
	if (loop.in_run)
		ubk_run_end(loop.fpu);
	thread.fpu = uint8_t(loop.fpu);
	if (chain.end == ChainEnd::kExit)
		ubk_trace_exit(regs.ip, unsigned(chain.reason));
	return chain;
}

} // namespace ub::runtime

extern "C" unsigned long ub_next_image(ub_run *run, unsigned exit_number)
{
	using namespace ub::runtime;

	run->exit = exit_number;
	/* Whoever is not a Loop has no refills. */
	if (--run->left < 0 && !refill(*run)) [[unlikely]]
		return 0;

	Loop &loop = static_cast<Loop &>(*run);
	const ub::sfi::Exit &exit = loop.translation->exits[exit_number];
	if (exit.reason != ub::sfi::ExitReason::kSyscall) [[unlikely]]
		return 0;

	ub_regs *regs = loop.regs;
	regs->ip = exit.ip.value;
	int next = ubk_next_syscall(regs, loop.fpu);
	if (next <= 0) [[unlikely]]
		return stop(loop, next, false);
	if (!ub::UserAddr(regs->sp).in_user_half()) [[unlikely]]
		return stop(loop, next, true);

	const Translation *translation = loop.cache->find(ub::UserAddr(regs->ip));
	if (!translation || translation->uses_fpu > loop.fpu) [[unlikely]] {
		translation = find(loop);
		if (!translation)
			return stop(loop, next, true);
	}
	loop.translation = translation;
	return translation->code.value;
}
