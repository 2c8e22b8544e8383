/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The loop. ub_enter() runs an image and calls ubk_next_image(), which makes the syscall
 * that the image has reached and finds the next image; run_chain() is what is around that,
 * and the ub_run_*() functions are what is less usual inside of it.
 */

#include <cstddef>

#include "base/spread.h"
#include "profiler/site.h"
#include "runtime/chain.h"
#include "runtime/run.h"

namespace ub::runtime {
namespace {

static_assert(offsetof(ub_run, mask) == UB_RUN_MASK && offsetof(ub_run, work) == UB_RUN_WORK);
static_assert(offsetof(ub_run, fs_base) == UB_RUN_FSBASE && offsetof(ub_run, target) == UB_RUN_TARGET);
static_assert(offsetof(ub_run, exit) == UB_RUN_EXIT);

uint64_t g_mask = ~(uint64_t(1) << 47);
uint32_t g_poll_mask = ~uint32_t(0);

/* How many gaps are run between looks at the clock. */
constexpr uint32_t kClockEvery = 64;

/* While it is not known whether a site pays: a gap in so many is timed, and chains end after
 * twice as many, as a gap is run natively then. */
constexpr uint32_t kTrialEvery = 8;

constexpr uint64_t kNotAtSyscall = ~uint64_t(0);
constexpr unsigned kSyscallBytes = 2;

/* CF, PF, AF, ZF, SF, OF may have any value in a run; beside them IF and bit 1 are set. No DF: images
 * count on strings going upwards, and none sets it. */
constexpr uint64_t kUserFlags = 0x8d5;
constexpr uint64_t kFixedFlags = 0x202;

/* Where ub_enter() ended. */
enum class Stopped : uint8_t {
	kInside,	/* at the last image's exit, which is yet to be acted upon; inside the run */
	kBehindCall,	/* the call was made and the chain ends behind it; outside of the run */
	kBeforeCall,	/* the call is to be made natively; outside of the run */
	kNoImage,	/* the call was made, and there is no image to go on with; inside the run */
	kNoRun,		/* as kNoImage, but work has come up and no run has begun */
};

/* What the ub_run_*() functions know beside the ub_run. */
struct Loop : ub_run {
	const Caches *caches;
	uint64_t deadline_ns;		/* 0: the clock was not looked at yet */
	Timing timing;
	bool timed;			/* a gap of this chain was */
	bool time_next;			/* the next one is to be */
	ub_thread *thread;
	uint32_t parts;			/* images that went on where another had left its gap */
	profiler::Site *weigh;		/* its window of translated gaps is full */
	uint32_t granted;		/* images that may follow the first, in all so far */
	Stopped stopped;
};

/* ub_run_find() has to be asked while there is something for it to do. */
void set_pace(Loop &loop)
{
	if (loop.time_next || loop.thread->turn_at)
		loop.special |= UB_RUN_SLOWLY;
	else
		loop.special &= ~UB_RUN_SLOWLY;
}

/* Sets how many images may follow before the clock is looked at. */
void grant(Loop &loop, uint32_t most)
{
	uint32_t images = loop.remaining < most ? loop.remaining : most;

	loop.remaining -= images;
	loop.granted += images;
	loop.left = int(images);
}

/* What is timed, and where a trial ends, varies, or it would always be the same of several sites
 * in turn. 0 to 7. */
uint32_t jitter(const ub_thread &thread)
{
	return uint32_t(spread(thread.count[UB_COUNT_entries]) >> 61);
}

/* For a trial. */
void shorten(Loop &loop, uint32_t length)
{
	loop.granted = 0;
	loop.remaining = kTrialEvery + length;
	grant(loop, length);
}

/* The translation to run at regs->ip, with the run as it needs it. Null: loop.stopped is set. */
const Translation *find(Loop &loop, const Cache &cache, uint32_t calls = kNoCalls)
{
	const UserAddr start(loop.regs->ip);
	const Translation *translation = nullptr;

	loop.stopped = Stopped::kNoImage;
	/* Images may have left sp a little outside of the user half. */
	if (UserAddr(loop.regs->sp).in_user_half())
		translation = cache.find(start, calls);
	if (translation && translation->uses_fpu() && !(loop.special & UB_RUN_FPU)) {
		ubk_run_end(0);
		loop.special |= UB_RUN_FPU;
		if (!ubk_run_begin(1)) {
			loop.stopped = Stopped::kNoRun;
			return nullptr;
		}
		translation = cache.find(start, calls);
	}
	if (translation) {
		loop.stopped = Stopped::kInside;
		loop.translation = translation;
	}
	return translation;
}

const Translation &last(const Loop &loop)
{
	return *static_cast<const Translation *>(loop.translation);
}

/* The gap being timed has ended. */
void end_timing(Loop &loop, uint64_t now_ns)
{
	if (profiler::translated_gap(loop.timing.site->payoff, now_ns - loop.timing.from_ns))
		loop.weigh = loop.timing.site;
	loop.timing = {};
	loop.timed = true;
}

/* Whether the gap that begins now is the one that was to be timed next. */
bool take_turn(Loop &loop)
{
	if (loop.regs->ip != loop.thread->turn_at)
		return false;
	loop.thread->turn_at = 0;
	return true;
}

/* The gap that begins now is timed: the image after it is asked of ub_run_refill(). */
void time_next(Loop &loop, const Timing &timing)
{
	loop.timing = timing;
	loop.remaining += uint32_t(loop.left);
	loop.granted -= uint32_t(loop.left);
	loop.left = 0;
}

/* Whether other code may go on there, which would not have been left at once. */
bool leads_on(const ub_exit &exit)
{
	switch (sfi::ExitReason(exit.reason)) {
	case sfi::ExitReason::kCold:
	case sfi::ExitReason::kTarget:
	case sfi::ExitReason::kBudget:
		return true;
	default:
		return false;
	}
}

/* The last image left inside its gap. */
void leave_inside(const Loop &loop, const ub_exit &exit, Chain &chain)
{
	chain.end = ChainEnd::kExit;
	chain.reason = sfi::ExitReason(exit.reason);
	chain.timing = loop.timing;
	chain.start = last(loop).start();
	chain.start_calls = last(loop).calls;
	chain.stuck = UserAddr(exit.ip) == chain.start;
	loop.regs->ip = exit.ip;
	loop.regs->orig_ax = kNotAtSyscall;
	if (chain.reason == sfi::ExitReason::kCold || (chain.reason == sfi::ExitReason::kBudget && exit.to))
		chain.missed = {UserAddr(exit.from), UserAddr(exit.to), exit.calls};
	else if (chain.reason == sfi::ExitReason::kTarget && UserAddr(loop.target).in_user_half())
		chain.missed = {UserAddr(exit.from), UserAddr(loop.target), exit.calls};
}

/* Acts upon where ub_enter() ended. */
void finish(const Loop &loop, Chain &chain)
{
	switch (loop.stopped) {
	case Stopped::kInside: {
		const ub_exit &exit = loop.translation->exits[loop.exit];

		chain.site = last(loop).site;
		if (exit.reason) {
			leave_inside(loop, exit, chain);
			return;
		}
		/* The bounds were reached: this call is made from user mode. */
		chain.bounded = true;
		chain.end = ChainEnd::kNativeCall;
		loop.regs->ip = exit.ip - kSyscallBytes;
		loop.regs->orig_ax = kNotAtSyscall;
		return;
	}
	case Stopped::kBeforeCall:
		chain.end = ChainEnd::kNativeCall;
		return;
	case Stopped::kBehindCall:
	case Stopped::kNoRun:
		chain.end = ChainEnd::kCall;
		return;
	case Stopped::kNoImage:
		return;
	}
}

void count(const Loop &loop, ub_thread &thread, const Chain &chain)
{
	/* The image run last has asked for another one. */
	uint64_t entries = uint64_t(int64_t(loop.granted) - loop.left);
	uint64_t calls = entries - loop.parts - (loop.stopped == Stopped::kInside || loop.stopped == Stopped::kBeforeCall);

	thread.count[UB_COUNT_entries] += entries;
	thread.count[UB_COUNT_syscalls] += calls;
	thread.count[UB_COUNT_chained] += calls;
	if (chain.site) {
		chain.site->reached += uint32_t(calls);
		chain.site->chained += calls;
	}
}

} // namespace

void set_machine(const ub_machine &machine)
{
	g_mask = ~(uint64_t(1) << machine.mask_bit);
	g_poll_mask = machine.poll_mask;
}

Chain run_chain(const Caches &caches, ub_thread &thread, ub_regs &regs, Reach reach, const Chain *left)
{
	Chain chain;
	Loop loop{};

	loop.mask = g_mask;
	loop.work = ubk_work_flags();
	loop.fs_base = ubk_fs_base();
	loop.regs = &regs;
	loop.caches = &caches;
	loop.thread = &thread;
	set_pace(loop);
	loop.buckets = caches.gaps.buckets();
	loop.remaining = reach == Reach::kGap ? 0 : ub_settings.chain_max - 1;	/* the first one is not granted */
	grant(loop, kClockEvery - jitter(thread));
	if (loop.fs_base == ~0ul || (regs.flags & ~kUserFlags) != kFixedFlags)
		return chain;

	if (!ubk_run_begin(0))
		return chain;
	const Translation *begin = left ? find(loop, caches.parts, left->missed.calls) : find(loop, caches.gaps);
	if (begin) {
		const uint32_t turn = jitter(thread);
		if (!begin->site->payoff.decided && loop.granted > 2 * kTrialEvery)
			shorten(loop, kTrialEvery + turn);
		if (left && left->timing.site)
			time_next(loop, left->timing);
		else if (reach == Reach::kChain && (!turn || take_turn(loop)))
			time_next(loop, {begin->site, ubk_now_ns()});
		ub_enter(&regs, begin->code, &loop);
		chain.ran = true;
		finish(loop, chain);
		count(loop, thread, chain);
	}
	if (loop.stopped == Stopped::kInside || loop.stopped == Stopped::kNoImage)
		ubk_run_end(loop.special & UB_RUN_FPU);
	chain.weigh = loop.weigh;
	return chain;
}

} // namespace ub::runtime

using namespace ub::runtime;

extern "C" unsigned long ub_run_leave(ub_run *run, unsigned int exit_number)
{
	Loop &loop = static_cast<Loop &>(*run);
	const ub_exit &exit = *ub_run_exit(run, exit_number);
	const ub::UserAddr at(exit.ip);

	run->exit = exit_number;
	/* Where an image begins with the branch that it was left for, it would be left for it again. */
	if (!leads_on(exit) || at == last(loop).start() || *run->work & g_poll_mask || !ub::UserAddr(run->regs->sp).in_user_half())
		return 0;
	const Translation *part = loop.caches->parts.find(at, exit.calls);
	if (!part || (part->uses_fpu() && !(run->special & UB_RUN_FPU)))
		return 0;
	loop.parts++;
	run->translation = part;
	return part->code;
}

extern "C" unsigned long ub_run_refill(ub_run *run, unsigned int exit)
{
	run->exit = exit;
	if (!run->remaining)	/* as always where this is no Loop */
		return 0;

	Loop &loop = static_cast<Loop &>(*run);
	uint64_t now_ns = ubk_now_ns();
	if (!loop.deadline_ns)
		loop.deadline_ns = now_ns + ub_settings.chain_max_us * uint64_t(1000);
	else if (now_ns >= loop.deadline_ns)
		return 0;

	/* One gap of each chain is timed, over all the images that it takes. */
	if (loop.timing.site && ub_run_exit(run, exit)->reason) {
		grant(loop, 1);
	} else if (loop.timing.site) {
		end_timing(loop, now_ns);
		grant(loop, kClockEvery);
	} else if (!loop.timed) {
		loop.time_next = true;
		set_pace(loop);
		grant(loop, 1);
	} else {
		grant(loop, kClockEvery);
	}
	return ubk_next_image(run, exit);
}

extern "C" unsigned long ub_run_find(ub_run *run)
{
	Loop &loop = static_cast<Loop &>(*run);

	loop.stopped = Stopped::kNoImage;
	if (loop.thread->turn_native && loop.regs->ip == loop.thread->turn_at)
		return 0;
	const Translation *translation = find(loop, loop.caches->gaps);
	if (!translation)
		return 0;
	if (take_turn(loop) || loop.time_next) {
		time_next(loop, {translation->site, ubk_now_ns()});
		loop.time_next = false;
		set_pace(loop);
	}
	return translation->code;
}

extern "C" unsigned long ub_run_stop(ub_run *run, int made)
{
	static_cast<Loop &>(*run).stopped = made ? Stopped::kBehindCall : Stopped::kBeforeCall;
	return 0;
}
