/* The clients' common part, as far as it is about TLS. */
#include "command/client_parts.h"

#include "command/say.h"

int client_check_tls(const struct command_common *common)
{
	if (common->tls && common->udp)
		return say_usage(_("without -u, or without --tls"),
				 _("TLS goes over TCP only, so --tls excludes -u"));
	if (common->pin && !common->tls)
		return say_usage(_("--tls too"), _("--pin says what key the server has under TLS"));
	return trust_check_pin(common->pin);
}

int client_open_trust(struct client *c, const struct client_tls *tls)
{
	const struct command_common *common = &c->call->common;
	struct client_tls ours = {.pin = common->pin};

	trust_close(&c->trust);
	if (!tls && common->tls)
		tls = &ours;
	c->tls_name = tls && tls->name ? tls->name : c->to.unix_path ? NULL : c->to.host;
	return tls ? trust_open(&c->trust, tls, c->where) : 0;
}

/* TLS on a socket that client_dial gave. */
struct client_handshake {
	struct client *client;
	struct tls *session;
	int64_t registration;
};

static void client_shake(void *owner, unsigned events)
{
	struct client_handshake *h = owner;
	int step = tls_handshake(h->session);
	struct loop *loop = h->client->loop;

	if (step == TLS_READS || step == TLS_WRITES)
		loop_change(loop, h->registration, step == TLS_READS ? LOOP_READ : LOOP_WRITE);
	else
		client_stop(h->client, step == TLS_ENDED ? ERR_LEFT : step);
}

int client_secure(struct client *c, const struct client_tls *tls, int fd, struct tls **session)
{
	struct client_handshake h = {.client = c};
	int err = client_open_trust(c, tls);

	if (!err)
		err = tls_create(&h.session, c->trust.context, NULL, fd, c->tls_name);
	if (err)
		return err;
	c->done = false;
	c->err = 0;
	c->securing = true;
	h.registration = loop_add(c->loop, fd, LOOP_WRITE, client_shake, &h);
	client_await(c, client_timeout_ms(c, CLIENT_DIAL_MS));
	err = h.registration < 0 ? (int)h.registration : client_wait(c);
	client_await(c, 0);
	if (h.registration > 0)
		loop_remove(c->loop, h.registration);
	c->done = false;
	if (err) {
		tls_free(h.session);
		return err;
	}
	c->securing = false;
	trust_keep(&c->trust);
	*session = h.session;
	return 0;
}
