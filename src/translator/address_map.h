/* SPDX-License-Identifier: GPL-2.0 */
/*
 * AddressMap: (user address, a small tag) → index, the one lookup structure of the
 * translator. Open addressing in the arena, at most three places in four taken, never shrinks.
 */
#pragma once

#include "base/address.h"
#include "base/arena.h"

namespace ub::translator {

class AddressMap {
public:
	static constexpr uint32_t kMissing = ~uint32_t(0);

	AddressMap() = default;
	AddressMap(Arena &arena, uint32_t entries)
	{
		uint32_t places = 16;
		while (places < entries + entries / 3)
			places *= 2;
		places_ = arena.make<Place>(places);
		mask_ = places_ ? places - 1 : 0;
		left_ = places_ ? entries : 0;
	}

	/* Tags are below 2^16; addresses lie in the user half, so both fit one key. */
	uint32_t find(uint32_t tag, UserAddr address) const
	{
		return places_ ? places_[place_of(key(tag, address))].value - 1 : kMissing;
	}

	/* False when the map is full and the key is new. */
	bool put(uint32_t tag, UserAddr address, uint32_t value)
	{
		if (!places_)
			return false;
		Place &place = places_[place_of(key(tag, address))];
		if (!place.value) {
			if (!left_)
				return false;
			left_--;
			place.key = key(tag, address);
		}
		place.value = value + 1;
		return true;
	}

private:
	struct Place {
		uint64_t key = 0;
		uint32_t value = 0;	/* 0: free, else the value + 1 */
	};

	static uint64_t key(uint32_t tag, UserAddr address) { return uint64_t(tag) << 48 ^ address.value; }

	uint32_t place_of(uint64_t key) const
	{
		uint32_t i = uint32_t((key * 0x9e3779b97f4a7c15) >> 32) & mask_;
		while (places_[i].value && places_[i].key != key)
			i = (i + 1) & mask_;
		return i;
	}

	Place *places_ = nullptr;
	uint32_t mask_ = 0;
	uint32_t left_ = 0;
};

} // namespace ub::translator
