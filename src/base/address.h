/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Addresses: a user address names a byte of the guest program, a kernel address
 * a byte of ours. They are different types, neither converts to the other or to
 * a pointer by accident, so guest memory is never dereferenced by the core.
 */
#pragma once

#include <compare>
#include <cstdint>

namespace ub {

struct UserAddr {
	uint64_t value = 0;

	constexpr UserAddr() = default;
	constexpr explicit UserAddr(uint64_t v) : value(v) {}
	constexpr UserAddr operator+(int64_t delta) const { return UserAddr(value + uint64_t(delta)); }
	constexpr int64_t operator-(UserAddr other) const { return int64_t(value - other.value); }
	constexpr auto operator<=>(const UserAddr &) const = default;
	/* Below the lower half's end with 4-level paging; the vdso and every
	 * mapping that was not asked for with a high hint lie there. */
	constexpr bool in_user_half() const { return value < (uint64_t(1) << 47); }
};

struct KernelAddr {
	uint64_t value = 0;

	constexpr KernelAddr() = default;
	constexpr explicit KernelAddr(uint64_t v) : value(v) {}
	constexpr KernelAddr operator+(int64_t delta) const { return KernelAddr(value + uint64_t(delta)); }
	constexpr int64_t operator-(KernelAddr other) const { return int64_t(value - other.value); }
	constexpr auto operator<=>(const KernelAddr &) const = default;
};

} // namespace ub
