// SPDX-License-Identifier: GPL-2.0
/*
 * The fuzz targets with a fixed seed and without the coverage's advice: it needs no compiler
 * but the build's. First what is kept in tests/host/corpus, then CASES inputs, each a seed or
 * a kept one, changed. SEED moves them all. Prints TAP. Meant for the ASan build.
 *
 * `seeds TARGET` prints a target's seeds instead, an input a line in hex, as a corpus is kept.
 */
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include "fuzz.h"

namespace {

using namespace host;

struct Named {
	const char *name;
	std::unique_ptr<FuzzTarget> (*make)();
	unsigned long share;	/* of CASES: so many times */
};
const Named kTargets[] = {{"code", code_target, 1}, {"image", image_target, 4}};

unsigned long from_environment(const char *name, unsigned long by_default)
{
	const char *text = getenv(name);
	return text ? strtoul(text, nullptr, 0) : by_default;
}

void print(const char *before, const Bytes &input)
{
	printf("%s", before);
	for (uint8_t byte : input)
		printf("%02x", byte);
	printf("\n");
}

std::vector<Bytes> kept(const std::string &name)
{
	std::ifstream file(UB_SOURCE_ROOT "/tests/host/corpus/" + name + ".txt");
	std::vector<Bytes> inputs;

	for (std::string line; std::getline(file, line);) {
		Bytes input;
		for (size_t i = 0; i + 1 < line.size(); i += 2)
			input.push_back(uint8_t(std::stoul(line.substr(i, 2), nullptr, 16)));
		inputs.push_back(std::move(input));
	}
	return inputs;
}

void change(Bytes &bytes, size_t most, Random &random)
{
	for (uint64_t n = 1 + random.below(4); n; n--) {
		const size_t at = random.below(bytes.size() + 1);
		switch (random.below(bytes.empty() ? 1 : 5)) {
		case 0:
			if (bytes.size() < most)
				bytes.insert(bytes.begin() + long(at), uint8_t(random.next()));
			break;
		case 1:
			bytes[at % bytes.size()] ^= uint8_t(1u << random.below(8));
			break;
		case 2:
			bytes[at % bytes.size()] = uint8_t(random.chance(2) ? random.next() : random.interesting());
			break;
		case 3:
			bytes.erase(bytes.begin() + long(at % bytes.size()));
			break;
		case 4:
			if (random.chance(8))
				bytes.resize(at);
			break;
		}
	}
}

/* Return: the findings. */
unsigned long slice(const Named &named, unsigned int number, unsigned long count, uint64_t seed)
{
	const std::unique_ptr<FuzzTarget> target = named.make();
	std::vector<Bytes> inputs = kept(named.name);
	const size_t kept_inputs = inputs.size();
	Random random(seed);
	unsigned long runs = 0, findings = 0;
	const auto run = [&](const Bytes &input) {
		runs++;
		const std::string finding = target->run(input);
		if (!finding.empty() && findings++ < 5) {
			printf("# %s\n", finding.c_str());
			print("# input ", input);
		}
	};

	for (Bytes &input : target->seeds())
		inputs.push_back(std::move(input));
	for (const Bytes &input : inputs)
		run(input);
	for (unsigned long i = 0; i < count; i++) {
		Bytes input = inputs[random.below(inputs.size())];
		for (uint64_t n = 1 + random.below(4); n; n--)
			target->mutate(input, 8192, random, [&](Bytes &bytes, size_t most) { change(bytes, most, random); });
		run(input);
	}
	const bool ok = !findings && target->good && kept_inputs;
	printf("%sok %u %s # %lu inputs, %zu of them kept ones: %lu %s, %lu findings\n", ok ? "" : "not ", number, named.name,
	       runs, kept_inputs, target->good, number == 1 ? "translated" : "accepted", findings);
	return !ok;
}

} // namespace

int main(int count, char **arguments)
{
	setvbuf(stdout, nullptr, _IOLBF, 0);
	if (count == 3 && !strcmp(arguments[1], "seeds")) {
		for (const Named &named : kTargets)
			if (!strcmp(named.name, arguments[2]))
				for (const Bytes &input : named.make()->seeds())
					print("", input);
		return 0;
	}

	const unsigned long cases = from_environment("CASES", 3000), seed = from_environment("SEED", 1);
	unsigned long bad = 0;
	unsigned int number = 0;

	printf("TAP version 13\n1..%zu\n", std::size(kTargets));
	for (const Named &named : kTargets)
		bad += slice(named, ++number, cases * named.share, seed);
	return bad != 0;
}
