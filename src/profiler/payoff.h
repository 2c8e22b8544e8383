/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Payoff: whether a site's gaps are faster translated than native, by measurement.
 *
 * Both ways the time from a syscall's end to the next one's start is sampled, in turns:
 * where a chain reaches its bounds, and now and then where it ends inside a gap, the next gap runs natively. A gap
 * that a translation has left is one of its own, up to where the rest of it ended natively. A verdict compares the
 * last samples of either side by rank, which neither a few interrupted gaps nor a
 * mixture of short and long ones misleads, and is bad only when two windows in a row
 * say that more than a few percent are lost. A site that lost gets another chance after a while, as programs have
 * phases: each time a longer one, and one beside which the chance itself costs little.
 */
#pragma once

#include <cstdint>

namespace ub::profiler {

inline constexpr uint32_t kSamples = 48;

enum class Verdict : uint8_t { kNone, kPays, kLoses };

struct Payoff {
	uint32_t native_ns[kSamples] = {};
	uint32_t translated_ns[kSamples] = {};
	uint32_t natives = 0;		/* samples taken natively since begin() */
	uint32_t translateds = 0;	/* and translated, since the last weighing */
	uint32_t lost = 0;		/* windows lost in a row */
	bool decided = false;		/* it was weighed since begin() */
	uint32_t put_back = 0;		/* how often it was */
	uint64_t retry_at_ns = 0;	/* put back until then; 0: it is not */

	bool may_retry(uint64_t now_ns) const { return retry_at_ns && now_ns >= retry_at_ns; }
};

/* One gap was timed. Threads may race: a sample is lost then. Return of the second: a window
 * is full and weigh() is due. */
void native_gap(Payoff &payoff, uint64_t ns);
bool translated_gap(Payoff &payoff, uint64_t ns);

/* The median of a side's last samples, of earlier trials too; 0: there is none. Any context. */
uint32_t median_ns(const uint32_t (&samples)[kSamples]);

/* The rest is under the space's lock. */

/* There is a translation where there was none: only what is sampled from now on counts. */
void begin(Payoff &payoff);

/* What was timed since the last weighing does not count. */
void drop_window(Payoff &payoff);

/* Compares both sides. kNone: too few samples for a verdict yet. */
Verdict weigh(Payoff &payoff);

/* The site is native from now on, until it may_retry(). @made_in_ns: what its translation took to make. */
void put_back(Payoff &payoff, uint64_t now_ns, uint64_t made_in_ns);

} // namespace ub::profiler
