/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The journal: which guest ranges changed lately, so that a translation made meanwhile
 * can be seen to be stale when it is about to be published. All under the space's lock.
 */
#pragma once

#include <cstdint>

#include "base/extent.h"

namespace ub::runtime {

class Journal {
public:
	uint64_t now() const { return count_; }

	void record(UserAddr start, UserAddr end)
	{
		ranges_[count_ % kKept] = {start, end};
		count_++;
	}

	/* Whether the source may have changed since now() was `since`. */
	bool changed(uint64_t since, const Extent &source) const
	{
		if (count_ - since > kKept)
			return true;
		for (uint64_t i = since; i < count_; i++)
			if (source.overlaps(ranges_[i % kKept].start, ranges_[i % kKept].end))
				return true;
		return false;
	}

private:
	static constexpr uint64_t kKept = 128;
	Extent ranges_[kKept];
	uint64_t count_ = 0;
};

} // namespace ub::runtime
