/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The chain: gap after gap and syscall after syscall without leaving the kernel
 * (DESIGN's loop). Trusted: it decides what runs and when user mode is owed its turn.
 */
#pragma once

#include "base/observation.h"
#include "core.h"
#include "runtime/cache.h"

namespace ub::runtime {

enum class ChainEnd : uint8_t {
	kGap,		/* at a gap's start: no translation for it, or the bounds were reached */
	kCall,		/* behind a syscall that left work or a restart code: as natively */
	kNativeCall,	/* at a syscall instruction that is made from user mode */
	kExit,		/* inside a gap */
};

/* How far a chain may get. */
enum class Reach : uint8_t {
	kGap,		/* to the next syscall, which is made from user mode, or to where an image is left */
	kChain,		/* as far as the settings allow */
};

/* The translations of an address space. */
struct Caches {
	Cache gaps;
	Cache parts;	/* that go on inside a gap, where another one has left it, within the same calls */
};

/* A gap that is being timed. */
struct Timing {
	profiler::Site *site = nullptr;	/* where it began; null: none is */
	uint64_t from_ns = 0;
};

struct Chain {
	ChainEnd end = ChainEnd::kGap;
	bool ran = false;		/* an image was entered; if not, nothing has changed */
	sfi::ExitReason reason = sfi::ExitReason::kSyscall;	/* of a kExit */
	profiler::Site *site = nullptr;	/* whose translation ran last; null: none did */
	Observation missed;		/* of a kExit by kCold, kTarget or kBudget, else {0, 0} */
	bool stuck = false;		/* of a kExit: the image that has left began there */
	UserAddr start;			/* of a kExit: where that image began … */
	uint32_t start_calls = kNoCalls; /* … and the calls open there */
	Timing timing;			/* of a kExit: the gap that was left, if it was being timed */
	bool bounded = false;		/* it ended since it was long enough */
	profiler::Site *weigh = nullptr; /* a site whose payoff is to be weighed */
};

/**
 * run_chain - run translations and their syscalls from regs->ip on
 * @thread: current's; its counters are advanced
 * @regs: as a returned syscall left them, or @left; afterwards as Chain::end
 *        says, with orig_ax = -1 where that is not behind a syscall
 * @left: the chain that has ended inside the gap that is gone on with, or null
 * Context: as ub_after_syscall(), ubk_may_enter() holds.
 */
Chain run_chain(const Caches &caches, ub_thread &thread, ub_regs &regs, Reach reach, const Chain *left = nullptr);

/* What run_chain() loads into the mask register, and what work it looks for. */
void set_machine(const ub_machine &machine);

} // namespace ub::runtime
