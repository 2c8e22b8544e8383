/* SPDX-License-Identifier: GPL-2.0 */
/*
 * GuestCode: the guest's code pages as one attempt sees them. A page is read once, so
 * all stages see the same bytes, and is then part of the translation's sources.
 */
#pragma once

#include <span>

#include "base/arena.h"
#include "base/extent.h"
#include "translator/address_map.h"

struct ubk_mm;

namespace ub::translator {

inline constexpr uint64_t kPageBytes = 4096;

class GuestCode {
public:
	GuestCode(struct ubk_mm *mm, Arena &arena, uint32_t max_pages);

	/* Up to `count` bytes from `address` on, across a page's end if the next one can be
	 * read too: then they are put together in `joined`. None when the code there cannot
	 * be read. */
	std::span<const uint8_t> read(UserAddr address, uint8_t *joined, size_t count);

	/* The pages read so far, merged, ascending. */
	std::span<const Extent> sources(Arena &arena) const;

private:
	struct Page {
		UserAddr start;
		uint8_t *bytes = nullptr;
		uint32_t count = 0;	/* readable bytes from the start on */
	};
	const Page *page_at(UserAddr start);

	struct ubk_mm *mm_;
	Arena &arena_;
	Table<Page> pages_;
	AddressMap index_;
	const Page *last_ = nullptr;
};

} // namespace ub::translator
