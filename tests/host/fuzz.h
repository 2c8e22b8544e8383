/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Fuzz targets: what is tried with any bytes, and when that is a finding.
 *
 *	code	bytes as guest code, with a request for it: translate() ends, keeps to its budget
 *		and its memory, and the verifier accepts what it made (fuzz_code.cc)
 *	image	bytes as an image with fault entries and exits: verify() ends, keeps to its
 *		memory, and accepts nothing that the oracle says can escape (fuzz_image.cc)
 *
 * An input means the same in every process: no address of this one is in it. Two programs
 * feed them: fuzz_main.cc with a fixed seed, fuzz_libfuzzer.cc with the coverage's advice.
 */
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "guest.h"
#include "sfi/contract.h"

namespace host {

using Bytes = std::vector<uint8_t>;
/* Changes bytes, up to so many of them, as it likes. */
using ByteMutator = std::function<void(Bytes &bytes, size_t most)>;

class FuzzTarget {
public:
	virtual ~FuzzTarget() = default;
	/* Return: what was found, a sentence; empty when all is well. */
	virtual std::string run(std::span<const uint8_t> input) = 0;
	/* Makes another input of one, longer by some bytes at most. */
	virtual void mutate(Bytes &input, size_t most, Random &random, const ByteMutator &change) = 0;
	/* Inputs to begin with. */
	virtual std::vector<Bytes> seeds() = 0;
	/* Of the inputs run: translated, or accepted. */
	unsigned long good = 0;
};

std::unique_ptr<FuzzTarget> code_target();
std::unique_ptr<FuzzTarget> image_target();

/* An input's fields, little endian; zeroes behind its end. */
class FuzzReader {
public:
	explicit FuzzReader(std::span<const uint8_t> input) : input_(input) {}

	uint64_t take(unsigned int bytes)
	{
		uint64_t value = 0;
		for (unsigned int i = 0; i < bytes && !input_.empty(); i++) {
			value |= uint64_t(input_[0]) << 8 * i;
			input_ = input_.subspan(1);
		}
		return value;
	}
	std::span<const uint8_t> rest() const { return input_; }

private:
	std::span<const uint8_t> input_;
};

void fuzz_put(Bytes &to, uint64_t value, unsigned int bytes);

/* A seed for what an input's run leaves to chance. */
uint64_t fuzz_hash(std::span<const uint8_t> input);

/* The host's contract with what differs between machines chosen by four bits. */
ub::sfi::Contract fuzz_contract(unsigned int bits);

/* CPU time of this thread: the limit on a run. ASan's build is some five times slower. */
double fuzz_seconds();
inline constexpr double kFuzzSeconds = 4;

} // namespace host
