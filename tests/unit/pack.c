/* Packing and unpacking blocks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/err.h"
#include "store/pack.h"
#include "storing.h"

enum { BLOCK = 64 * 1024, FLIPS = 3000 };

static struct packer *packer;
static struct unpacker *unpacker;
static uint8_t raw[BLOCK], packed[BLOCK], back[BLOCK + 1];

static size_t fill_with_records(void)
{
	size_t len = 0;

	for (uint64_t n = 0; len + 256 < sizeof(raw); n++)
		len += storing_record(raw + len, n);
	return len;
}

static void test_round_trip(void **state)
{
	size_t len = fill_with_records();
	size_t small = pack(packer, bytes_of(raw, len), packed, sizeof(packed));

	assert_in_range(small, 1, len / 3);
	assert_int_equal(unpack(unpacker, bytes_of(packed, small), back, len), 0);
	assert_memory_equal(raw, back, len);
}

static void test_what_does_not_pay(void **state)
{
	uint64_t seed = 1;

	for (size_t i = 0; i < sizeof(raw); i++)
		raw[i] = (uint8_t)storing_random(&seed, 256);
	assert_int_equal(pack(packer, bytes_of(raw, sizeof(raw)), packed, sizeof(packed)), 0);
	assert_int_equal(pack(packer, bytes_of(raw, 5), packed, sizeof(packed)), 0);
	assert_int_equal(pack(packer, bytes_of(NULL, 0), packed, sizeof(packed)), 0);
	/* What would be smaller, but not for so little room. */
	assert_int_equal(pack(packer, bytes_of(raw, fill_with_records()), packed, 100), 0);
}

static void test_other_length(void **state)
{
	size_t len = fill_with_records();
	size_t small = pack(packer, bytes_of(raw, len), packed, sizeof(packed));

	assert_int_equal(unpack(unpacker, bytes_of(packed, small), back, len - 1), ERR_PROTOCOL);
	assert_int_equal(unpack(unpacker, bytes_of(packed, small), back, len + 1), ERR_PROTOCOL);
	assert_int_equal(unpack(unpacker, bytes_of(packed, small), back, 0), ERR_PROTOCOL);
	assert_int_equal(unpack(unpacker, bytes_of(NULL, 0), back, len), ERR_PROTOCOL);
}

static void test_hostile(void **state)
{
	size_t len = fill_with_records();
	size_t small = pack(packer, bytes_of(raw, len), packed, sizeof(packed));
	uint64_t seed = 2;

	for (size_t cut = 0; cut < small; cut++)
		assert_int_equal(unpack(unpacker, bytes_of(packed, cut), back, len), ERR_PROTOCOL);
	for (unsigned i = 0; i < FLIPS; i++) {
		uint64_t bit = storing_random(&seed, small * 8);

		packed[bit / 8] ^= (uint8_t)(1u << bit % 8);
		back[len] = 0x5a;
		unpack(unpacker, bytes_of(packed, small), back, len); /* either answer, no more */
		assert_int_equal(back[len], 0x5a);
		packed[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	assert_int_equal(unpack(unpacker, bytes_of(packed, small), back, len), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_what_does_not_pay),
		cmocka_unit_test(test_other_length),
		cmocka_unit_test(test_hostile),
	};
	int failed;

	if (packer_create(&packer) != 0 || unpacker_create(&unpacker) != 0)
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	packer_destroy(packer);
	unpacker_destroy(unpacker);
	return failed;
}
