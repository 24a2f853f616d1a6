/* Every error's sentence: never two causes in the same words, always an advice, always the exit
 * code. */
#include "command/say.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static const enum say_attempt attempts[] = {SAY_CONNECT, SAY_RESOLVE, SAY_REVERSE,
					    SAY_LISTEN,  SAY_TALK,    SAY_HEAR,
					    SAY_ASK,     SAY_FILE,    SAY_RUN};

static const int errors[] = {
#define ERR(name, exit_code, text) ERR_##name,
#include "base/err.def"
#undef ERR
};

enum { ATTEMPTS = sizeof(attempts) / sizeof(*attempts), ERRORS = sizeof(errors) / sizeof(*errors) };

/* What say_error writes to stderr, in `said`. */
static int listen_to(enum say_attempt attempt, const char *where, int err, char *said, size_t cap)
{
	FILE *file = tmpfile();
	int kept = dup(STDERR_FILENO), code;
	size_t len;

	assert_non_null(file);
	dup2(fileno(file), STDERR_FILENO);
	code = say_error(attempt, where, err);
	fflush(stderr);
	dup2(kept, STDERR_FILENO);
	close(kept);
	rewind(file);
	len = fread(said, 1, cap - 1, file);
	said[len] = '\0';
	fclose(file);
	return code;
}

static void each_has_two_lines_and_its_code(void **state)
{
	char said[4096];

	say_begin("connect", NULL);
	for (unsigned a = 0; a < ATTEMPTS; a++)
		for (unsigned e = 0; e < ERRORS; e++) {
			const char *advice;

			assert_int_equal(
				listen_to(attempts[a], "h:1", errors[e], said, sizeof(said)),
				err_exit(errors[e]));
			assert_memory_equal(said, "prise connect: ", 15);
			advice = strstr(said, "\n  try: ");
			assert_non_null(advice);
			assert_true(strlen(advice) > 12);
			assert_null(strchr(strchr(advice + 1, '\n') + 1, '\n'));
		}
}

static void no_two_errors_share_a_sentence(void **state)
{
	static char said[ERRORS][4096];

	say_begin("connect", NULL);
	for (unsigned a = 0; a < ATTEMPTS; a++) {
		for (unsigned e = 0; e < ERRORS; e++) {
			listen_to(attempts[a], "h:1", errors[e], said[e], sizeof(said[e]));
			*strchr(said[e], '\n') = '\0';
			for (unsigned other = 0; other < e; other++)
				assert_string_not_equal(said[e], said[other]);
		}
	}
}

static void a_client_of_a_service_says_how_to_start_one(void **state)
{
	char said[4096];

	say_begin("daytime", NULL);
	assert_int_equal(listen_to(SAY_CONNECT, "localhost:7013", ERR_REFUSED, said, sizeof(said)),
			 4);
	assert_string_equal(said,
			    "prise daytime: nobody listens on localhost:7013 (connection refused)\n"
			    "  try: prise serve daytime, or name another port as HOST:PORT\n");
}

static void a_name_error_is_about_the_name_alone(void **state)
{
	char said[4096];

	say_begin("daytime", NULL);
	assert_int_equal(listen_to(SAY_CONNECT, "trucbidule:7013", ERR_NO_NAME, said, sizeof(said)),
			 3);
	assert_non_null(strstr(said, "the name trucbidule does not exist\n"));
}

static void what_is_hostile_is_shown_not_obeyed(void **state)
{
	char said[4096];

	say_begin("connect", NULL);
	listen_to(SAY_CONNECT, "\033[2Jh\n:1", ERR_REFUSED, said, sizeof(said));
	assert_null(strchr(said, '\033'));
	assert_non_null(strstr(said, "\\x1b[2Jh\\n:1"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_has_two_lines_and_its_code),
		cmocka_unit_test(no_two_errors_share_a_sentence),
		cmocka_unit_test(a_client_of_a_service_says_how_to_start_one),
		cmocka_unit_test(a_name_error_is_about_the_name_alone),
		cmocka_unit_test(what_is_hostile_is_shown_not_obeyed),
	};

	unsetenv("LANGUAGE");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
