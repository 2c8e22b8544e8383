// SPDX-License-Identifier: GPL-2.0
/* What both fuzz targets make of their inputs: see fuzz.h. */
#include <ctime>

#include "fuzz.h"
#include "host.h"

namespace host {

void fuzz_put(Bytes &to, uint64_t value, unsigned int bytes)
{
	for (unsigned int i = 0; i < bytes; i++)
		to.push_back(uint8_t(value >> 8 * i));
}

uint64_t fuzz_hash(std::span<const uint8_t> input)
{
	uint64_t hash = 0xcbf29ce484222325;

	for (uint8_t byte : input)
		hash = (hash ^ byte) * 0x100000001b3;
	return hash;
}

ub::sfi::Contract fuzz_contract(unsigned int bits)
{
	ub::sfi::Contract contract = host::contract();

	contract.avx = !(bits & 1);
	contract.avx512 = !(bits & 1) && !(bits & 2);
	contract.locked_accesses = !(bits & 4);
	contract.mask_bit = bits & 8 ? 56 : 47;
	return contract;
}

double fuzz_seconds()
{
	timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return double(now.tv_sec) + double(now.tv_nsec) / 1e9;
}

} // namespace host
