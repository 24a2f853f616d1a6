/* Two sessions against each other in memory: every cut, every bent byte, the judge, versions, ends.
 * The wire of each is what the other said. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "net/tls.h"

enum { STREAM_BYTES = 1 << 20, ROUNDS = 200 };

/* One end: its session, its wire, and the stream that came for it. */
struct end {
	struct tls *tls;
	struct tls_wire wire;
	uint8_t stream[STREAM_BYTES];
	size_t have, read; /* of the stream */
	size_t seen;       /* all that came, from the beginning */
	int step;          /* the last */
	bool shaken;
	uint8_t heard[STREAM_BYTES];
	size_t heard_len;
};

static struct end client, server;
static struct tls_key *server_key, *client_key;
static struct tls_context *client_context, *server_context;

/* What happens on the way to the server: bytes at a time, which byte is bent and how. */
static size_t piece;
static size_t bent_at;
static uint8_t bent_by;

static struct key_digest judged;
static int verdict;

static int judge(void *owner, const struct key_digest *key)
{
	judged = *key;
	return verdict;
}

static int make_keys(void **state)
{
	assert_int_equal(tls_key_make(&server_key), 0);
	assert_int_equal(tls_key_make(&client_key), 0);
	return 0;
}

static int free_keys(void **state)
{
	tls_key_free(server_key);
	tls_key_free(client_key);
	return 0;
}

static void open_context(struct tls_context **context, const struct tls_settings *settings)
{
	assert_int_equal(tls_context_create(context, settings), 0);
}

static void begin(const struct tls_settings *client_settings,
		  const struct tls_settings *server_settings)
{
	struct tls_settings us = {.key = client_key, .judge = judge};
	struct tls_settings them = {.server = true, .key = server_key};

	memset(&client, 0, sizeof client);
	memset(&server, 0, sizeof server);
	piece = SIZE_MAX;
	bent_at = SIZE_MAX;
	open_context(&client_context, client_settings ? client_settings : &us);
	open_context(&server_context, server_settings ? server_settings : &them);
	assert_int_equal(tls_create(&client.tls, client_context, &client.wire, -1, "localhost"), 0);
	assert_int_equal(tls_create(&server.tls, server_context, &server.wire, -1, NULL), 0);
}

static void end(void)
{
	tls_free(client.tls);
	tls_free(server.tls);
	tls_context_free(client_context);
	tls_context_free(server_context);
}

/* Carries what `from` left in its wire to the other's stream. */
static void carry(struct end *from, struct end *to)
{
	for (size_t i = 0; i < from->wire.out_len; i++, to->seen++) {
		uint8_t byte = from->wire.out[i];

		if (to == &server && to->seen == bent_at)
			byte ^= bent_by;
		assert_true(to->have < STREAM_BYTES);
		to->stream[to->have++] = byte;
	}
	from->wire.out_len = 0;
}

/* One step of an end with the next piece of its stream. */
static void step(struct end *e, struct end *other)
{
	size_t len = e->have - e->read < piece ? e->have - e->read : piece;

	if (len > TLS_IN_BYTES)
		len = TLS_IN_BYTES;
	e->wire.in = bytes_of(e->stream + e->read, len);
	e->read += len;
	if (!e->shaken) {
		e->step = tls_handshake(e->tls);
		e->shaken = e->step == 0;
	}
	while (e->shaken && e->step >= 0 && e->step != TLS_ENDED) {
		size_t got = 0;

		e->step = tls_read(e->tls, e->heard + e->heard_len, STREAM_BYTES - e->heard_len,
				   &got);
		e->heard_len += got;
		if (e->step)
			break;
	}
	assert_int_equal(e->step < 0 ? 0 : e->wire.in.len, 0);
	carry(e, other);
}

static void settle(void)
{
	unsigned quiet = 0;

	for (unsigned i = 0; i < 400000 && quiet < 2; i++) {
		size_t before = client.read + server.read + client.have + server.have;

		step(&client, &server);
		step(&server, &client);
		quiet = client.read + server.read + client.have + server.have == before ? quiet + 1
											: 0;
	}
}

static void say(struct end *from, struct end *to, const char *text)
{
	size_t taken;

	assert_int_equal(tls_write(from->tls, bytes_of_string(text), &taken), 0);
	assert_int_equal(taken, strlen(text));
	carry(from, to);
}

static void both_ways(void **state)
{
	struct key_digest key;

	begin(NULL, NULL);
	verdict = 0;
	settle();
	assert_true(client.shaken && server.shaken);
	assert_string_equal(tls_version(client.tls), "TLSv1.3");
	assert_string_equal(tls_cipher(client.tls), "TLS_AES_128_GCM_SHA256");
	key = tls_key_digest(server_key);
	assert_true(keys_equal(&judged, &key));
	assert_true(tls_peer(client.tls, &judged) && keys_equal(&judged, &key));
	assert_false(tls_peer(server.tls, &judged));
	say(&client, &server, "bonjour");
	say(&server, &client, "salut");
	settle();
	assert_int_equal(server.heard_len, 7);
	assert_memory_equal(server.heard, "bonjour", 7);
	assert_memory_equal(client.heard, "salut", 5);
	assert_int_equal(tls_end(client.tls), 0);
	carry(&client, &server);
	settle();
	assert_int_equal(server.step, TLS_ENDED);
	say(&server, &client, "encore"); /* a half is closed, not the other */
	settle();
	assert_int_equal(client.heard_len, 11);
	end();
}

static void one_record_is_one_read(void **state)
{
	size_t got;
	char data[64];

	begin(NULL, NULL);
	verdict = 0;
	settle();
	say(&client, &server, "eins");
	say(&client, &server, "zwei");
	server.wire.in = bytes_of(server.stream + server.read, server.have - server.read);
	assert_int_equal(tls_read(server.tls, data, sizeof data, &got), 0);
	assert_int_equal(got, 4);
	assert_int_equal(tls_read(server.tls, data, 3, &got), 0);
	assert_int_equal(got, 3);
	assert_int_equal(tls_read(server.tls, data, sizeof data, &got), 0);
	assert_int_equal(got, 1);
	assert_int_equal(tls_read(server.tls, data, sizeof data, &got), TLS_READS);
	end();
}

static void cut_anywhere(void **state)
{
	for (piece = 1; piece < 40; piece++) {
		size_t cut = piece;

		begin(NULL, NULL);
		verdict = 0;
		piece = cut;
		settle();
		assert_true(client.shaken && server.shaken);
		say(&client, &server, "un");
		say(&client, &server, "deux");
		say(&server, &client, "trois");
		settle();
		assert_int_equal(server.heard_len, 6);
		assert_memory_equal(server.heard, "undeux", 6);
		assert_int_equal(client.heard_len, 5);
		end();
	}
}

/* Nothing that was said after the bend is ever heard, and nothing crashes. */
static void bent_anywhere(void **state)
{
	size_t all = 0;

	for (size_t at = 0; at == 0 || at < all; at++) {
		begin(NULL, NULL);
		verdict = 0;
		bent_at = at;
		bent_by = (uint8_t)(1u << (at % 8));
		settle();
		if (client.shaken && client.step >= 0) {
			say(&client, &server, "secret");
			settle();
		}
		if (at == 0)
			all = 1200;
		if (server.seen > at)
			assert_true(server.step < 0 || server.heard_len == 0 ||
				    at < 11); /* the version in the first record's head is not
						 looked at */
		else
			all = at;
		end();
	}
	assert_true(all > 300 && all < 1200);
}

static int refused_by_server(int err)
{
	struct tls_settings them = {
		.server = true, .key = server_key, .wants_key = true, .judge = judge};
	struct tls_settings us = {.key = err == ERR_KEY_MISSING ? NULL : client_key};

	begin(&us, &them);
	verdict = err == ERR_KEY_MISSING ? 0 : err;
	settle();
	assert_int_equal(server.step, err);
	return client.step;
}

static void the_servers_judge(void **state)
{
	struct key_digest key = tls_key_digest(client_key);

	assert_int_equal(refused_by_server(ERR_KEY_UNKNOWN), ERR_KEY_REFUSED);
	assert_true(keys_equal(&judged, &key));
	end();
	assert_int_equal(refused_by_server(ERR_KEY_SERVICE), ERR_KEY_REFUSED);
	end();
	assert_int_equal(refused_by_server(ERR_KEY_MISSING), ERR_KEY_REFUSED);
	end();
}

static void the_clients_judge(void **state)
{
	begin(NULL, NULL);
	verdict = ERR_KEY_CHANGED;
	settle();
	assert_int_equal(client.step, ERR_KEY_CHANGED);
	assert_int_equal(server.step, ERR_KEY_REFUSED);
	end();
}

static void the_system_does_not_know_it(void **state)
{
	struct tls_settings us = {.system_trust = true, .old_peers = true};

	begin(&us, NULL);
	settle();
	assert_int_equal(client.step, ERR_CERT_UNKNOWN);
	end();
}

static void what_is_not_tls(void **state)
{
	static const char *const said[] = {"GET / HTTP/1.0\r\n\r\n", "bonjour, bonjour\n",
					   "SSH-2.0-x\r\n"};

	for (unsigned i = 0; i < sizeof said / sizeof said[0]; i++) {
		begin(NULL, NULL);
		server.wire.in = bytes_of_string(said[i]);
		assert_int_equal(tls_handshake(server.tls), ERR_NOT_TLS);
		assert_true(tls_reason(server.tls)[0] != '\0');
		assert_int_equal(tls_handshake(server.tls), ERR_NOT_TLS);
		tls_handshake(client.tls);
		client.wire.in = bytes_of_string(said[i]);
		assert_int_equal(tls_handshake(client.tls), ERR_NOT_TLS);
		end();
	}
}

static void protocols(void **state)
{
	struct tls_settings us = {.alpn = "http/1.1"}, them = {.server = true, .key = server_key};

	them.alpn = "http/1.1";
	begin(&us, &them);
	settle();
	assert_true(client.shaken && server.shaken);
	end();
	us.alpn = "h2";
	begin(&us, &them);
	settle();
	assert_true(client.step < 0 && server.step < 0);
	end();
	us.alpn = NULL;
	begin(&us, &them);
	settle();
	assert_true(client.shaken && server.shaken);
	end();
}

/* Large writes, one record after the other, while the reader is slow. */
static void bulk(void **state)
{
	static uint8_t data[300000];
	size_t sent = 0;

	for (size_t i = 0; i < sizeof data; i++)
		data[i] = (uint8_t)(i * 7 ^ i >> 8);
	begin(NULL, NULL);
	verdict = 0;
	settle();
	while (sent < sizeof data) {
		size_t taken;

		assert_int_equal(
			tls_write(client.tls, bytes_of(data + sent, sizeof data - sent), &taken),
			0);
		assert_true(taken > 0 && taken <= TLS_RECORD_BYTES);
		sent += taken;
		carry(&client, &server);
	}
	piece = 1000;
	settle();
	assert_int_equal(server.heard_len, sizeof data);
	assert_memory_equal(server.heard, data, sizeof data);
	end();
}

static void keys_as_text(void **state)
{
	static char pem[TLS_PEM_BYTES];
	struct tls_key *again;
	struct key_digest a, b;
	size_t len;

	assert_int_equal(tls_key_write(server_key, pem, &len), 0);
	assert_int_equal(tls_key_parse(bytes_of(pem, len), &again), 0);
	a = tls_key_digest(server_key);
	b = tls_key_digest(again);
	assert_true(keys_equal(&a, &b));
	tls_key_free(again);
	for (size_t cut = 0; cut + 2 < len; cut += 13)
		assert_int_equal(tls_key_parse(bytes_of(pem, cut), &again), ERR_KEY_FILE);
	assert_int_equal(tls_key_parse(bytes_of_string("no key"), &again), ERR_KEY_FILE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_ways),
		cmocka_unit_test(one_record_is_one_read),
		cmocka_unit_test(cut_anywhere),
		cmocka_unit_test(bent_anywhere),
		cmocka_unit_test(the_servers_judge),
		cmocka_unit_test(the_clients_judge),
		cmocka_unit_test(the_system_does_not_know_it),
		cmocka_unit_test(what_is_not_tls),
		cmocka_unit_test(protocols),
		cmocka_unit_test(bulk),
		cmocka_unit_test(keys_as_text),
	};

	return cmocka_run_group_tests(tests, make_keys, free_keys);
}
