/* SPDX-License-Identifier: GPL-2.0 */
/* Extent: a run of guest memory [start, end), such as what a translation was made from. */
#pragma once

#include "base/address.h"

namespace ub {

struct Extent {
	UserAddr start;
	UserAddr end;

	constexpr bool overlaps(UserAddr begin, UserAddr limit) const { return start < limit && begin < end; }
};

} // namespace ub
