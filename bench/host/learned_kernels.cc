// SPDX-License-Identifier: GPL-2.0
/* Kernels ready to be measured: see learned_kernels.h. */
#include "learned_kernels.h"

#include <ctime>
#include <fstream>

namespace bench {

namespace {

/* Runs without anything new to learn before it is taken for learned; and runs in all. */
constexpr unsigned int kQuietRuns = 3, kRuns = 60;

} // namespace

std::string first_line_of(const char *path, const char *key)
{
	std::ifstream in(path);
	std::string line;

	while (std::getline(in, line))
		if (line.rfind(key, 0) == 0)
			return line.substr(line.find(':') + 2);
	return "unknown";
}

std::string results_head(const char *name)
{
	const char *const commit = getenv("COMMIT");
	const time_t now = time(nullptr);
	char date[32];

	strftime(date, sizeof(date), "%FT%TZ", gmtime(&now));
	return std::string("{ \"name\": \"") + name + "\", \"commit\": \"" + (commit ? commit : "") + "\", \"date\": \"" + date +
	       "\", \"cpu\": \"" + first_line_of("/proc/cpuinfo", "model name") + "\",\n  \"rows\": [";
}

LearnedKernel::LearnedKernel(const ub_kernel &kernel, bool run_until_learned)
{
	const host::RealCode::Call call{reinterpret_cast<const void *>(kernel.run), {}};
	unsigned int quiet = 0;

	if (kernel.set_up)
		kernel.set_up();
	kernel.run();
	code_.differential.budget = {};
	state_ = code_.state_of(call, 1);
	for (unsigned int i = 0; run_until_learned && i < kRuns && quiet < kQuietRuns; i++) {
		const size_t known = code_.follower.learned().size();
		translated();
		quiet = code_.follower.learned().size() == known ? quiet + 1 : 0;
	}
}

bool LearnedKernel::equal()
{
	const host::Ended native = natively(), ours = translated();

	return ours.stop == host::Stop::kSyscall && native.state.regs.ax == ours.state.regs.ax;
}

std::vector<const ub_kernel *> load_kernels(const char *path, const char *only)
{
	static const host::Library library(path);
	std::vector<const ub_kernel *> kernels;

	for (auto *each = static_cast<const ub_kernel *>(library.find("ub_kernels")); each->name; each++)
		if (!only || std::string(each->name).rfind(only, 0) == 0)
			kernels.push_back(each);
	return kernels;
}

} // namespace bench
