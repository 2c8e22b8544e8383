/* SPDX-License-Identifier: GPL-2.0 */
/* The verdict of payoff.h: a rank-sum test, its level and its repetition. */

#include <algorithm>

#include "profiler/payoff.h"

namespace ub::profiler {
namespace {

/*
 * Of all pairs of a translated and a native gap, the share in which the translated one
 * is the longer by more than a 32nd: half, if it takes just so much longer. With 48 samples
 * a side chance makes it three fifths in one window of 20 then, and in two in a row once
 * in 500. A translation that is slower by a 32nd and two thirds of the samples' spread is
 * found out nineteen times in twenty. Less is nothing: the sampling, and going to and fro
 * between both ways, would cost as much as is at stake.
 */
constexpr uint32_t kAlike = 32;
constexpr uint32_t kLosingFifths = 3;
constexpr uint32_t kLosingWindows = 2;

/* What was put back is tried again after a second, two, four, … up to so many doublings, and not before so many
 * times as long as translating it and a trial take: some programs have a dozen sites. */
constexpr uint64_t kNsPerSecond = 1000000000;
constexpr uint32_t kMostDoublings = 8;
constexpr uint64_t kCostShare = 1024;
constexpr uint64_t kTrialGaps = 1000;

uint32_t saturated(uint64_t ns)
{
	return ns > UINT32_MAX ? UINT32_MAX : uint32_t(ns);
}

} // namespace

void native_gap(Payoff &payoff, uint64_t ns)
{
	payoff.native_ns[payoff.natives++ % kSamples] = saturated(ns);
}

bool translated_gap(Payoff &payoff, uint64_t ns)
{
	const uint32_t at = payoff.translateds++;

	payoff.translated_ns[at % kSamples] = saturated(ns);
	return at + 1 >= kSamples;
}

uint32_t median_ns(const uint32_t (&samples)[kSamples])
{
	uint32_t sorted[kSamples];
	uint32_t *const end = std::copy_if(samples, samples + kSamples, sorted, [](uint32_t ns) { return ns; });

	if (end == sorted)
		return 0;
	std::make_heap(sorted, end);
	std::sort_heap(sorted, end);
	return sorted[(end - sorted) / 2];
}

void begin(Payoff &payoff)
{
	payoff.natives = payoff.translateds = payoff.lost = 0;
	payoff.decided = false;
	payoff.retry_at_ns = 0;
}

void drop_window(Payoff &payoff)
{
	payoff.translateds = payoff.lost = 0;
}

Verdict weigh(Payoff &payoff)
{
	const bool enough = payoff.natives >= kSamples && payoff.translateds >= kSamples;
	uint32_t longer = 0;

	payoff.translateds = 0;
	if (!enough)
		return Verdict::kNone;
	for (uint32_t translated : payoff.translated_ns)
		for (uint32_t native : payoff.native_ns)
			longer += translated > uint64_t(native) + native / kAlike;

	const bool loses = 5 * longer > kLosingFifths * kSamples * kSamples;
	payoff.lost = loses ? payoff.lost + 1 : 0;
	if (loses && payoff.lost < kLosingWindows)
		return Verdict::kNone;
	payoff.decided = true;
	return loses ? Verdict::kLoses : Verdict::kPays;
}

void put_back(Payoff &payoff, uint64_t now_ns, uint64_t made_in_ns)
{
	const uint32_t native = median_ns(payoff.native_ns), translated = median_ns(payoff.translated_ns);
	const uint64_t lost = translated > native ? translated - native : 0;
	const uint64_t cost = made_in_ns + kTrialGaps * lost;

	payoff.retry_at_ns = now_ns + std::max(kNsPerSecond << payoff.put_back, kCostShare * cost);
	payoff.put_back += payoff.put_back < kMostDoublings;
}

} // namespace ub::profiler
