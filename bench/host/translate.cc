// SPDX-License-Identifier: GPL-2.0
/*
 * bench-translate: what it takes to translate and verify, per 100 guest instructions, by
 * stage, and how large images are. The inputs are the kernels of bench-sandbox, translated
 * from their entries with all that running them taught: code of glibc, libcrypto, sqlite,
 * lua and of programs. Google Benchmark repeats each; times are the thread's own.
 *
 * "publish" is the copy to where the image is verified, which takes other means in the kernel and
 * is not part of the totals. Image bytes are without exit stubs.
 *
 * usage: translate KERNELS.so RESULTS.json [PREFIX] [--benchmark_...]
 */
#include <benchmark/benchmark.h>

#include <cstdio>
#include <ctime>
#include <map>

#include "learned_kernels.h"
#include "translator/analyze.h"
#include "translator/discover.h"
#include "translator/emit.h"
#include "translator/sanitize.h"
#include "translator/unroll.h"

namespace bench {
namespace {

using namespace ub;
using namespace ub::translator;

enum Stage { kDiscover, kUnroll, kAnalyze, kSanitize, kEmit, kPublish, kVerify, kStages };
constexpr const char *kStageNames[kStages] = {"discover", "unroll", "analyze", "sanitize", "emit", "publish", "verify"};
constexpr uint32_t kStubBytes = 11;	/* mov r9d, number; jmp leave */

double now_us()
{
	timespec time;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
	return double(time.tv_sec) * 1e6 + double(time.tv_nsec) / 1e3;
}

struct Sizes {
	uint32_t instructions = 0;	/* discovered, calls counted each time they are inlined */
	uint32_t guest_bytes = 0;	/* of these */
	uint32_t image_bytes = 0, stub_bytes = 0;
};

struct Row {
	Sizes sizes;
	double us[kStages] = {};	/* of one translation, means */
};
std::map<std::string, Row> rows;

uint32_t bytes_of(const Region &region)
{
	uint32_t sum = 0;

	for (const Block &block : region.blocks)
		for (const Insn &insn : region.of(block))
			sum += insn.length;
	return sum;
}

/* The stages of translator/translate.cc, with a clock between them. */
bool translate_once(const Request &request, const Reservation &code, const sfi::Contract &contract, void *memory, double *us,
		    Sizes &sizes)
{
	Arena arena(memory, kArenaBytes);
	double begin = now_us();
	const auto lap = [&](Stage stage) {
		const double end = now_us();
		us[stage] += end - begin;
		begin = end;
	};

	auto region = discover(request, request.budget.instructions, contract, arena);
	if (!region)
		return false;
	lap(kDiscover);
	sizes.instructions = region->instructions;
	sizes.guest_bytes = bytes_of(*region);
	begin = now_us();
	if (!unroll(*region, arena))
		return false;
	lap(kUnroll);
	if (!analyze(*region, arena))
		return false;
	lap(kAnalyze);
	auto plan = sanitize(*region, arena);
	if (!plan)
		return false;
	lap(kSanitize);
	auto emission = emit(*region, *plan, code.address, 128 << 10, contract, arena);
	if (!emission)
		return false;
	lap(kEmit);
	sfi::Image image = emission->image;
	ubk_code_write(code.address.value, image.bytes.data(), image.bytes.size());
	image.bytes = {reinterpret_cast<const uint8_t *>(code.address.value), image.bytes.size()};
	lap(kPublish);
	const auto verified = sfi::verify(image, contract, arena);
	lap(kVerify);
	sizes.image_bytes = uint32_t(image.bytes.size());
	sizes.stub_bytes = uint32_t(image.exits.size()) * kStubBytes;
	return bool(verified);
}

void translate_kernel(benchmark::State &state, const ub_kernel *which)
{
	static std::map<const ub_kernel *, std::vector<Observation>> learned;
	const auto found = learned.find(which);
	if (found == learned.end()) {
		LearnedKernel kernel(*which);
		learned[which] = kernel.code().follower.learned();
	}

	static std::vector<char> memory(kArenaBytes);
	const Reservation code{KernelAddr(ubk_code_reserve(sfi::kImageMaxBytes)), sfi::kImageMaxBytes};
	const sfi::Contract contract = host::contract();
	Request request;
	Row row;
	double ignored[kStages];

	request.start = UserAddr(reinterpret_cast<uint64_t>(which->run));
	request.learned = learned[which];
	/* A budget that fits, as translate() finds it. */
	while (!translate_once(request, code, contract, memory.data(), ignored, row.sizes) && request.budget.instructions > 64)
		request.budget.instructions /= 2;
	double us[kStages] = {};
	for (auto _ : state)
		if (!translate_once(request, code, contract, memory.data(), us, row.sizes))
			state.SkipWithError("not translated");
	ubk_code_release(code.address.value, code.bytes);

	double sum = 0;
	for (unsigned int i = 0; i < kStages; i++) {
		row.us[i] = us[i] / double(state.iterations());
		state.counters[kStageNames[i]] = row.us[i] * 100 / row.sizes.instructions;
		sum += i == kPublish ? 0 : row.us[i];
	}
	state.counters["per100"] = sum * 100 / row.sizes.instructions;
	state.counters["bytes"] = double(row.sizes.image_bytes - row.sizes.stub_bytes) / row.sizes.guest_bytes;
	rows[which->name] = row;
}

void write_row(FILE *out, const char *separator, const std::string &name, const Row &row)
{
	const Sizes &s = row.sizes;
	double sum = 0;

	fprintf(out, "%s\n    { \"case\": \"%s\", \"unit\": \"us per 100 guest instructions\",", separator, name.c_str());
	for (unsigned int i = 0; i < kStages; i++) {
		fprintf(out, " \"%s\": %.2f,", kStageNames[i], row.us[i] * 100 / s.instructions);
		sum += i == kPublish ? 0 : row.us[i];
	}
	fprintf(out, "\n      \"total\": %.2f, \"instructions\": %u, \"guest_bytes\": %u, \"image_bytes\": %u, \"stub_bytes\": %u,"
		" \"size_ratio\": %.3f, \"verifier_mb_per_s\": %.1f }", sum * 100 / s.instructions, s.instructions,
		s.guest_bytes, s.image_bytes, s.stub_bytes, double(s.image_bytes - s.stub_bytes) / s.guest_bytes,
		s.image_bytes / row.us[kVerify]);
}

bool write(const char *path)
{
	FILE *const out = fopen(path, "w");
	Row all;
	const char *separator = "";

	if (!out || rows.empty()) {
		perror(path);
		return false;
	}
	fprintf(out, "%s", results_head("bench-translate").c_str());
	for (const auto &[name, row] : rows) {
		write_row(out, separator, name, row);
		separator = ",";
		all.sizes.instructions += row.sizes.instructions;
		all.sizes.guest_bytes += row.sizes.guest_bytes;
		all.sizes.image_bytes += row.sizes.image_bytes;
		all.sizes.stub_bytes += row.sizes.stub_bytes;
		for (unsigned int i = 0; i < kStages; i++)
			all.us[i] += row.us[i];
	}
	write_row(out, ",", "all", all);
	fprintf(out, "\n  ],\n  \"totals\": { \"passed\": %zu, \"failed\": 0, \"skipped\": 0 } }\n", rows.size());
	fclose(out);
	return true;
}

} // namespace
} // namespace bench

int main(int count, char **arguments)
{
	benchmark::Initialize(&count, arguments);
	if (count < 3) {
		fprintf(stderr, "usage: %s KERNELS.so RESULTS.json [PREFIX] [--benchmark_...]\n", arguments[0]);
		return 2;
	}
	for (const ub_kernel *each : bench::load_kernels(arguments[1], count > 3 ? arguments[3] : nullptr))
		benchmark::RegisterBenchmark(each->name, bench::translate_kernel, each);
	benchmark::RunSpecifiedBenchmarks();
	return bench::write(arguments[2]) ? 0 : 1;
}
