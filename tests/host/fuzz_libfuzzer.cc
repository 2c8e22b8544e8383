// SPDX-License-Identifier: GPL-2.0
/*
 * A fuzz target under libFuzzer, which looks at what is covered and changes what covered
 * more. UB_FUZZ_TARGET is the function that makes the target. scripts/fuzz runs it.
 */
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "fuzz.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t most);

static host::FuzzTarget &target()
{
	static const std::unique_ptr<host::FuzzTarget> instance = host::UB_FUZZ_TARGET();
	return *instance;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const std::string finding = target().run({data, size});

	if (!finding.empty()) {
		fprintf(stderr, "finding: %s\n", finding.c_str());
		abort();
	}
	return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned int seed)
{
	host::Bytes input(data, data + size);
	host::Random random(seed);

	target().mutate(input, most, random, [](host::Bytes &bytes, size_t limit) {
		const size_t had = bytes.size();
		bytes.resize(std::max(limit, had));
		bytes.resize(LLVMFuzzerMutate(bytes.data(), std::min(had, limit), limit));
	});
	size = std::min(input.size(), most);
	memcpy(data, input.data(), size);
	return size;
}
