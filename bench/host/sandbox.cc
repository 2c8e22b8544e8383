// SPDX-License-Identifier: GPL-2.0
/*
 * bench-sandbox: how fast translated code runs on this CPU. Each kernel runs natively and
 * as images by turns, in one process and on the same memory; what leaving and entering
 * takes, measured with a kernel that does nothing, is subtracted from both sides. Time is the
 * thread's own. Ratios are native time / translated time, medians over pairs; the spread is
 * the half width of the middle half. Exits are returns from images in a run but its end.
 *
 * usage: sandbox KERNELS.so RESULTS.json [PREFIX of names]; PAIRS is their number
 */
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>

#include "learned_kernels.h"

namespace bench {
namespace {

double now()
{
	timespec time;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
	return double(time.tv_sec) * 1e6 + double(time.tv_nsec) / 1e3;
}

double quantile(std::vector<double> values, double which)
{
	std::sort(values.begin(), values.end());
	return values[size_t(which * double(values.size() - 1) + 0.5)];
}

struct Times {
	double native, translated, ratio, spread;
};

template <typename Run>
double time_of(Run run)
{
	const double begin = now();

	run();
	return now() - begin;
}

/* In microseconds; `around` is subtracted. */
Times measure(LearnedKernel &kernel, unsigned int pairs, const Times &around)
{
	std::vector<double> native, translated, ratios;

	for (unsigned int i = 0; i < pairs; i++) {
		double a = 0, b = 0;
		/* Which goes first alternates, too. */
		for (const bool natively : {i % 2 == 0, i % 2 != 0}) {
			if (natively)
				a = time_of([&] { kernel.natively(); }) - around.native;
			else
				b = time_of([&] { kernel.translated(); }) - around.translated;
		}
		native.push_back(a), translated.push_back(b), ratios.push_back(a / b);
	}
	const double ratio = quantile(ratios, 0.5);
	return {quantile(native, 0.5), quantile(translated, 0.5), ratio,
		(quantile(ratios, 0.75) - quantile(ratios, 0.25)) / 2 / ratio};
}

unsigned long nothing()
{
	return 1;
}

int run(const char *library, const char *path, const char *only)
{
	const char *const given = getenv("PAIRS");
	const unsigned int pairs = given ? unsigned(atoi(given)) : 101;
	const ub_kernel empty{"nothing", nullptr, nothing};
	const Times around = measure(*std::make_unique<LearnedKernel>(empty), pairs, {});
	std::string rows;
	double logarithms = 0;
	unsigned int count = 0, different = 0;

	printf("%-20s %10s %10s %7s %6s %8s %7s\n", "kernel", "native us", "images us", "ratio", "±", "exits", "steps");
	for (const ub_kernel *each : load_kernels(library, only)) {
		LearnedKernel kernel(*each);
		const bool equal = kernel.equal();
		const unsigned long images = kernel.code().follower.images_run, steps = kernel.code().follower.native_steps;
		const Times times = measure(kernel, pairs, around);
		const double exits = double(kernel.code().follower.images_run - images) / pairs - 1;
		const double left = double(kernel.code().follower.native_steps - steps) / pairs;
		char row[400];

		printf("%-20s %10.1f %10.1f %7.3f %6.3f %8.1f %7.1f%s\n", each->name, times.native, times.translated,
		       times.ratio, times.spread, exits, left, equal ? "" : "  DIFFERENT");
		fflush(stdout);
		snprintf(row, sizeof(row),
			 "%s\n    { \"case\": \"%s\", \"unit\": \"us\", \"off\": %.3f, \"on\": %.3f, \"ratio\": %.4f,"
			 " \"spread\": %.4f, \"exits\": {\"any\": %.1f}, \"native_steps\": %.1f, \"equal\": %s }",
			 count ? "," : "", each->name, times.native, times.translated, times.ratio, times.spread, exits, left,
			 equal ? "true" : "false");
		rows += row;
		logarithms += std::log(times.ratio);
		count++, different += !equal;
	}
	const double mean = std::exp(logarithms / count);
	printf("%u kernels, geometric mean of ratios %.3f: translated code takes %.3f times as long\n", count, mean, 1 / mean);

	FILE *const out = fopen(path, "w");
	if (!out) {
		perror(path);
		return 1;
	}
	fprintf(out, "%s%s\n  ],\n  \"geometric_mean\": %.4f, \"pairs\": %u,\n"
		"  \"totals\": { \"passed\": %u, \"failed\": %u, \"skipped\": 0 } }\n",
		results_head("bench-sandbox").c_str(), rows.c_str(), mean, pairs, count - different, different);
	fclose(out);
	return different != 0;
}

} // namespace
} // namespace bench

int main(int count, char **arguments)
{
	if (count < 3) {
		fprintf(stderr, "usage: [PAIRS=N] %s KERNELS.so RESULTS.json [PREFIX]\n", arguments[0]);
		return 2;
	}
	return bench::run(arguments[1], arguments[2], count > 3 ? arguments[3] : nullptr);
}
