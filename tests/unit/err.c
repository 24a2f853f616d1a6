/* The table of errors. */
#include "base/err.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void known_ones(void **state)
{
	assert_string_equal(err_text(ERR_REFUSED), "connection refused");
	assert_string_equal(err_name(ERR_REFUSED), "refused");
	assert_string_equal(err_name(ERR_NO_NAME), "no_name");
	assert_int_equal(err_exit(ERR_NO_NAME), 3);
	assert_int_equal(err_exit(ERR_REFUSED), 4);
	assert_int_equal(err_exit(ERR_TIMEOUT), 5);
	assert_int_equal(err_exit(ERR_UNREACHABLE), 6);
	assert_int_equal(err_exit(ERR_PROTOCOL), 8);
	assert_int_equal(err_exit(ERR_IN_USE), 9);
	assert_int_equal(err_exit(ERR_NONE), 0);
}

static void every_row_is_whole(void **state)
{
	for (int err = 0; err > -ERR_INDEX_COUNT; err--) {
		const char *name = err_name(err);

		assert_true(strlen(err_text(err)) > 0);
		assert_true(strlen(name) > 0 && strlen(name) < 15);
		assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz_"), strlen(name));
		assert_true(err == 0 || (err_exit(err) > 0 && err_exit(err) < 10));
		for (int other = 0; other > err; other--)
			assert_string_not_equal(err_name(other), name);
	}
}

static void unknown_ones(void **state)
{
	assert_string_equal(err_name(1), "unknown");
	assert_string_equal(err_name(-ERR_INDEX_COUNT), "unknown");
	assert_string_equal(err_text(INT32_MIN), "unknown error");
	assert_int_equal(err_exit(INT32_MAX), 9);
}

static void from_errno(void **state)
{
	assert_int_equal(err_from_errno(ECONNREFUSED), ERR_REFUSED);
	assert_int_equal(err_from_errno(ETIMEDOUT), ERR_TIMEOUT);
	assert_int_equal(err_from_errno(ENETUNREACH), ERR_UNREACHABLE);
	assert_int_equal(err_from_errno(EHOSTUNREACH), ERR_UNREACHABLE);
	assert_int_equal(err_from_errno(EPIPE), ERR_RESET);
	assert_int_equal(err_from_errno(EADDRINUSE), ERR_IN_USE);
	assert_int_equal(err_from_errno(EADDRNOTAVAIL), ERR_NOT_LOCAL);
	assert_int_equal(err_from_errno(EACCES), ERR_PERMISSION);
	assert_int_equal(err_from_errno(EMFILE), ERR_DESCRIPTORS);
	assert_int_equal(err_from_errno(ENOSPC), ERR_DISK);
	assert_int_equal(err_from_errno(EBADF), ERR_SYSTEM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_ones),
		cmocka_unit_test(every_row_is_whole),
		cmocka_unit_test(unknown_ones),
		cmocka_unit_test(from_errno),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
