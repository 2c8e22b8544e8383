/* SPDX-License-Identifier: GPL-2.0 */
/* Numbers that look random, from ones that count or are addresses: Fibonacci hashing. The upper bits are the good ones. */
#pragma once

#include <cstdint>

namespace ub {

constexpr uint64_t spread(uint64_t number)
{
	return number * 0x9e3779b97f4a7c15;
}

} // namespace ub
