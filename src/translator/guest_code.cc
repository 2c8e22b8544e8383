/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Reads guest code through ubk_guest_read() a page at a time, for discover. What may be
 * read at all (private, executable, read-only file mappings) is the service's decision.
 */
#include "translator/guest_code.h"

#include <algorithm>

#include "kernel/services.h"

namespace ub::translator {

GuestCode::GuestCode(struct ubk_mm *mm, Arena &arena, uint32_t max_pages)
	: mm_(mm), arena_(arena), pages_(arena, max_pages), index_(arena, max_pages)
{
}

const GuestCode::Page *GuestCode::page_at(UserAddr start)
{
	if (last_ && last_->start == start)
		return last_;
	if (!start.in_user_half())
		return nullptr;

	const uint32_t known = index_.find(0, start);
	if (known != AddressMap::kMissing)
		return last_ = &pages_[known];

	if (pages_.size() == pages_.capacity())
		return nullptr;
	Page page;
	page.start = start;
	page.bytes = arena_.raw<uint8_t>(kPageBytes);
	if (!page.bytes)
		return nullptr;
	page.count = uint32_t(ubk_guest_read(mm_, start.value, page.bytes, kPageBytes));
	if (!index_.put(0, start, uint32_t(pages_.size())))
		return nullptr;
	return last_ = pages_.push_back(page);
}

std::span<const uint8_t> GuestCode::read(UserAddr address, uint8_t *joined, size_t count)
{
	/* Mostly it lies in the page of the one before. */
	if (last_ && address.value - last_->start.value + count <= last_->count && address >= last_->start)
		return {last_->bytes + (address.value - last_->start.value), count};

	size_t done = 0;
	while (done < count) {
		const UserAddr at = address + int64_t(done);
		const uint32_t offset = at.value % kPageBytes;
		const Page *page = page_at(UserAddr(at.value - offset));
		if (!page || offset >= page->count)
			break;
		const size_t n = std::min<size_t>(count - done, page->count - offset);
		if (n == count)
			return {page->bytes + offset, n};
		std::copy_n(page->bytes + offset, n, joined + done);
		done += n;
	}
	return {joined, done};
}

std::span<const Extent> GuestCode::sources(Arena &arena) const
{
	Extent *extents = arena.make<Extent>(pages_.size());
	size_t count = 0;

	if (!extents)
		return {};
	for (const Page &page : pages_) {
		if (page.count)
			extents[count++] = {page.start, page.start + kPageBytes};
	}

	const auto below = [](const Extent &a, const Extent &b) { return a.start < b.start; };
	std::make_heap(extents, extents + count, below);
	std::sort_heap(extents, extents + count, below);

	size_t merged = 0;
	for (size_t i = 0; i < count; i++) {
		if (merged && extents[merged - 1].end == extents[i].start)
			extents[merged - 1].end = extents[i].end;
		else
			extents[merged++] = extents[i];
	}
	return {extents, merged};
}

} // namespace ub::translator
