// SPDX-License-Identifier: GPL-2.0
/*
 * The proof by numbers: as many cases as asked for, over all rows of the rule table.
 *
 *	CASES=N SEED=S [ONLY=TEXT] ub_differential RESULTS.json
 *
 * A case is one run of guest code from one state, natively and as an image. The code is an instruction instance in two
 * guests, with live and with dead flags behind it, in every variant of instance.h; in between random programs, which
 * learn. Whole passes are made until there are N cases. A row is covered when an instance of it ran to the end of its
 * gap inside an image. A row that is not, of those allowed and those translated to others, is a failure, unless this
 * CPU lacks it.
 * ONLY runs the instances that hold a text, and judges no rows.
 */
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>

#include <Zydis/Zydis.h>

#include "differential.h"
#include "instance.h"
#include "program.h"
#include "shrink.h"
#include "sfi/rules.h"
#include "translator/sanitize.h"

namespace host {
namespace {

constexpr unsigned int kMostStates = 40;	/* of one image */
constexpr unsigned int kShown = 20;
constexpr unsigned int kProgramEvery = 24;	/* images */
constexpr const char *kVariantNames[kVariants] = {"good", "bad_pointer", "straddle", "bad_stack", "unmasked"};
/* How many of 10 states are of each variant. */
constexpr unsigned int kShares[kVariants] = {5, 2, 1, 1, 1};

struct Row {
	unsigned long cases = 0, through = 0, mismatches = 0;
	unsigned long instances = 0, lacking = 0;
	bool translated = false;	/* some form of it */
};

uint64_t number_from(const char *name, uint64_t by_default)
{
	const char *text = getenv(name);

	return text && *text ? strtoull(text, nullptr, 0) : by_default;
}

/* Its mnemonic, and whether the translator has a way to run it. */
struct Decoded {
	uint16_t mnemonic;
	bool translated;
};

std::vector<Decoded> decode_all()
{
	std::unique_ptr<char[]> memory(new char[ub::translator::kArenaBytes]);
	ub::Arena arena(memory.get(), ub::translator::kArenaBytes);
	ub::translator::Decoder decoder(arena);
	ub::sfi::Contract contract;
	std::vector<Decoded> all;

	contract.avx = contract.avx512 = true;
	for (const Instance &instance : instances()) {
		ub::translator::Insn insn;
		uint8_t bytes[16] = {};
		memcpy(bytes, instance.begin, std::min(instance.bytes().size(), sizeof(bytes)));
		const bool known = decoder.decode(ub::UserAddr(kLowBase), bytes, 15, insn);
		all.push_back({insn.mnemonic, known && lower(insn, contract).form != ub::translator::Form::kExit});
	}
	return all;
}

std::string first_line(const char *path, const char *key)
{
	std::ifstream file(path);
	std::string line;

	while (std::getline(file, line))
		if (line.starts_with(key))
			return line.substr(line.find(':') + 2);
	return "?";
}

double now()
{
	timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return double(time.tv_sec) + double(time.tv_nsec) * 1e-9;
}

class Proof {
public:
	Proof() : wanted_(number_from("CASES", 1000000)), seed_(number_from("SEED", 1)), random_(seed_)
	{
		for (const Decoded &each : decoded_)
			rows_[each.mnemonic].translated |= each.translated;
	}

	int run(const char *results)
	{
		const size_t images = 4 * instances().size();
		unsigned int states = unsigned(std::min<uint64_t>(only_ ? kMostStates : wanted_ / images, kMostStates));

		states = std::max(states, 1u);
		started_ = now();
		do
			for (const uint64_t base : {kLowBase, kHighBase})
				pass(base, states);
		while (cases_ < wanted_);
		judge();
		write(results);
		return failed_ ? 1 : 0;
	}

private:
	void pass(uint64_t base, unsigned int states)
	{
		Guest guest(base);
		Differential differential(guest);

		for (size_t i = 0; i < decoded_.size(); i++) {
			const Instance &instance = instances()[i];
			Row &row = rows_[decoded_[i].mnemonic];
			if (only_ && !strstr(instance.text, only_))
				continue;
			if (!fits(instance, guest)) {
				row.instances += base == kLowBase, row.lacking += base == kLowBase;
				continue;
			}
			row.instances++, row.lacking += !is_known_here(instance);
			for (const bool live : {true, false}) {
				instance_cases(guest, differential, instance, row, live, states);
				if (!only_ && random_.chance(kProgramEvery))
					program_case(guest, differential);
			}
			report(false);
		}
		spurious_ += differential.tally.spurious;
		if (!differential.last_rejected.empty())
			fail("refused by the verifier: " + differential.last_rejected);
	}

	void instance_cases(Guest &guest, Differential &differential, const Instance &instance, Row &row, bool live,
			    unsigned int states)
	{
		set_code(guest, instance, live);
		differential.allow(live, instance.kinds & kVaries);
		const auto translation = differential.translate(guest.code());
		for (const auto &[why, count] : differential.tally.declined)
			if (why != "nothing_gained")
				fail(instance.text + std::string(": not translated, ") + why);
		differential.tally.declined.clear();
		if (!translation)
			return;
		const uint64_t memory = random_.next();
		for (unsigned int i = 0; i < states; i++) {
			const Variant variant = i == 0 ? Variant::kGood : choose_variant();
			State state = state_for(instance, guest, random_);
			state.regs.ip = guest.code();
			if (!vary(variant, guest, instance, state, random_))
				continue;
			const auto why = differential.compare(*translation, state, memory);
			cases_++, row.cases++, by_variant_[unsigned(variant)]++;
			row.through += differential.ran_through;
			if (why) {
				row.mismatches++, mismatches_++;
				return fail(instance.text + std::string(live ? "" : " (flags dead)") + ": " + *why +
					    shrunk_block(guest, differential, state, memory, 1));
			}
		}
	}

	void program_case(Guest &guest, Differential &differential)
	{
		Random random(random_.next());
		const Code program = random_program(guest, random);

		guest.set_code(program.bytes(), program.syscalls());
		State state = random_state(guest, random);
		state.regs.ip = guest.code();
		state.regs.sp = guest.stack_top() - 0x400;
		differential.allow(false, false);
		const unsigned long before = differential.tally.runs;
		const uint64_t memory = random.next();
		const auto why = differential.learn_and_compare(state, memory, 30);
		cases_ += differential.tally.runs - before;
		program_cases_ += differential.tally.runs - before;
		programs_++;
		if (why) {
			mismatches_++;
			fail("program: " + *why + shrunk_block(guest, differential, state, memory, 30));
		}
	}

	Variant choose_variant()
	{
		unsigned int share = unsigned(random_.below(10)), variant = 0;

		while (share >= kShares[variant])
			share -= kShares[variant++];
		return Variant(variant);
	}

	void fail(const std::string &why)
	{
		if (failed_++ < kShown)
			printf("%s\n\n", why.c_str());
		fflush(stdout);
	}

	/* What the rows come to. */
	void judge()
	{
		if (spurious_)
			fail("exits for exceptions that did not happen natively");
		for (int m = ZYDIS_MNEMONIC_INVALID + 1; m <= ZYDIS_MNEMONIC_MAX_VALUE; m++) {
			const std::string name = ZydisMnemonicGetString(ZydisMnemonic(m));
			const Row &row = rows_[m];
			if (only_ || (ub::sfi::why(ub::sfi::rule(uint16_t(m))) && !row.translated))
				continue;
			to_run_++;
			if (row.through) {
				covered_++;
				continue;
			}
			if (row.instances && row.lacking == row.instances) {
				skipped_.emplace_back(name, "not on this CPU");
				continue;
			}
			uncovered_.push_back(name);
			fail("row " + name + ": no instance ran through in an image");
		}
		report(true);
		printf("rows: %lu to run, %lu run, %zu skipped, %zu not covered\n", to_run_, covered_, skipped_.size(),
		       uncovered_.size());
		for (const auto &[name, why] : skipped_)
			printf("  %s: %s\n", name.c_str(), why.c_str());
	}

	void report(bool at_the_end)
	{
		const double time = now();

		if (!at_the_end && time - reported_ < 10)
			return;
		reported_ = time;
		printf("differential: %lu of %lu cases, %lu mismatches, %.0f cases/s\n", cases_, wanted_, mismatches_,
		       double(cases_) / (time - started_));
		fflush(stdout);
	}

	void write(const char *path)
	{
		FILE *out = fopen(path, "w");
		const double seconds = now() - started_;
		const char *commit = getenv("COMMIT");
		const time_t date = time(nullptr);
		char day[32];

		if (!out) {
			perror(path);
			failed_++;
			return;
		}
		strftime(day, sizeof(day), "%FT%TZ", gmtime(&date));
		fprintf(out, "{ \"name\": \"differential\", \"commit\": \"%s\", \"date\": \"%s\", \"cpu\": \"%s\",\n",
			commit ? commit : "", day, first_line("/proc/cpuinfo", "model name").c_str());
		fprintf(out, "  \"seed\": %lu, \"cases\": %lu, \"mismatches\": %lu, \"seconds\": %.1f, \"cases_per_second\": %.0f,\n",
			seed_, cases_, mismatches_, seconds, double(cases_) / seconds);
		fprintf(out, "  \"instances\": %zu, \"rows_to_run\": %lu, \"rows_covered\": %lu,\n  \"rows_uncovered\": [",
			decoded_.size(), to_run_, covered_);
		for (size_t i = 0; i < uncovered_.size(); i++)
			fprintf(out, "%s\"%s\"", i ? ", " : "", uncovered_[i].c_str());
		fprintf(out, "],\n  \"rows_skipped\": {");
		for (size_t i = 0; i < skipped_.size(); i++)
			fprintf(out, "%s\"%s\": \"%s\"", i ? ", " : "", skipped_[i].first.c_str(), skipped_[i].second.c_str());
		fprintf(out, "},\n  \"rows\": [");
		for (unsigned int i = 0; i < kVariants; i++)
			fprintf(out, "\n    { \"case\": \"%s\", \"cases\": %lu },", kVariantNames[i], by_variant_[i]);
		fprintf(out, "\n    { \"case\": \"programs\", \"cases\": %lu, \"programs\": %lu }", program_cases_, programs_);
		fprintf(out, " ],\n  \"totals\": { \"passed\": %lu, \"failed\": %lu, \"skipped\": %zu } }\n", covered_, failed_,
			skipped_.size());
		fclose(out);
	}

	uint64_t wanted_, seed_;
	const char *only_ = getenv("ONLY");
	Random random_;
	const std::vector<Decoded> decoded_ = decode_all();	/* by instance */
	std::vector<Row> rows_{ZYDIS_MNEMONIC_MAX_VALUE + 1};
	unsigned long cases_ = 0, mismatches_ = 0, failed_ = 0, spurious_ = 0;
	unsigned long by_variant_[kVariants] = {}, programs_ = 0, program_cases_ = 0;
	unsigned long to_run_ = 0, covered_ = 0;
	std::vector<std::pair<std::string, std::string>> skipped_;
	std::vector<std::string> uncovered_;
	double started_ = 0, reported_ = 0;
};

} // namespace
} // namespace host

int main(int count, char **arguments)
{
	if (count != 2) {
		fprintf(stderr, "usage: CASES=N SEED=S %s RESULTS.json\n", arguments[0]);
		return 2;
	}
	return host::Proof().run(arguments[1]);
}
