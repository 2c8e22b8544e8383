// SPDX-License-Identifier: GPL-2.0
/*
 * glibc's string, memory, number and formatting functions, natively and as images: many
 * sizes and alignments, strings that end before an unmapped page. glibc chooses among
 * several versions of most of them by what the CPU can do; the last test runs the others
 * of all that this CPU can run, each choice in a process of its own.
 */
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <cwchar>
#include <set>

#include "instance.h"
#include "real.h"

namespace host {
namespace {

#ifdef __SANITIZE_ADDRESS__
#define NOT_INSTRUMENTED() GTEST_SKIP() << "ASan does not know of libraries in namespaces of their own"
#else
#define NOT_INSTRUMENTED() (void)0
#endif

/* What a function takes. */
enum class Takes {
	kString,		/* s */
	kStringMax,		/* s, n */
	kStringByte,		/* s, c */
	kStringByteMax,		/* s, c, n: reads no more than n, c is there */
	kStrings,		/* s, t: alike up to somewhere */
	kStringsMax,		/* s, t, n */
	kSet,			/* s, a short string */
	kToString,		/* to, s */
	kToStringMax,		/* to, s, n */
	kToBytes,		/* to, bytes, n */
	kToByte,		/* to, c, n */
	kToOverlapping,		/* s + some, s, n */
	kToByteFrom,		/* to, s, c, n */
	kInBytes,		/* s, n, t, m */
};

struct Function {
	const char *name;
	Takes takes;
	bool wide = false;
};

constexpr Function kFunctions[] = {
	{"strlen", Takes::kString}, {"strnlen", Takes::kStringMax}, {"strchr", Takes::kStringByte},
	{"strrchr", Takes::kStringByte}, {"strchrnul", Takes::kStringByte}, {"rawmemchr", Takes::kStringByte},
	{"memchr", Takes::kStringByteMax}, {"memrchr", Takes::kStringByteMax}, {"strcmp", Takes::kStrings},
	{"strcoll", Takes::kStrings}, {"strcasecmp", Takes::kStrings}, {"strverscmp", Takes::kStrings},
	{"strncmp", Takes::kStringsMax}, {"strncasecmp", Takes::kStringsMax}, {"memcmp", Takes::kStringsMax},
	{"bcmp", Takes::kStringsMax}, {"strspn", Takes::kSet}, {"strcspn", Takes::kSet}, {"strpbrk", Takes::kSet},
	{"strstr", Takes::kSet}, {"strcasestr", Takes::kSet}, {"strcpy", Takes::kToString}, {"stpcpy", Takes::kToString},
	{"strcat", Takes::kToString}, {"strncpy", Takes::kToStringMax}, {"stpncpy", Takes::kToStringMax},
	{"strncat", Takes::kToStringMax}, {"memcpy", Takes::kToBytes}, {"mempcpy", Takes::kToBytes},
	{"memmove", Takes::kToOverlapping}, {"memset", Takes::kToByte}, {"memccpy", Takes::kToByteFrom},
	{"memmem", Takes::kInBytes}, {"wcslen", Takes::kString, true}, {"wcsnlen", Takes::kStringMax, true},
	{"wcschr", Takes::kStringByte, true}, {"wcsrchr", Takes::kStringByte, true},
	{"wcscmp", Takes::kStrings, true}, {"wcsncmp", Takes::kStringsMax, true},
	{"wmemchr", Takes::kStringByteMax, true}, {"wmemcmp", Takes::kStringsMax, true},
	{"wmemset", Takes::kToByte, true}, {"wcscpy", Takes::kToString, true}, {"wcscat", Takes::kToString, true},
};

class RealStrings : public testing::Test {
protected:
	void SetUp() override
	{
		NOT_INSTRUMENTED();
		libc_ = std::make_unique<Library>("libc.so.6");
	}

	void check(const char *name, std::vector<uint64_t> arguments, uint64_t seed, std::vector<double> floating = {})
	{
		const void *const function = libc_->find(name);
		ASSERT_TRUE(function) << name;
		if (auto why = code_.compare_pure({function, std::move(arguments), std::move(floating)}, seed))
			if (shown_++ < 5)
				ADD_FAILURE() << name << ": " << *why;
	}

	void check(const Function &function, Random &random);

	/* At least so many of a thousand images ended at the code's end, and none by a fault. */
	void finish()
	{
		const Tally &tally = code_.differential.tally;

		EXPECT_EQ(tally.mismatches, 0u);
		EXPECT_EQ(code_.differential.last_rejected, "");
		EXPECT_EQ(code_.follower.spurious_faults, 0u);
		/* Few instructions are left to the CPU: x87's, with which strtod reads how to round. */
		EXPECT_LT(code_.follower.native_steps * 4, code_.follower.images_run);
		printf("             %s; %s\n", tally.text().c_str(), code_.follower.text().c_str());
	}

	std::unique_ptr<Library> libc_;
	RealCode code_;
	unsigned int shown_ = 0;
};

/* Most are short, some are of thousands. */
uint64_t random_length(Random &random)
{
	switch (random.below(8)) {
	case 0:
		return random.below(5000);
	case 1:
	case 2:
		return random.below(700);
	default:
		return random.below(140);
	}
}

template <typename Char>
void fill_strings(uint64_t s, uint64_t t, uint64_t n, uint64_t differs_at, uint64_t seed)
{
	auto *const one = reinterpret_cast<Char *>(s), *const other = reinterpret_cast<Char *>(t);
	Random random(seed);

	for (uint64_t i = 0; i < n; i++)
		one[i] = other[i] = Char('a' + random.below(20));
	one[n] = other[n] = 0;
	if (differs_at < n)
		other[differs_at] = Char(random.chance(8) ? 0 : random.next());
}

/* A guest's data: s at its start or up against what is not mapped, t at 12 KiB, where to copy to at 22 KiB. */
void RealStrings::check(const Function &function, Random &random)
{
	const uint64_t width = function.wide ? sizeof(wchar_t) : 1, seed = random.next();
	uint64_t n = random_length(random) / width;
	const uint64_t t = code_.guest.data() + (12 << 10) + width * random.below(64 / width);
	const uint64_t to = code_.guest.data() + (22 << 10) + width * random.below(64 / width);
	uint64_t s = code_.guest.data() + width * random.below(128 / width);
	if (n < 200 && random.chance(3))
		s = code_.guest.stack_top() - (n + 1) * width;	/* the page behind is not mapped */
	const uint64_t differs_at = random.below(2 * n + 1), limit = random.below(n + 2);
	const uint64_t byte = random.chance(4) ? 0 : 'a' + random.below(24);

	code_.guest.prepare = [&] {
		if (function.wide)
			fill_strings<wchar_t>(s, t, n, differs_at, seed);
		else
			fill_strings<unsigned char>(s, t, n, differs_at, seed);
		if (function.takes == Takes::kSet)	/* up to 7 bytes of s, or others */
			memcpy(reinterpret_cast<void *>(t + std::min<uint64_t>(n, 1 + limit % 7) * width), "\0\0\0", width);
		if (function.takes == Takes::kToString || function.takes == Takes::kToStringMax)
			memset(reinterpret_cast<void *>(to + limit % 64 / width * width), 0, width);
		if (function.takes == Takes::kStringByte && !strcmp(function.name, "rawmemchr"))
			reinterpret_cast<unsigned char *>(s)[n] = uint8_t(byte);
	};
	switch (function.takes) {
	case Takes::kString: return check(function.name, {s}, seed);
	case Takes::kStringMax: return check(function.name, {s, limit}, seed);
	case Takes::kStringByte: return check(function.name, {s, byte}, seed);
	case Takes::kStringByteMax: return check(function.name, {s, byte, limit}, seed);
	case Takes::kStrings: return check(function.name, {s, t}, seed);
	case Takes::kStringsMax: return check(function.name, {s, t, limit}, seed);
	case Takes::kSet: return check(function.name, {s, t}, seed);
	case Takes::kToString: return check(function.name, {to, s}, seed);
	case Takes::kToStringMax: return check(function.name, {to, s, limit}, seed);
	case Takes::kToBytes: return check(function.name, {to, s, n}, seed);
	case Takes::kToByte: return check(function.name, {to, random.next() & 0xffffffff, n}, seed);
	case Takes::kToOverlapping: return check(function.name, {t, t + random.below(512) - 256, n}, seed);
	case Takes::kToByteFrom: return check(function.name, {to, s, byte, limit}, seed);
	case Takes::kInBytes: return check(function.name, {s, n, t + n / 2, std::min<uint64_t>(n / 2, 9)}, seed);
	}
}

TEST_F(RealStrings, do_what_the_cpu_does)
{
	for (const Function &function : kFunctions) {
		Random random(uint64_t(&function - kFunctions));
		for (unsigned int i = 0; i < cases(150); i++)
			check(function, random);
	}
	finish();
}

/* The longest that a guest's data can hold; and all lengths around those where versions change their ways. */
TEST_F(RealStrings, of_all_small_and_of_large_sizes)
{
	const uint64_t data = code_.guest.data(), half = Guest::kDataBytes / 2;
	Random random(3);

	for (unsigned int i = 0; i < cases(600); i++) {
		const uint64_t n = i < 300 ? i : random.below(half - 128);
		const uint64_t from = data + random.below(64), to = data + half + random.below(64);
		check("memcpy", {to, from, n}, i);
		check("memmove", {from + random.below(64), from, n}, i);
		check("memmove", {from, from + random.below(64), n}, i);
		check("memset", {to, random.next(), n}, i);
		check("memcmp", {from, from, n}, i);
	}
	finish();
}

TEST_F(RealStrings, numbers_and_formats)
{
	static const char *const kFormats[] = {"%d %x %lu %s", "%08.3f|%g|%e", "%a %G", "%-20s|%5.2s|%c%%", "%lld %llx %#o",
					       "%.15g %.17g", "%+d % d %hhx", "%5$s %1$d %3$lx", "%p %zx %jd"};
	const uint64_t at = code_.guest.data() + 100, to = at + 0x1000, end = at + 0x2000;
	std::vector<char> text(100);
	Random random(5);

	code_.guest.prepare = [&] { memcpy(reinterpret_cast<void *>(at), text.data(), text.size()); };
	for (unsigned int i = 0; i < cases(60); i++) {
		double number = 0;
		const uint64_t bits = random.interesting();
		memcpy(&number, &bits, sizeof(number));
		if (random.chance(2))
			number = double(int64_t(random.next() >> random.below(64))) / double(1 + random.below(1000));
		snprintf(text.data(), text.size(), random.chance(2) ? "%.*g" : "%.*f", int(random.below(18)),
			 std::fabs(number) < 1e40 ? number : 3.25);
		check("strtod", {at, end}, i);
		check("strtof", {at, end}, i);
		check("atof", {at}, i);
		const char *const format = kFormats[i % std::size(kFormats)];
		/* Numbers for one, pointers for another: `at` is both. */
		check("snprintf", {to, random.below(120), reinterpret_cast<uint64_t>(format), at, at, at, at, at, at}, i,
		      {number, 1.5, double(i)});
		snprintf(text.data(), text.size(), random.chance(2) ? "  %ld" : "0x%lxzz", random.interesting());
		check("strtol", {at, end, random.chance(2) ? 0ul : 10ul}, i);
		check("strtoul", {at, end, random.below(37)}, i);
		check("strtoll", {at, 0, 16}, i);
		check("atoi", {at}, i);
		check("sscanf", {at, reinterpret_cast<uint64_t>("%li%8s"), end, end + 64}, i);
		check("rand_r", {at}, i);
		check("labs", {random.next()}, i);
		check("div", {random.next(), 1 + random.below(100)}, i);
		check("a64l", {at}, i);
		check("ffsll", {random.next()}, i);
	}
	finish();
}

TEST_F(RealStrings, sorting_and_searching)
{
	const uint64_t data = code_.guest.data();
	const auto compare = reinterpret_cast<uint64_t>(libc_->find("strcmp"));

	for (unsigned int i = 0; i < cases(40); i++) {
		Random random(i);
		/* Larger ones are sorted in memory from malloc(). */
		const uint64_t size = 1 + random.below(40), count = random.below(1000 / size);
		code_.guest.prepare = [&] {
			for (uint64_t at = data; at < data + 4096; at++)
				*reinterpret_cast<uint8_t *>(at) |= uint8_t(at % size == 0 ? 0 : 1);
		};
		check("qsort", {data, count, size, compare}, i);
		check("bsearch", {data + size, data, count, size, compare}, i);
		check("lfind", {data + size, data, data + 8192, size, compare}, i);
	}
	finish();
}

/* GLIBC_TUNABLES that take away what this CPU has, from the newest on. Copies are by AVX for as long as
 * unaligned loads are said to be fast. */
constexpr const char *kChoices[] = {
	"",
	"-ERMS",
	"-AVX512VL",								/* AVX2 */
	"-AVX512VL,-ERMS",
	"-AVX512VL,-RTM",
	"-AVX512VL,-AVX2,-RTM,-AVX_Fast_Unaligned_Load",			/* SSE4 and SSE2 */
	"-AVX512VL,-AVX2,-RTM,-AVX_Fast_Unaligned_Load,-ERMS",
	"-AVX512VL,-AVX2,-RTM,-AVX_Fast_Unaligned_Load,-Fast_Unaligned_Copy,-ERMS",	/* SSSE3 */
	"-AVX512VL,-AVX2,-AVX,-RTM,-SSE4_2,-SSE4_1,-SSSE3,-AVX_Fast_Unaligned_Load",
};

/* For the test below: which versions were chosen here, by their places in libc. */
TEST_F(RealStrings, versions)
{
	const auto base = reinterpret_cast<uint64_t>(libc_->find("__libc_start_main"));

	for (const Function &function : kFunctions)
		printf("version %s %ld\n", function.name, long(reinterpret_cast<uint64_t>(libc_->find(function.name)) - base));
}

TEST(RealVersions, each_does_what_the_cpu_does)
{
	NOT_INSTRUMENTED();
	std::map<std::string, std::set<long>> versions;

	for (const char *choice : kChoices) {
		const std::string tunables = std::string("GLIBC_TUNABLES=glibc.cpu.hwcaps=") + choice +
					     ":glibc.cpu.x86_non_temporal_threshold=0x4040 ";
		const std::string run = tunables + "CASES=" + std::to_string(cases(25)) +
					" /proc/" + std::to_string(getpid()) + "/exe --gtest_brief=1 --gtest_filter=" +
					"RealStrings.versions:RealStrings.do_what_the_cpu_does:RealStrings.of_all_small_and_of_large_sizes 2>&1";
		FILE *const output = popen(run.c_str(), "r");
		ASSERT_TRUE(output);
		char line[4096];
		std::string rest;
		while (fgets(line, sizeof(line), output)) {
			char name[32];
			long place;
			if (sscanf(line, "version %31s %ld", name, &place) == 2)
				versions[name].insert(place);
			else
				rest += line;
		}
		EXPECT_EQ(pclose(output), 0) << choice << ":\n" << rest;
	}
	size_t sum = 0;
	for (const auto &[name, places] : versions)
		sum += places.size();
	printf("             %zu versions of %zu functions; of memcpy %zu, of strlen %zu\n", sum, versions.size(),
	       versions["memcpy"].size(), versions["strlen"].size());
	EXPECT_EQ(versions.size(), std::size(kFunctions));
	/* SSE2, and what AVX2 and AVX-512 bring; copies also with and without rep movs. */
	const size_t ways = 1 + size_t(machine().avx) + size_t(machine().avx512);
	EXPECT_GE(versions["strlen"].size(), ways);
	EXPECT_GE(versions["memcpy"].size(), 2 * ways);
	EXPECT_GE(versions["memcmp"].size(), ways);
}

} // namespace
} // namespace host
