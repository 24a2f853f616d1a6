/* What went wrong with a fetch, in two lines. */
#include "command/fetch.h"
#include "command/say.h"

#include <inttypes.h>

enum { FETCH_LINE_BYTES = 1024 };

static bool is_of_name(int err)
{
	return err == ERR_NO_NAME || err == ERR_NAME_SERVER || err == ERR_NO_ADDRESS;
}

static int say_peer(const struct fetch *f)
{
	const char *advice = NULL;

	if (f->err == ERR_NO_FAMILY && !f->exchange.by_proxy)
		return say_no_family(SAY_CONNECT, f->where,
				     f->links->families != NAME_BOTH &&
					     !address_is_literal(f->exchange.url.host));
	if (f->exchange.by_proxy)
		advice = _("--proxy '' to do without the proxy, or another in http_proxy");
	return say_error_try(is_of_name(f->err) ? SAY_RESOLVE : SAY_CONNECT, f->where, f->err,
			     advice);
}

static int say_proxy(const struct fetch *f)
{
	char line[FETCH_LINE_BYTES];

	if (f->err == ERR_TIMEOUT) {
		snprintf(line, sizeof line, _("the proxy %s fell silent (timed out)"), f->where);
		return say_told(f->where, f->err, line,
				_("--proxy '' to do without it, or -t DUR to wait longer"));
	}
	if (f->err != ERR_REFUSES)
		return say_error(SAY_TALK, f->where, f->err);
	if (f->exchange.status == 407) {
		snprintf(line, sizeof line, _("the proxy %s wants a name and a password (407)"),
			 f->where);
		return say_told(f->where, ERR_KEY_REFUSED, line,
				_("http://NAME:PASSWORD@HOST:PORT as the proxy"));
	}
	snprintf(line, sizeof line, _("the proxy %s makes no tunnel to %s (status %u)"), f->where,
		 f->exchange.url.host, f->exchange.status);
	return say_told(f->where, ERR_REFUSES, line,
			_("--proxy '' to do without it, or its name in no_proxy"));
}

static int say_talk(const struct fetch *f)
{
	const struct fetch_exchange *x = &f->exchange;
	char line[FETCH_LINE_BYTES];

	if (f->err == ERR_KEY_REFUSED) /* in TLS 1.3 that is said after the handshake */
		return trust_say(&f->links->trust, SAY_SECURE, f->where, f->err);
	if (f->err == ERR_PROTOCOL && f->why[0]) {
		snprintf(line, sizeof line, _("the answer of %s is no valid HTTP: %s"), f->where,
			 f->why);
		return say_told(f->where, f->err, line,
				_("-v to see it; another kind of server may be listening there"));
	}
	if (f->err == ERR_LEFT && !x->answered) {
		snprintf(line, sizeof line, _("%s closed the connection without an answer"),
			 f->where);
		return say_told(f->where, f->err, line,
				_("-v to see what was said; or https:// where http:// was asked"));
	}
	if ((f->err == ERR_LEFT || f->err == ERR_RESET) && x->answered && x->length != UINT64_MAX) {
		snprintf(line, sizeof line,
			 _("%s left after %" PRIu64 " of %" PRIu64 " bytes of its answer"),
			 f->where, x->content_bytes, x->length);
		return say_told(f->where, f->err, line,
				_("again, or --retry N, which takes it up where it stopped"));
	}
	if (f->err == ERR_LEFT) {
		snprintf(line, sizeof line, _("%s left before the end of its answer"), f->where);
		return say_told(f->where, f->err, line, _("again, or --retry N"));
	}
	return say_error(SAY_TALK, f->where, f->err);
}

static int say_redirect(const struct fetch *f)
{
	char line[FETCH_LINE_BYTES * 8], url[URL_BYTES];
	struct text t = TEXT_OVER(url);

	url_put(&t, &f->exchange.url);
	snprintf(line, sizeof line, "%s: %s", url, f->why);
	return say_told(url, f->err, line,
			_("-I --max-redirs 0, which shows where it points; --max-redirs N for "
			  "more steps"));
}

static int say_tls(const struct fetch *f)
{
	if (f->err == ERR_TIMEOUT)
		return say_error_try(SAY_SECURE, f->where, f->err,
				     _("http://, if it speaks plainly; -t DUR to wait longer"));
	if (f->err == ERR_LEFT || f->err == ERR_RESET)
		return say_error_try(SAY_SECURE, f->where, f->err,
				     _("http://, if it speaks plainly; its log may say why"));
	return trust_say(&f->links->trust, SAY_SECURE, f->where, f->err);
}

int fetch_say(const struct fetch *f)
{
	if (!f->err)
		return 0;
	switch (f->fault) {
	case FETCH_OF_PEER:
		return say_peer(f);
	case FETCH_OF_PROXY:
		return say_proxy(f);
	case FETCH_OF_TLS:
		return say_tls(f);
	case FETCH_OF_TALK:
		return say_talk(f);
	case FETCH_OF_REDIRECT:
		return say_redirect(f);
	case FETCH_OF_URL:
		return say_told(
			f->where, ERR_USAGE,
			_("the proxy of the environment or of --proxy cannot be used: it is "
			  "no http:// URL"),
			_("http://HOST:PORT in --proxy, http_proxy, https_proxy or "
			  "all_proxy"));
	case FETCH_OF_CALLER:
		break;
	}
	return say_told(f->where, f->err, f->why[0] ? f->why : _(err_text(f->err)),
			_("-v for the whole story, or prise doctor"));
}
