/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Exploration: a gap gone through to its end, to learn at once all that it has to teach.
 *
 * A run that leaves its gap tells of one branch that the translation did not know. What it does not know behind
 * that would show in the gaps after the next translation, one branch in each. So the thread itself translates
 * what follows: a part, which is small, begins where the run has left, and knows what calls are open there. It is
 * published, verified and run like any translation, up to the next branch that is new, or the gap's end.
 *
 * Parts stay: chains go on in them wherever they begin, within the same calls (ub_run_leave()). The site's next
 * translation knows all that was learned, and takes their place where it has room for it; what lies beyond its
 * size is left to them. A space has room for so many; when it is full, all of them go.
 *
 * It takes the thread some tenths of a millisecond a part; it is kept no longer than by a chain (chain_max_us),
 * and for so much of its time (Allowance). One thread at a time explores a site. No system call is made
 * meanwhile, as some never return (seccomp kills), and what is held here would be lost.
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
	/* Whether a site's gap is to be gone through now; then the site is claimed until the exploration's end. */
	static bool claim(ub_space &space, profiler::Site &site);

	/* Of a site that is claimed. Context of all: as ub_after_syscall(). */
	Exploration(ub_space &space, profiler::Site &site, const sfi::Contract &contract, uint64_t until_ns);
	~Exploration();
	Exploration(const Exploration &) = delete;
	Exploration &operator=(const Exploration &) = delete;

	/* @left: what run_chain() ended with, in a gap of the site, by a branch that no translation knows
	 * Return: true if there is a part at regs.ip now: run_chain() is to be called anew. */
	bool go_on(const runtime::Chain &left, ub_regs &regs);

private:
	static constexpr uint32_t kMostOpen = 64;

	/* In the attempt's memory, before the part's arena. */
	struct State {
		UserAddr open[kMostOpen];	/* return addresses of the open calls, outermost first */
		uint64_t stack[256];
	};

	State &state() const { return *static_cast<State *>(attempt_.memory()); }
	Result<runtime::Translation *> translate_part(UserAddr start, uint64_t sp, std::span<const UserAddr> open,
						      Arena &arena);
	bool add(runtime::Translation &part, uint64_t since);
	bool make_part(const runtime::Chain &left, const ub_regs &regs);

	ub_space &space_;
	profiler::Site &site_;
	const sfi::Contract &contract_;
	translator::PartAttempt attempt_;
	const uint64_t until_ns_;
	uint64_t spent_ns_ = 0;			/* on parts, without their runs */
	Observation made_for_;			/* what the last part was to know */
};

} // namespace ub
