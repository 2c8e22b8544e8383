/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Images that the verifier accepted, kept for tests of the verifier itself: of the golden
 * files' code, of every instruction instance, of compiled functions and random programs.
 */
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/observation.h"
#include "sfi/contract.h"

namespace host {

struct KeptImage {
	std::string origin;
	ub::KernelAddr address;
	std::vector<uint8_t> bytes;
	std::vector<ub::sfi::FaultEntry> faults;
	std::vector<ub::sfi::Exit> exits;

	ub::sfi::Image image() const { return {address, bytes, faults, exits}; }
};

/* The guest code of the golden files' cases. */
struct GoldenCode {
	std::string file;
	std::vector<uint8_t> bytes;
	std::vector<ub::Observation> learned;
};
std::vector<GoldenCode> golden_code();

struct Instance;

/* The same in every run on one machine. `programs` bounds the random ones, which are made of wanted
 * instances; images of more than `most_bytes` are left out. */
std::vector<KeptImage> sample_images(unsigned int programs, size_t most_bytes,
				     const std::function<bool(const Instance &)> &wanted = {});

/* Where the verifier says that instructions start, and whether an idiom does. */
struct Start {
	uint32_t offset, length;
	bool poll, exit;
};
std::vector<Start> verified_starts(const ub::sfi::Image &image);

} // namespace host
