// SPDX-License-Identifier: GPL-2.0
/*
 * What servers do besides calling libraries: a hash table with chains as Redis has, a
 * parser of header lines as nginx has, encodings, checksums, lists, calls. Kernels of
 * kernels.h; compiled as a distribution compiles, by gcc -O2.
 */
#include "programs.h"

#include <stdint.h>
#include <string.h>

#define NOINLINE __attribute__((noinline))

struct entry {
	struct entry *next;
	char key[24];
	uint64_t value;
};

static struct entry entries[4096], *buckets[2048];
static struct entry *ring[4096];
static unsigned char bytes[1 << 14], out[1 << 15];
static double a[32][32], b[32][32], c[32][32];

static NOINLINE uint64_t hash(const char *key)
{
	uint64_t h = 0xcbf29ce484222325ul;

	for (; *key; key++)
		h = (h ^ (unsigned char)*key) * 0x100000001b3ul;
	return h ^ h >> 29;
}

static void key_of(unsigned int i, char *key)
{
	memcpy(key, "key:000000", 11);
	for (int at = 9; i; i /= 10)
		key[at--] = (char)('0' + i % 10);
}

void set_up_programs(void)
{
	memset(buckets, 0, sizeof(buckets));
	for (unsigned int i = 0; i < 4096; i++) {
		struct entry *const e = &entries[i];
		struct entry **bucket;

		key_of(i, e->key);
		bucket = &buckets[hash(e->key) % 2048];
		e->next = *bucket;
		e->value = i;
		*bucket = e;
		ring[i] = &entries[i * 2731 % 4096];
		bytes[i] = bytes[i + 4096] = bytes[i + 8192] = (unsigned char)('a' + i % 26);
	}
	for (unsigned int i = 0; i + 3 < sizeof(bytes); i += 97)
		memcpy(bytes + i, "\xe2\x82\xac", 3);
	for (int i = 0; i < 32; i++)
		for (int j = 0; j < 32; j++)
			a[i][j] = i + j, b[i][j] = i - j;
}

static NOINLINE struct entry *find(const char *key)
{
	struct entry *e = buckets[hash(key) % 2048];

	while (e && strcmp(e->key, key))
		e = e->next;
	return e;
}

unsigned long dict_lookups(void)
{
	unsigned long sum = 0;
	char key[24];

	for (unsigned int i = 0; i < 3000; i++) {
		const struct entry *e;

		key_of(i * 7 % 5000, key);
		e = find(key);
		sum += e ? e->value : 1;
	}
	return sum;
}

static const char request[] =
	"GET /index.html?q=1&r=two HTTP/1.1\r\nHost: www.example.org\r\nUser-Agent: curl/7.88.1\r\n"
	"Accept: */*\r\nAccept-Encoding: gzip, deflate\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n";

static NOINLINE unsigned long parse_request(const char *p, const char *end)
{
	enum { START, NAME, SPACE, VALUE, ALMOST, DONE } state = START;
	unsigned long hashed = 0, lines = 0;

	/* Or the compiler takes it for a function of its arguments, called once. */
	__asm__ volatile("" : : : "memory");
	while (p < end && *p != '\n')
		p++;
	for (p++; p < end; p++) {
		const char ch = *p;

		switch (state) {
		case START:
			if (ch == '\r') {
				state = DONE;
				break;
			}
			state = NAME;
			hashed = 0;
			/* fall through */
		case NAME:
			if (ch == ':')
				state = SPACE;
			else
				hashed = hashed * 31 + (unsigned char)(ch >= 'A' && ch <= 'Z' ? ch | 0x20 : ch);
			break;
		case SPACE:
			if (ch != ' ')
				state = VALUE;
			break;
		case VALUE:
			if (ch == '\r')
				state = ALMOST;
			break;
		case ALMOST:
			if (ch == '\n')
				state = START, lines += hashed & 7;
			break;
		case DONE:
			return lines;
		}
	}
	return 0;
}

unsigned long parse_headers(void)
{
	unsigned long sum = 0;

	for (int i = 0; i < 300; i++)
		sum += parse_request(request, request + sizeof(request) - 1 - i % 2);
	return sum;
}

unsigned long validate_utf8(void)
{
	unsigned long count = 0;

	for (int round = 0; round < 4; round++)
		for (size_t i = 0; i < sizeof(bytes);) {
			const unsigned char ch = bytes[i];
			int more = ch < 0x80 ? 0 : (ch & 0xe0) == 0xc0 ? 1 : (ch & 0xf0) == 0xe0 ? 2 : 3;

			for (i++; more && i < sizeof(bytes) && (bytes[i] & 0xc0) == 0x80; more--)
				i++;
			count += !more;
		}
	return count;
}

unsigned long encode_base64(void)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	unsigned char *to = out;

	for (size_t i = 0; i + 2 < sizeof(bytes); i += 3) {
		const uint32_t v = (uint32_t)bytes[i] << 16 | (uint32_t)bytes[i + 1] << 8 | bytes[i + 2];

		*to++ = (unsigned char)digits[v >> 18];
		*to++ = (unsigned char)digits[v >> 12 & 63];
		*to++ = (unsigned char)digits[v >> 6 & 63];
		*to++ = (unsigned char)digits[v & 63];
	}
	return out[1000];
}

unsigned long checksum(void)
{
	uint64_t sum = 0;

	for (int round = 0; round < 8; round++)
		for (size_t i = 0; i + 4 <= sizeof(bytes); i += 4) {
			uint32_t word;

			memcpy(&word, bytes + i, 4);
			sum = (sum << 1 | sum >> 63) + word;
			__asm__("" : "+r"(sum));
		}
	return sum;
}

unsigned long chase_pointers(void)
{
	unsigned long sum = 0;

	for (int round = 0; round < 30; round++)
		for (struct entry *e = buckets[round]; e; e = e->next)
			for (struct entry *f = buckets[e->value % 2048]; f; f = f->next)
				sum += f->value + ring[f->value]->value;
	for (unsigned int i = 0, at = 0; i < 20000; i++) {
		at = (unsigned int)ring[at]->value;
		sum += at;
	}
	return sum;
}

static NOINLINE unsigned long fib(unsigned long n)
{
	return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

unsigned long recurse(void)
{
	return fib(19);
}

static NOINLINE uint64_t mix(uint64_t x, uint64_t y)
{
	return (x ^ y) * 0x9e3779b97f4a7c15ul >> 3;
}

static NOINLINE uint64_t mix_more(uint64_t x, uint64_t y)
{
	return mix(x, y) + mix(y, x + 1);
}

unsigned long call_much(void)
{
	uint64_t sum = 1;

	for (unsigned int i = 0; i < 10000; i++)
		sum = mix_more(sum, i) ^ mix(i, sum);
	return sum;
}

static NOINLINE uint64_t add_one(uint64_t x) { return x + 1; }
static NOINLINE uint64_t twice(uint64_t x) { return x * 2; }
static NOINLINE uint64_t flip(uint64_t x) { return x ^ 0x5555; }

unsigned long call_through_pointers(void)
{
	static uint64_t (*volatile const functions[])(uint64_t) = { add_one, twice, flip };
	uint64_t x = 1;

	for (unsigned int i = 0; i < 20000; i++)
		x = functions[i % 3](x);
	return x;
}

unsigned long interpret(void)
{
	enum { PUSH, ADD, MUL, DUP, SWAP, DEC, JNZ, END };
	static const int code[] = { PUSH, 3000, PUSH, 1, SWAP, DEC, DUP, JNZ, 5, END };
	long stack[16] = { 0 };
	int top = 0;

	for (const int *p = code;;) {
		switch (*p++) {
		case PUSH: stack[top++] = *p++; break;
		case ADD: top--, stack[top - 1] += stack[top]; break;
		case MUL: top--, stack[top - 1] *= stack[top]; break;
		case DUP: stack[top] = stack[top - 1]; top++; break;
		case SWAP: {
			const long x = stack[top - 1];

			stack[top - 1] = stack[top - 2], stack[top - 2] = x;
			break;
		}
		case DEC: stack[top - 1]--; break;
		case JNZ: p = stack[--top] > 0 ? code + *p : p + 1; break;
		case END: return (unsigned long)stack[0];
		}
	}
}

unsigned long insertion_sort(void)
{
	unsigned char *const v = out;

	memcpy(v, bytes + 5, 600);
	for (int i = 1; i < 600; i++) {
		const unsigned char x = v[i];
		int j = i;

		for (; j > 0 && v[j - 1] > x; j--)
			v[j] = v[j - 1];
		v[j] = x;
	}
	return v[300];
}

unsigned long multiply_matrices(void)
{
	for (int i = 0; i < 32; i++)
		for (int j = 0; j < 32; j++) {
			double sum = 0;

			for (int k = 0; k < 32; k++)
				sum += a[i][k] * b[k][j];
			c[i][j] = sum;
		}
	return (unsigned long)c[3][5];
}
