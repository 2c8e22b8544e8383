/* SPDX-License-Identifier: GPL-2.0 */
/*
 * AddressMap: (user address, a small tag) → index, the one lookup structure of the
 * translator. Open addressing in the arena, at most half of the places taken. Places
 * are not cleared beforehand, which would take longer than translating a small region: a
 * place counts if the entry it names says so.
 */
#pragma once

#include "base/address.h"
#include "base/arena.h"
#include "base/spread.h"

namespace ub::translator {

class AddressMap {
public:
	static constexpr uint32_t kMissing = ~uint32_t(0);

	AddressMap() = default;
	AddressMap(Arena &arena, uint32_t entries) : entries_(arena, entries)
	{
		uint32_t places = 16;
		while (places < 2 * entries)
			places *= 2;
		places_ = arena.raw<uint32_t>(places);
		mask_ = places - 1;
	}

	void clear() { entries_.clear(); }

	/* Tags are below 2^16; addresses lie in the user half, so both fit one key. */
	uint32_t find(uint32_t tag, UserAddr address) const
	{
		const uint64_t k = key(tag, address);
		const uint32_t place = places_ ? place_of(k) : 0;

		return places_ && taken(place) ? entries_[places_[place]].value : kMissing;
	}

	/* False when the map is full and the key is new. */
	bool put(uint32_t tag, UserAddr address, uint32_t value)
	{
		Entry *entry = entry_for(key(tag, address), value);

		if (entry)
			entry->value = value;
		return entry;
	}

	/* What the key stands for, which is `value` if it is new. kMissing when it does not fit. */
	uint32_t find_or_put(uint32_t tag, UserAddr address, uint32_t value)
	{
		const Entry *entry = entry_for(key(tag, address), value);

		return entry ? entry->value : kMissing;
	}

private:
	struct Entry {
		uint64_t key;
		uint32_t value;
		uint32_t place;		/* in places_, which names this entry */
	};

	static uint64_t key(uint32_t tag, UserAddr address) { return uint64_t(tag) << 48 ^ address.value; }

	bool taken(uint32_t place) const
	{
		const uint32_t entry = places_[place];
		return entry < entries_.size() && entries_[entry].place == place;
	}

	uint32_t place_of(uint64_t key) const
	{
		uint32_t i = uint32_t(spread(key) >> 32) & mask_;
		while (taken(i) && entries_[places_[i]].key != key)
			i = (i + 1) & mask_;
		return i;
	}

	/* The key's entry, made with `value` if it is new. Null: it does not fit. */
	Entry *entry_for(uint64_t key, uint32_t value)
	{
		if (!places_)
			return nullptr;
		const uint32_t place = place_of(key);
		if (taken(place))
			return &entries_[places_[place]];
		places_[place] = uint32_t(entries_.size());
		return entries_.push_back({key, value, place});
	}

	Table<Entry> entries_;
	uint32_t *places_ = nullptr;
	uint32_t mask_ = 0;
};

} // namespace ub::translator
