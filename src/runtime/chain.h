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
	kGap,		/* to the gap's end: its syscall is made from user mode */
	kChain,		/* as far as the settings allow */
};

struct Chain {
	ChainEnd end = ChainEnd::kGap;
	sfi::ExitReason reason = sfi::ExitReason::kSyscall;	/* of a kExit */
	profiler::Site *site = nullptr;	/* whose translation ran last; null: none did */
	Observation missed;		/* of a kExit by kCold, kTarget or kBudget, else {0, 0} */
	bool bounded = false;		/* it ended since it was long enough */
	profiler::Site *weigh = nullptr; /* a site whose payoff is to be weighed */
};

/**
 * run_chain - run translations and their syscalls from regs->ip on
 * @thread: current's; its counters are advanced
 * @regs: as a returned syscall left them; afterwards as Chain::end says, with orig_ax = -1
 *        where that is not behind a syscall
 * Context: as ub_after_syscall(), ubk_may_enter() holds.
 */
Chain run_chain(const Cache &cache, ub_thread &thread, ub_regs &regs, Reach reach);

/* Bits of user addresses that may be set, and what run_chain() loads into the mask register. */
void set_mask_bit(unsigned bit);

} // namespace ub::runtime
