/* SPDX-License-Identifier: GPL-2.0 */
/*
 * AddressMap: (user address, a small tag) → index, the one lookup structure of the
 * translator. Open addressing in the arena, at most half of the places taken. It begins
 * small and moves to twice the places when it must: most regions are small, and
 * clearing what a large one would need takes longer than translating a small one.
 */
#pragma once

#include "base/address.h"
#include "base/arena.h"

namespace ub::translator {

class AddressMap {
public:
	static constexpr uint32_t kMissing = ~uint32_t(0);

	AddressMap() = default;
	/* Of at most `entries`. */
	AddressMap(Arena &arena, uint32_t entries) : arena_(&arena), entries_(entries) { (void)move_to(kFirstPlaces); }

	/* Tags are below 2^16; addresses lie in the user half, so both fit one key. */
	uint32_t find(uint32_t tag, UserAddr address) const
	{
		return places_ ? places_[place_of(key(tag, address))].value - 1 : kMissing;
	}

	/* False when the map is full and the key is new. */
	bool put(uint32_t tag, UserAddr address, uint32_t value)
	{
		Place *place = place_for(key(tag, address));

		if (place)
			place->value = value + 1;
		return place;
	}

	/* What the key stands for, which is `value` if it is new. kMissing when it does not fit. */
	uint32_t find_or_put(uint32_t tag, UserAddr address, uint32_t value)
	{
		Place *place = place_for(key(tag, address));

		if (!place)
			return kMissing;
		if (!place->value)
			place->value = value + 1;
		return place->value - 1;
	}

private:
	static constexpr uint32_t kFirstPlaces = 256;

	struct Place {
		uint64_t key;
		uint32_t value;	/* 0: free, else the value + 1 */
	};

	static uint64_t key(uint32_t tag, UserAddr address) { return uint64_t(tag) << 48 ^ address.value; }

	uint32_t place_of(uint64_t key) const
	{
		uint32_t i = uint32_t((key * 0x9e3779b97f4a7c15) >> 32) & mask_;
		while (places_[i].value && places_[i].key != key)
			i = (i + 1) & mask_;
		return i;
	}

	/* The key's place, or a new one; the caller sets its value. Null: none is left. */
	Place *place_for(uint64_t key)
	{
		if (!places_)
			return nullptr;
		uint32_t i = place_of(key);
		if (places_[i].value)
			return &places_[i];
		if (used_ == entries_)
			return nullptr;
		if (used_ > mask_ / 2) {
			if (!move_to(2 * (mask_ + 1)))
				return nullptr;
			i = place_of(key);
		}
		used_++;
		places_[i].key = key;
		return &places_[i];
	}

	bool move_to(uint32_t count)
	{
		const Place *old = places_;
		const uint32_t old_count = places_ ? mask_ + 1 : 0;
		Place *places = arena_->make<Place>(count);

		if (!places)
			return false;
		places_ = places;
		mask_ = count - 1;
		for (uint32_t i = 0; i < old_count; i++)
			if (old[i].value)
				places_[place_of(old[i].key)] = old[i];
		return true;
	}

	Arena *arena_ = nullptr;
	Place *places_ = nullptr;
	uint32_t entries_ = 0;
	uint32_t mask_ = 0;
	uint32_t used_ = 0;
};

} // namespace ub::translator
