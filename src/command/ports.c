/* Ports tested one after the other; a test that ends at once needs no more. UDP has no way to say
 * yes: an answer, or silence instead of ICMP's "port unreachable", must do. */
#include "command/ports.h"

#include "base/number.h"
#include "command/client.h"
#include "command/progress.h"
#include "command/publish.h"
#include "command/say.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct ports {
	struct command_call *call;
	struct client client;
	uint64_t wait_ms;
	bool several;
	unsigned closed; /* how many so far are not open */
	unsigned tested;
	unsigned count;
	uint16_t port[UINT16_MAX]; /* in the order given */
};

static int ports_add(struct ports *p, uint64_t first, uint64_t last)
{
	if (first < 1 || last > UINT16_MAX || first > last || p->count + last - first >= UINT16_MAX)
		return ERR_RANGE;
	for (uint64_t port = first; port <= last; port++)
		p->port[p->count++] = (uint16_t)port;
	return 0;
}

/* PORT, a service's name, or LOW-HIGH. A name may have a hyphen. */
static int ports_parse(struct ports *p, const char *word)
{
	struct bytes b = bytes_of_string(word);
	size_t hyphen = bytes_find_byte(b, '-');
	uint64_t low, high;
	uint16_t port;
	int err = endpoint_parse_port(word, p->call->common.udp, &port);

	if (err == 0)
		return ports_add(p, port, port);
	if (hyphen == b.len || number_parse_u64(bytes_first(b, hyphen), &low) != 0 ||
	    number_parse_u64(bytes_after(b, hyphen + 1), &high) != 0)
		return err;
	return ports_add(p, low, high);
}

static int ports_parse_all(struct ports *p)
{
	for (int i = 1; i < p->call->argc; i++) {
		int err = ports_parse(p, p->call->argv[i]);

		if (err)
			return say_usage(
				_("a number from 1 to 65535, a name from `prise services`, "
				  "or LOW-HIGH"),
				_("'%s' is no port: %s"), p->call->argv[i], _(err_text(err)));
	}
	p->several = p->count > 1;
	return 0;
}

/* Whether a datagram is refused. 0 or ERR_. */
static int ports_probe(struct ports *p, int fd, bool *answered)
{
	struct pollfd ready = {.fd = fd, .events = POLLIN};
	uint8_t byte;

	*answered = false;
	if (send(fd, "", 0, 0) < 0)
		return err_from_peer(errno);
	if (poll(&ready, 1, p->wait_ms && p->wait_ms <= INT32_MAX ? (int)p->wait_ms : -1) <= 0)
		return 0;
	*answered = recv(fd, &byte, sizeof byte, MSG_DONTWAIT) >= 0;
	return *answered ? 0 : err_from_peer(errno);
}

/* The first address failed with `err`: whether another does not. 0 or ERR_; that somebody refuses
 * says more than that there is no way to somebody. */
static int ports_probe_rest(struct ports *p, int err, bool *answered)
{
	while (err && p->client.rests) {
		int fd, next;

		if (client_dial_next(&p->client, &fd))
			continue;
		next = ports_probe(p, fd, answered);
		if (!next || err != ERR_REFUSED)
			err = next;
		close(fd);
	}
	return err;
}

/* `state` is N_(); events have it as it is. */
static void ports_print(struct ports *p, const char *state, int err, uint64_t took_ns)
{
	struct event e;

	if (!p->call->common.json)
		printf("%s %s\n", p->client.where, _(state));
	event_init(&e, EVENT_INFO, "connect.test", "connect", say_now_us());
	event_string(&e, "target", p->client.to.host);
	event_uint(&e, "port", p->client.to.port);
	event_string(&e, "proto", p->call->common.udp ? "udp" : "tcp");
	event_string(&e, "state", err ? err_name(err) : state);
	event_uint(&e, "code", (uint64_t)err_exit(err));
	event_real(&e, "ms", (double)took_ns / MOMENT_MS);
	publish_and_say(p->call, &e);
}

/* One port. Returns its exit code. */
static int ports_test_one(struct ports *p)
{
	bool udp = p->call->common.udp, answered = true;
	uint64_t start_ns;
	int fd, err;

	loop_refresh(p->client.loop);
	start_ns = loop_now(p->client.loop)->boot_ns;
	err = client_dial(&p->client, 0, &fd);
	if (!err) {
		if (udp)
			err = ports_probe(p, fd, &answered);
		close(fd);
	}
	if (err && udp)
		err = ports_probe_rest(p, err, &answered);
	loop_refresh(p->client.loop);
	p->closed += err != 0;
	if (err && (!p->several || err_exit(err) == err_exit(ERR_NO_NAME)))
		return client_say(&p->client, err);
	ports_print(p,
		    err        ? err_text(err)
		    : answered ? N_("open")
			       : N_("open, or filtered"),
		    err, loop_now(p->client.loop)->boot_ns - start_ns);
	fflush(stdout);
	return err_exit(err);
}

static uint64_t ports_tested(void *owner)
{
	return ((struct ports *)owner)->tested;
}

/* Many take long, and of lines that go to a file nothing is seen. */
static void ports_show_progress(struct ports *p, struct progress *progress)
{
	const struct command_common *common = &p->call->common;

	if (common->quiet || common->verbose || isatty(STDOUT_FILENO))
		return;
	progress->done_bytes = ports_tested;
	progress->owner = p;
	progress->total_bytes = p->count;
	progress->things = true;
	progress_begin(progress, p->client.loop);
}

static int ports_test_each(struct ports *p)
{
	int code = 0;

	for (unsigned i = 0; i < p->count; i++) {
		struct text where = TEXT_OVER(p->client.where);

		p->client.to.port = p->port[i];
		endpoint_put(&where, &p->client.to);
		code = ports_test_one(p);
		p->tested++;
		if (code == err_exit(ERR_NO_NAME))
			return code; /* it will not exist for the other ports either */
	}
	if (p->several)
		return p->closed ? 1 : 0;
	return code;
}

static int ports_test_all(struct ports *p)
{
	struct progress progress = {0};
	int code;

	ports_show_progress(p, &progress);
	code = ports_test_each(p);
	progress_end(&progress);
	return code;
}

int ports_test(struct command_call *call, const struct address *source, uint64_t wait_ms)
{
	struct ports *p = calloc(1, sizeof *p);
	struct command_call first = *call;
	char number[8];
	char *words[] = {call->argv[0], number};
	int taken, code;

	if (!p)
		return say_error(SAY_RUN, call->command->name, ERR_MEMORY);
	p->call = call;
	p->wait_ms = wait_ms;
	code = ports_parse_all(p);
	if (!code && p->count) { /* the host is understood once, with the first port */
		snprintf(number, sizeof number, "%u", p->port[0]);
		first.argc = 2;
		first.argv = words;
	}
	if (!code)
		code = client_open(&p->client, &first, 0, true, &taken);
	if (!code) {
		p->client.source = *source;
		code = p->count ? ports_test_all(p) : ports_test_one(p);
		client_close(&p->client);
	}
	free(p);
	return code;
}
