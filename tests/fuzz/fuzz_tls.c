/* The server's side of a handshake, fed anything: it ends in an error or waits for more, takes all
 * that it is given, and says no more than its wire holds. The first byte says how the rest is cut.
 */
#include <stdint.h>
#include <stdlib.h>

#include "net/tls.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct tls_key *key;
static struct tls_context *context;
static struct tls_wire wire;

static int judge(void *owner, const struct key_digest *shown)
{
	return ERR_KEY_UNKNOWN;
}

static void begin(void)
{
	struct tls_settings settings = {
		.server = true, .old_peers = true, .wants_key = true, .judge = judge};

	if (tls_key_make(&key) != 0)
		abort();
	settings.key = key;
	if (tls_context_create(&context, &settings) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	size_t piece = len ? (size_t)data[0] + 1 : 1;
	struct bytes rest = bytes_of(data + (len > 0), len - (len > 0));
	struct tls *tls;
	int step = TLS_READS;

	if (!context)
		begin();
	if (tls_create(&tls, context, &wire, -1, NULL) != 0)
		abort();
	while (rest.len && step == TLS_READS) {
		wire.in = bytes_first(rest, piece);
		rest = bytes_after(rest, wire.in.len);
		step = tls_handshake(tls);
		if (step == 0 || (step == TLS_READS && wire.in.len))
			abort();
		wire.out_len = 0;
	}
	tls_free(tls);
	return 0;
}
