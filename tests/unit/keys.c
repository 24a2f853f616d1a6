/* Fingerprints, known_hosts and authorized_keys: what is understood, what is not, and that nothing
 * that is cut or bent lets anybody in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/err.h"
#include "proto/keys.h"

#define A "SHA256:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
#define B "SHA256://///////////////////////////////////////////////8"
#define C "SHA256://////////////////////////////////////////8"

static struct key_digest counting(void)
{
	struct key_digest key;

	for (unsigned i = 0; i < KEYS_DIGEST_BYTES; i++)
		key.byte[i] = (uint8_t)i;
	return key;
}

static struct key_digest all(uint8_t byte)
{
	struct key_digest key;

	memset(key.byte, byte, sizeof key.byte);
	return key;
}

static bool parses(const char *text)
{
	struct key_digest key;

	return keys_parse_fingerprint(bytes_of_string(text), &key);
}

static void a_fingerprint_there_and_back(void **state)
{
	struct key_digest key = counting(), again;
	char text[KEYS_FINGERPRINT_BYTES];
	struct text t = TEXT_OVER(text);

	keys_put_fingerprint(&t, &key);
	assert_string_equal(text, A);
	assert_false(t.cut);
	assert_true(keys_parse_fingerprint(bytes_of_string(text), &again));
	assert_true(keys_equal(&key, &again));
	key = all(0xff);
	t = TEXT_OVER(text);
	keys_put_fingerprint(&t, &key);
	assert_string_equal(text, C);
}

static void what_is_a_fingerprint(void **state)
{
	char bent[] = A;

	assert_true(parses(A));
	assert_true(parses(A "="));
	assert_true(parses("sha256//AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="));
	assert_false(parses(""));
	assert_false(parses("SHA256:"));
	assert_false(parses(B));
	assert_false(parses(A "8"));
	assert_false(parses(A "=="));
	assert_false(parses(A " "));
	assert_false(parses("MD5:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"));
	bent[sizeof bent - 2] = '9'; /* bits behind the last byte: another text for the same key */
	assert_false(parses(bent));
	for (size_t len = 0; len < sizeof bent - 1; len++) {
		struct key_digest key;

		assert_false(keys_parse_fingerprint(bytes_of(A, len), &key));
	}
}

static enum keys_known known(const char *file, const char *where, const struct key_digest *key)
{
	return keys_find_host(bytes_of_string(file), bytes_of_string(where), key).known;
}

static void known_hosts(void **state)
{
	struct key_digest key = counting(), other = all(0xff);
	const char *file = "# mine\n\n  h:1 " A "\r\n[::1]:9001\t" C "\nbad line\nh:2\nh:3 " A
			   "x\n";
	struct keys_found found;

	assert_int_equal(known(file, "h:1", &key), KEYS_SAME);
	assert_int_equal(known(file, "H:1", &key), KEYS_SAME);
	assert_int_equal(known(file, "[::1]:9001", &other), KEYS_SAME);
	assert_int_equal(known(file, "h:11", &key), KEYS_NEW);
	assert_int_equal(known(file, "h:2", &key), KEYS_NEW);
	assert_int_equal(known(file, "h:3", &key), KEYS_NEW);
	assert_int_equal(known("", "h:1", &key), KEYS_NEW);
	found = keys_find_host(bytes_of_string(file), bytes_of_string("h:1"), &other);
	assert_int_equal(found.known, KEYS_CHANGED);
	assert_int_equal(found.line, 3);
	assert_true(keys_equal(&found.old, &key));
	assert_int_equal(known("h:1 " A "\nh:1 " C, "h:1", &other), KEYS_SAME);
}

static int authorise(const char *file, const char *service)
{
	struct key_digest key = counting();

	return keys_authorise(bytes_of_string(file), &key, bytes_of_string(service));
}

static void authorized_keys(void **state)
{
	assert_int_equal(authorise(A " role", "role"), 0);
	assert_int_equal(authorise("#x\n" C " role\n" A "\techo,role  of alice\n", "role"), 0);
	assert_int_equal(authorise(A " role", "echo"), ERR_KEY_SERVICE);
	assert_int_equal(authorise(A " rol", "role"), ERR_KEY_SERVICE);
	assert_int_equal(authorise(A " roles", "role"), ERR_KEY_SERVICE);
	assert_int_equal(authorise(A " echo role", "role"), ERR_KEY_SERVICE);
	assert_int_equal(authorise(A, "role"), ERR_KEY_SERVICE);
	assert_int_equal(authorise(A " echo\n" A " role\n", "role"), 0);
	assert_int_equal(authorise(C " role", "role"), ERR_KEY_UNKNOWN);
	assert_int_equal(authorise("# " A " role", "role"), ERR_KEY_UNKNOWN);
	assert_int_equal(authorise("x" A " role", "role"), ERR_KEY_UNKNOWN);
	assert_int_equal(authorise("", "role"), ERR_KEY_UNKNOWN);
}

static bool is_service(struct bytes name)
{
	return bytes_equal(name, BYTES_LITERAL("role")) || bytes_equal(name, BYTES_LITERAL("echo"));
}

static unsigned bad_line(const char *file)
{
	unsigned line = 0;
	int err = keys_check_authorised(bytes_of_string(file), is_service, &line);

	return err ? line : 0;
}

static void a_mistake_has_its_line(void **state)
{
	char longer[KEYS_LINE_BYTES + 64];

	assert_int_equal(bad_line(""), 0);
	assert_int_equal(bad_line("# x\n\n" A " role,echo me and you\n"), 0);
	assert_int_equal(bad_line("# x\n" A " role\nSHA256:x role\n"), 3);
	assert_int_equal(bad_line(A), 1);
	assert_int_equal(bad_line(A " rol"), 1);
	assert_int_equal(bad_line(A " role,"), 1);
	assert_int_equal(bad_line(A " ,role"), 1);
	assert_int_equal(bad_line("\n" A " role,,echo"), 2);
	memset(longer, 'x', sizeof longer);
	memcpy(longer, A " role ", sizeof A + 5);
	longer[sizeof longer - 1] = '\0';
	assert_int_equal(bad_line(longer), 1);
}

/* No beginning of a file lets anybody in before the whole name of the service stands there. */
static void cut_anywhere(void **state)
{
	const char file[] = C " echo\n" A " role,echo";
	struct key_digest key = counting();

	for (size_t len = 0; len < sizeof file; len++) {
		int err = keys_authorise(bytes_of(file, len), &key, BYTES_LITERAL("echo"));

		assert_true(err || len == sizeof file - 1);
		err = keys_authorise(bytes_of(file, len), &key, BYTES_LITERAL("role"));
		assert_true(err || len >= sizeof file - 6);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_fingerprint_there_and_back),
		cmocka_unit_test(what_is_a_fingerprint),
		cmocka_unit_test(known_hosts),
		cmocka_unit_test(authorized_keys),
		cmocka_unit_test(a_mistake_has_its_line),
		cmocka_unit_test(cut_anywhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
