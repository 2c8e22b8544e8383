/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Payoff: whether a site's gaps are faster translated than native, by measurement.
 *
 * Both ways the time from a syscall's end to the next one's start is sampled. A
 * verdict compares the last samples of either side by rank, which neither a few
 * interrupted gaps nor a mixture of short and long ones misleads, and is bad only
 * when two windows in a row say so. Whatever the verdict, it is doubted again after
 * a while, each time a longer one: programs have phases.
 */
#pragma once

#include <cstdint>

namespace ub::profiler {

inline constexpr uint32_t kSamples = 16;

enum class Verdict : uint8_t { kNone, kPays, kLoses };

struct Payoff {
	uint32_t native_ns[kSamples] = {};
	uint32_t translated_ns[kSamples] = {};
	uint32_t natives = 0;		/* samples taken natively since watch() */
	uint32_t translateds = 0;	/* and translated, since the last weighing */
	uint32_t lost = 0;		/* windows lost in a row */
	uint32_t doubts = 0;		/* how often a verdict was doubted */
	uint64_t doubt_at_ns = 0;	/* when the verdict is; 0: there is none */

	bool decided() const { return doubt_at_ns; }
	bool doubtful(uint64_t now_ns) const { return doubt_at_ns && now_ns >= doubt_at_ns; }
};

/* One gap was timed. Threads may race: a sample is lost then. Return of the second: a window
 * is full and weigh() is due. */
void native_gap(Payoff &payoff, uint64_t ns);
bool translated_gap(Payoff &payoff, uint64_t ns);

/* Compares both sides, under the space's lock. kNone: too few samples for a verdict yet. */
Verdict weigh(Payoff &payoff, uint64_t now_ns);

/* There is a verdict, weighed or by other means; it holds for a while from now on. */
void doubt_later(Payoff &payoff, uint64_t now_ns);

/* Forgets the verdict; native gaps are sampled anew. Under the space's lock. */
void watch(Payoff &payoff);

} // namespace ub::profiler
