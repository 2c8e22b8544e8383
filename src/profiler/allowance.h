/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Allowance: the time that translating may take of an address space's. What a program is asked to
 * wait for must be little beside what it has run: some translations at once, an eighth of its time while
 * it is young, as most of what there is to learn shows then, and less than a hundredth from then on.
 * It counts what the workers spend, too: their CPU may be the program's.
 */
#pragma once

#include <algorithm>
#include <cstdint>

namespace ub::profiler {

/* All under the space's lock; times are those of ubk_now_ns(). */
class Allowance {
public:
	void begin(uint64_t now_ns) { since_ns_ = now_ns; }
	void spend(uint64_t ns) { spent_ns_ += ns; }

	/* What was not used is not kept for long. */
	bool is_left(uint64_t now_ns)
	{
		const uint64_t passed = now_ns - since_ns_;
		const uint64_t granted = kAtOnceNs + std::min(passed / kYoungShare, kYoungNs) + passed / kShare;

		if (granted > spent_ns_ + kMostNs)
			spent_ns_ = granted - kMostNs;
		return spent_ns_ < granted;
	}

private:
	static constexpr uint64_t kAtOnceNs = 20000000;
	static constexpr uint64_t kYoungShare = 8, kYoungNs = 150000000;
	static constexpr uint64_t kShare = 128;
	static constexpr uint64_t kMostNs = 200000000;

	uint64_t since_ns_ = 0;
	uint64_t spent_ns_ = 0;
};

} // namespace ub::profiler
