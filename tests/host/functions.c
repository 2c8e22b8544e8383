// SPDX-License-Identifier: GPL-2.0
/*
 * Guest functions as a compiler makes them: loops, recursion, jump tables, function
 * pointers, division, wide arithmetic, atomics. Run natively and as images by
 * functions_test.cc, compiled once for general registers alone and once as usual.
 * All have one signature: `bytes` points to `count` bytes, up to FUNCTION_BYTES (functions.h).
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "functions.h"

static uint64_t rotate(uint64_t v, int by)
{
	return v << by | v >> (64 - by);
}

static uint64_t byte_sum(uint8_t *bytes, uint64_t count, uint64_t seed)
{
	for (uint64_t i = 0; i < count; i++)
		seed += bytes[i];
	return seed;
}

static uint64_t length(uint8_t *bytes, uint64_t count, uint64_t seed)
{
	const uint8_t *end = bytes;

	while (end < bytes + count && *end != (uint8_t)seed)
		end++;
	return (uint64_t)(end - bytes);
}

static uint64_t copy_backwards(uint8_t *bytes, uint64_t count, uint64_t seed)
{
	for (uint64_t i = 0; i < count / 2; i++) {
		uint8_t byte = bytes[i];
		bytes[i] = bytes[count - 1 - i];
		bytes[count - 1 - i] = byte ^ (uint8_t)seed;
	}
	return count;
}

static uint64_t crc32_bitwise(uint8_t *bytes, uint64_t count, uint64_t seed)
{
	uint32_t crc = (uint32_t)seed;

	for (uint64_t i = 0; i < count % 256; i++) {
		crc ^= bytes[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc & 1 ? crc >> 1 ^ 0xedb88320u : crc >> 1;
	}
	return ~crc;
}

static uint64_t fnv(uint8_t *bytes, uint64_t count, uint64_t seed)
{
	for (uint64_t i = 0; i < count; i++)
		seed = (seed ^ bytes[i]) * 0x100000001b3ull;
	return seed;
}

static uint64_t siphash(uint8_t *bytes, uint64_t count, uint64_t seed)
{
	uint64_t a = seed, b = ~seed, c = seed * 3, d = 0x736f6d6570736575ull;

	for (uint64_t i = 0; i + 8 <= count; i += 8) {
		uint64_t word;
		memcpy(&word, bytes + i, 8);
		d ^= word;
		for (int round = 0; round < 2; round++) {
			a += b, b = rotate(b, 13) ^ a, a = rotate(a, 32);
			c += d, d = rotate(d, 16) ^ c;
			a += d, d = rotate(d, 21) ^ a;
			c += b, b = rotate(b, 17) ^ c, c = rotate(c, 32);
		}
		a ^= word;
	}
	return a ^ b ^ c ^ d;
}

static uint64_t fibonacci(uint64_t n)
{
	return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

static uint64_t recursion(uint8_t *bytes, uint64_t count, uint64_t seed)
{
	return fibonacci(bytes[0] % 12) + (seed & count);
}

static int by_value(const uint32_t *a, const uint32_t *b)
{
	return *a < *b ? -1 : *a > *b;
}

static int by_low_bits(const uint32_t *a, const uint32_t *b)
{
	return (int)(*a & 0xffff) - (int)(*b & 0xffff);
}

static void quick_sort(uint32_t *words, long low, long high, int (*compare)(const uint32_t *, const uint32_t *))
{
	if (low >= high)
		return;
	uint32_t pivot = words[(low + high) / 2];
	long i = low, j = high;
	while (i <= j) {
		while (compare(&words[i], &pivot) < 0)
			i++;
		while (compare(&words[j], &pivot) > 0)
			j--;
		if (i <= j) {
			uint32_t word = words[i];
			words[i++] = words[j];
			words[j--] = word;
		}
	}
	quick_sort(words, low, j, compare);
	quick_sort(words, i, high, compare);
}

static uint64_t sort_words(uint8_t *bytes, uint64_t count, uint64_t seed)
{
	uint32_t *words = (uint32_t *)bytes;
	long n = (long)(count % 400) / 4;

	quick_sort(words, 0, n - 1, seed & 1 ? by_value : by_low_bits);
	return n ? words[n / 2] : 0;
}

static uint64_t interpreter(uint8_t *bytes, uint64_t count, uint64_t seed)
{
	uint64_t registers[8] = {seed, 1, 2, 3, 4, 5, 6, 7};

	for (uint64_t pc = 0; pc + 1 < count % 512; pc += 2) {
		uint64_t *a = &registers[bytes[pc] & 7], b = registers[bytes[pc] >> 3 & 7];
		switch (bytes[pc + 1] & 15) {
		case 0: *a += b; break;
		case 1: *a -= b; break;
		case 2: *a ^= b; break;
		case 3: *a *= b; break;
		case 4: *a = b ? *a / b : 0; break;
		case 5: *a = b ? *a % b : b; break;
		case 6: *a <<= b & 63; break;
		case 7: *a >>= b & 63; break;
		case 8: *a = (uint64_t)((int64_t)*a >> (b & 63)); break;
		case 9: *a = *a < b; break;
		case 10: *a = (uint64_t)__builtin_popcountll(b); break;
		case 11: *a = b ? (uint64_t)__builtin_ctzll(b) : 64; break;
		case 12: *a = rotate(*a | 1, 1 + (int)(b % 63)); break;
		case 13: *a = (uint64_t)((int64_t)(int16_t)b); break;
		case 14: *a = __builtin_bswap64(b); break;
		case 15: pc += b & 3; break;
		}
	}
	for (int i = 1; i < 8; i++)
		registers[0] = registers[0] * 31 + registers[i];
	return registers[0];
}

static uint64_t format_number(uint8_t *bytes, uint64_t count, uint64_t seed)
{
	uint8_t *at = bytes + count % 64 + 32;
	int64_t value = (int64_t)seed;
	uint64_t rest = value < 0 ? -(uint64_t)value : (uint64_t)value;

	*--at = 0;
	do
		*--at = (uint8_t)('0' + rest % 10);
	while (rest /= 10);
	if (value < 0)
		*--at = '-';
	return (uint64_t)(at - bytes);
}

static uint64_t signed_division(uint8_t *bytes, uint64_t count, uint64_t seed)
{
	int64_t sum = 0;

	for (uint64_t i = 0; i + 16 <= count % 512; i += 16) {
		int64_t a, b;
		memcpy(&a, bytes + i, 8);
		memcpy(&b, bytes + i + 8, 8);
		if (b == 0 || b == -1)
			continue;
		sum += a / b + (int32_t)a / ((int32_t)b | 1 << 20) + a % b + (int64_t)(seed / 7);
	}
	return (uint64_t)sum;
}

static uint64_t wide_arithmetic(uint8_t *bytes, uint64_t count, uint64_t seed)
{
	unsigned __int128 sum = seed;

	for (uint64_t i = 0; i + 8 <= count; i += 8) {
		uint64_t word;
		memcpy(&word, bytes + i, 8);
		sum = sum * 3 + (unsigned __int128)word * seed;
		sum -= word;
	}
	return (uint64_t)(sum >> 64) ^ (uint64_t)sum;
}

static uint64_t count_utf8(uint8_t *bytes, uint64_t count, uint64_t seed)
{
	uint64_t runes = seed & 1;

	for (uint64_t i = 0; i < count; runes++) {
		uint8_t lead = bytes[i];
		uint64_t more = lead < 0xc0 ? 0 : lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
		for (i++; more && i < count && (bytes[i] & 0xc0) == 0x80; more--)
			i++;
		if (more)
			runes += 1000;
	}
	return runes;
}

enum token { SPACE, WORD, NUMBER, PUNCTUATION };

static uint64_t tokenize(uint8_t *bytes, uint64_t count, uint64_t seed)
{
	enum token state = SPACE;
	uint64_t tokens[4] = {seed, 0, 0, 0};

	for (uint64_t i = 0; i < count; i++) {
		uint8_t c = bytes[i] & 0x7f;
		enum token next = c <= ' ' ? SPACE
				: (c | 0x20) >= 'a' && (c | 0x20) <= 'z' ? WORD
				: c >= '0' && c <= '9' ? NUMBER
				: PUNCTUATION;
		if (next != state)
			tokens[next]++;
		state = next;
	}
	return tokens[0] ^ tokens[1] << 16 ^ tokens[2] << 32 ^ tokens[3] << 48;
}

struct node {
	struct node *next;
	uint64_t value;
};

static uint64_t list_walk(uint8_t *bytes, uint64_t count, uint64_t seed)
{
	struct node *nodes = (struct node *)bytes, *head = NULL;
	uint64_t n = count / sizeof(struct node), sum = 0;

	for (uint64_t i = 0; i < n; i++) {
		nodes[i].next = head;
		head = &nodes[i];
	}
	for (struct node *each = head; each; each = each->next)
		if (each->value & seed)
			sum += each->value;
	return sum;
}

static uint64_t matrix(uint8_t *bytes, uint64_t count, uint64_t seed)
{
	int32_t (*m)[8] = (int32_t (*)[8])bytes, product[8][8];
	uint64_t sum = count;

	for (int i = 0; i < 8; i++)
		for (int j = 0; j < 8; j++) {
			product[i][j] = (int32_t)seed;
			for (int k = 0; k < 8; k++)
				product[i][j] = (int32_t)((uint32_t)product[i][j] + (uint32_t)m[i][k] * (uint32_t)m[k][j]);
		}
	for (int i = 0; i < 8; i++)
		sum = sum * 17 + (uint32_t)product[i][7 - i];
	return sum;
}

static uint64_t decompress(uint8_t *bytes, uint64_t count, uint64_t seed)
{
	uint8_t *out = bytes + 2048, *start = out, *end = bytes + FUNCTION_BYTES;

	for (uint64_t i = 0; i + 2 < count % 1024 && out + 64 < end; ) {
		uint8_t control = bytes[i++];
		if (control & 1) {
			for (int n = control >> 5; n >= 0; n--)
				*out++ = bytes[i] ^ (uint8_t)seed;
			i++;
		} else {
			uint64_t distance = bytes[i++] + 1u;
			uint64_t have = (uint64_t)(out - start);
			if (distance > have)
				distance = have;
			for (int n = (control >> 1 & 31) + 2; n && distance; n--, out++)
				*out = out[-(int64_t)distance];
		}
	}
	return (uint64_t)(out - start);
}

static uint64_t atomics(uint8_t *bytes, uint64_t count, uint64_t seed)
{
	uint64_t *word = (uint64_t *)bytes;
	uint32_t *half = (uint32_t *)(bytes + 8);
	uint64_t expected = *word;

	__atomic_fetch_add(word, count, __ATOMIC_SEQ_CST);
	seed ^= __atomic_exchange_n(half, (uint32_t)seed, __ATOMIC_SEQ_CST);
	seed += __atomic_compare_exchange_n(word, &expected, seed, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	__atomic_or_fetch(half, 0x100, __ATOMIC_SEQ_CST);
	return seed + __atomic_fetch_sub(half, 3, __ATOMIC_SEQ_CST) + expected;
}

struct big {
	uint64_t words[32];
};

__attribute__((noinline)) static struct big scramble(struct big in, uint64_t seed)
{
	for (int i = 0; i < 32; i++)
		in.words[i] ^= in.words[(i + seed) % 32] + (uint64_t)i;
	return in;
}

static uint64_t structures(uint8_t *bytes, uint64_t count, uint64_t seed)
{
	struct big *in = (struct big *)bytes;

	in[1] = scramble(in[0], seed);
	return in[1].words[count % 32];
}

static __thread uint64_t local_calls;

static uint64_t thread_local_words(uint8_t *bytes, uint64_t count, uint64_t seed)
{
	uint64_t before = local_calls;

	local_calls = before + count;
	seed ^= local_calls - before + bytes[0];
	local_calls = before;
	return seed;
}

#define FUNCTION(name) { #name, name }
const struct ub_guest_function FUNCTIONS[] = {
	FUNCTION(byte_sum), FUNCTION(length), FUNCTION(copy_backwards), FUNCTION(crc32_bitwise), FUNCTION(fnv),
	FUNCTION(siphash), FUNCTION(recursion), FUNCTION(sort_words), FUNCTION(interpreter), FUNCTION(format_number),
	FUNCTION(signed_division), FUNCTION(wide_arithmetic), FUNCTION(count_utf8), FUNCTION(tokenize),
	FUNCTION(list_walk), FUNCTION(matrix), FUNCTION(decompress), FUNCTION(atomics), FUNCTION(structures),
	FUNCTION(thread_local_words),
	{ NULL, NULL },
};
