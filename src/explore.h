/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Exploration: a gap gone through to its end, to learn at once all that it has to teach.
 *
 * A run that leaves its gap tells of one branch that the translation did not know. What it does not know behind
 * that would show in the gaps after the next translation, one branch in each. So the thread itself translates
 * what follows: a small part, which begins where the run has left and knows what calls are open there. It is published, verified
 * and run like any translation, up to the next branch that is new, or the gap's end. Then
 * the parts are dropped, and the site's next translation knows all of it.
 *
 * It takes the thread some tenths of a millisecond a part; it is kept no longer than by a chain (chain_max_us), a
 * site has so many parts in its life, and a space so much of its time. One thread at a time explores a site. No
 * system call is made meanwhile, as some never return (seccomp kills), and what is held here would be lost.
 */
#pragma once

#include <span>

#include "hall.h"
#include "runtime/chain.h"
#include "sfi/contract.h"
#include "translator/attempt.h"

namespace ub {

class Exploration {
public:
	/* Context of all: as ub_after_syscall(). */
	Exploration(ub_space &space, profiler::Site &site, const sfi::Contract &contract);
	~Exploration();
	Exploration(const Exploration &) = delete;
	Exploration &operator=(const Exploration &) = delete;

	/* @left: what run_chain() ended with, in a gap of the site, by a branch that is new
	 * Return: true if there is a translation at regs.ip now: run_chain() is to be called anew. */
	bool go_on(const runtime::Chain &left, ub_regs &regs);

private:
	static constexpr uint32_t kMostParts = 256;
	static constexpr uint32_t kMostOpen = 64;

	/* In the attempt's memory, before the part's arena. */
	struct State {
		UserAddr at[kMostParts];	/* where the parts begin */
		UserAddr open[kMostOpen];	/* return addresses of the open calls, outermost first */
		uint64_t stack[256];
	};

	bool find_open(uint32_t calls);
	bool may_replace(const runtime::Translation &there) const;
	bool add(runtime::Translation &part, uint64_t since);
	Result<runtime::Translation *> translate_part(UserAddr start, uint64_t sp);

	ub_space &space_;
	profiler::Site &site_;
	const sfi::Contract &contract_;
	translator::PartAttempt attempt_;
	bool begun_ = false;		/* site_.exploring is this one's */
	uint64_t until_ns_ = 0;
	uint64_t spent_ns_ = 0;			/* on parts, without their runs */
	uint32_t parts_ = 0;
	uint32_t open_count_ = 0;
	std::span<const OpenCall> calls_;	/* followed by the last part; in the memory until the next one */
};

} // namespace ub
