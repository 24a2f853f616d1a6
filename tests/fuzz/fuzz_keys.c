/* Any bytes as known_hosts and as authorized_keys: what is let in by a file is let in by a line
 * that the check finds good, and a fingerprint that is understood is written as it was read. */
#include <stdint.h>
#include <stdlib.h>

#include "base/err.h"
#include "proto/keys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static bool is_service(struct bytes name)
{
	return bytes_equal(name, BYTES_LITERAL("role")) || bytes_equal(name, BYTES_LITERAL("echo"));
}

static void check_fingerprint(struct bytes in)
{
	char again[KEYS_FINGERPRINT_BYTES];
	struct text t = TEXT_OVER(again);
	struct key_digest key, same;

	if (!keys_parse_fingerprint(in, &key))
		return;
	keys_put_fingerprint(&t, &key);
	if (t.cut || !keys_parse_fingerprint(text_bytes(&t), &same) || !keys_equal(&key, &same))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct bytes file = bytes_of(data, len);
	struct bytes service = BYTES_LITERAL("role");
	struct key_digest key = {{0}};
	unsigned line = 0;
	int authorised = keys_authorise(file, &key, service);

	check_fingerprint(file);
	if (keys_check_authorised(file, is_service, &line) == ERR_SYNTAX && !line)
		abort();
	if (authorised == 0 && !memmem(data, len, "role", 4))
		abort();
	keys_find_host(file, BYTES_LITERAL("h:1"), &key);
	return 0;
}
