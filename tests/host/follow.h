/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Real code run to its end as images: what the kernel does for a gap, but without the
 * kernel's way out. Where an image is left by a branch it had no code for, the branch is
 * taught, and the run goes on in an image that begins there; a syscall is made, and its
 * gap is the next image; what is left to the CPU is one native instruction, which is
 * counted. So nearly all of a function's work is done translated, also on its first call,
 * and how much of it is known. Images are made anew when there is something new to teach.
 */
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "differential.h"

namespace host {

class Follower {
public:
	/* Code ends at the syscall instruction at `end`. Images are tallied in `differential`. */
	Follower(Differential &differential, uint64_t end) : differential_(differential), end_(end) {}

	/* Runs from a state to the end, or to an exception that native code would raise too. */
	Ended run(const State &state);

	/* Sums over all runs. */
	unsigned long images_run = 0;
	unsigned long native_steps = 0;		/* instructions left to the CPU */
	unsigned long branches_taken = 0;	/* indirect ones with more targets than an image compares */
	unsigned long syscalls = 0;
	unsigned long spurious_faults = 0;
	/* Instructions made natively by their bytes, and how often. */
	std::map<std::string, unsigned long> stepped;

	/* Branches that images had no code for. */
	const std::vector<ub::Observation> &learned() const { return learned_; }

	/* The sums, and what was stepped over most often. */
	std::string text() const;

private:
	/* An image for what begins at one address. */
	struct Place {
		std::unique_ptr<Translation> translation;
		size_t taught = 0;		/* observations there were when it was made */
		bool stale = true;
		unsigned int made = 0;
	};

	Place *place(uint64_t ip);
	bool follow_exit(Place &place, const ub::sfi::Exit &exit, uint64_t target);

	Differential &differential_;
	uint64_t end_;
	std::map<uint64_t, Place> places_;
	std::vector<ub::Observation> learned_;
	std::map<std::pair<uint64_t, uint64_t>, size_t> known_;	/* from, to: where in `learned_` */
};

} // namespace host
