/* SPDX-License-Identifier: GPL-2.0 */
/* Kernels, loaded, set up, and run as images until these have nothing more to learn. */
#pragma once

#include <string>

#include "kernels.h"
#include "real.h"

namespace bench {

/* For the head of a file of results. */
std::string first_line_of(const char *path, const char *key);
std::string results_head(const char *name);

class LearnedKernel {
public:
	LearnedKernel(const ub_kernel &kernel, bool run_until_learned = true);

	/* From the kernel's entry to its return, by the CPU and as images. */
	host::Ended natively() { return host::run_natively(state_); }
	host::Ended translated() { return code_.follower.run(state_); }
	bool equal();

	uint64_t start() const { return state_.regs.ip; }
	host::RealCode &code() { return code_; }

private:
	host::RealCode code_;
	host::State state_;
};

/* The kernels, from the shared library at the path; only those whose names begin with `only`. */
std::vector<const ub_kernel *> load_kernels(const char *path, const char *only);

} // namespace bench
