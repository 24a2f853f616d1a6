/* prise ip: this machine's address as others see it.
 *
 * Every service is asked at once; the first address that K of them agree on is the answer, and the
 * others are not waited for. */
#include "command/fetch.h"
#include "command/publish.h"
#include "command/say.h"

#include <inttypes.h>
#include <stdlib.h>

enum { IP_ANSWER_BYTES = 1024, IP_MS = 10000, IP_REDIRECTS = 5 };

static const char *const ip_usual = "https://ifconfig.me/ip";

struct ip_options {
	struct option_list via;
	uint64_t agree;
	const char *proxy, *pin;
	bool insecure;
};

static const struct option options[] = {
	{"via", 0, OPTION_LIST, N_("URL"), offsetof(struct ip_options, via),
	 .help = N_("the service to ask, several side by side (ifconfig.me)")},
	{"agree", 0, OPTION_COUNT, N_("K"), offsetof(struct ip_options, agree), .fallback = "1",
	 .least = 1, .most = OPTION_LIST_MOST,
	 .help = N_("believe an address once K of them say it")},
	{"proxy", 'x', OPTION_TEXT, N_("URL"), offsetof(struct ip_options, proxy),
	 .help = N_("by this proxy; '' for none, whatever the environment says")},
	{"pin", 0, OPTION_TEXT, N_("FINGERPRINT"), offsetof(struct ip_options, pin),
	 .help = N_("https: the server must have this key (SHA256:...)")},
	{"insecure", 'k', OPTION_FLAG, .offset = offsetof(struct ip_options, insecure),
	 .help = N_("https: whoever answers, without knowing who it is")},
	OPTION_END,
};

struct ip_run;

/* One service and what it says. */
struct ip_service {
	struct ip_run *run;
	const char *given;
	struct url url;
	struct fetch fetch;
	size_t len;
	uint8_t answer[IP_ANSWER_BYTES];
	bool over;
	bool answered; /* with `address` */
	struct address address;
};

struct ip_run {
	const struct command_call *call;
	struct links links;
	struct fetch_request request;
	struct ip_service *service;
	unsigned services;
	bool done;
	const struct ip_service *result;
	unsigned agreeing;
};

static int ip_head(void *owner, const struct http1_head *head, struct bytes raw)
{
	struct ip_service *s = owner;

	if (head->status == 200)
		return 0;
	snprintf(s->fetch.why, sizeof s->fetch.why, _("%s answers %u %s"), s->given, head->status,
		 http1_reason(head->status));
	return ERR_REFUSES;
}

static int ip_no_address(struct ip_service *s)
{
	snprintf(s->fetch.why, sizeof s->fetch.why, _("what %s answers is no address"), s->given);
	return ERR_PROTOCOL;
}

static int ip_content(void *owner, struct bytes b)
{
	struct ip_service *s = owner;

	if (b.len > sizeof s->answer - s->len)
		return ip_no_address(s);
	memcpy(s->answer + s->len, b.data, b.len);
	s->len += b.len;
	return 0;
}

/* Whether the address is of a family that was asked for. */
static bool ip_is_wanted(const struct command_common *common, const struct address *a)
{
	if (common->v4 == common->v6)
		return true;
	return a->family == (common->v4 ? ADDRESS_V4 : ADDRESS_V6);
}

/* A service that listens on IPv6 alone may see ::ffff:192.0.2.1, which is 192.0.2.1. */
static void ip_unmap(struct address *a)
{
	static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};

	if (a->family != ADDRESS_V6 || memcmp(a->ip, prefix, sizeof prefix) != 0)
		return;
	a->family = ADDRESS_V4;
	memmove(a->ip, a->ip + sizeof prefix, 4);
	memset(a->ip + 4, 0, sizeof prefix);
}

static int ip_read(struct ip_service *s)
{
	struct bytes b = bytes_strip(bytes_of(s->answer, s->len));

	if (address_parse_ip(b, &s->address) != 0 || s->address.scope)
		return ip_no_address(s);
	ip_unmap(&s->address);
	if (ip_is_wanted(&s->run->call->common, &s->address))
		return 0;
	snprintf(s->fetch.why, sizeof s->fetch.why,
		 _("%s answers with an address of the other family"), s->given);
	return ERR_NO_ADDRESS;
}

static void ip_report(const struct ip_service *s)
{
	const struct fetch_exchange *x = &s->fetch.exchange;
	char text[ADDRESS_TEXT_BYTES];
	struct text t = TEXT_OVER(text);
	struct event e;

	address_put_ip(&t, &s->address);
	event_init(&e, EVENT_INFO, "ip.answer", s->run->call->command->name, say_now_us());
	event_string(&e, "via", s->given);
	event_string(&e, "address", text);
	event_uint(&e, "ms", (x->over_ns - x->begun_ns) / MOMENT_MS);
	publish_and_say(s->run->call, &e);
}

static void ip_count(struct ip_run *run, const struct ip_service *by)
{
	unsigned agreeing = 0;

	for (unsigned i = 0; i < run->services; i++)
		agreeing += run->service[i].answered &&
			    address_equal_ip(&run->service[i].address, &by->address);
	if (agreeing > run->agreeing) {
		run->agreeing = agreeing;
		run->result = by;
	}
}

static void ip_over(void *owner)
{
	const struct ip_options *given;
	struct ip_service *s = owner;
	struct ip_run *run = s->run;
	bool waiting = false;

	given = run->call->options;
	s->over = true;
	if (!s->fetch.err) {
		s->fetch.err = ip_read(s);
		s->fetch.fault = FETCH_OF_CALLER;
	}
	s->answered = !s->fetch.err;
	if (s->answered) {
		ip_report(s);
		ip_count(run, s);
	}
	for (unsigned i = 0; i < run->services; i++)
		waiting = waiting || !run->service[i].over;
	run->done = !waiting || run->agreeing >= given->agree;
}

static const struct fetch_calls ip_calls = {
	.head = ip_head, .content = ip_content, .over = ip_over};

static int ip_say_fault(const struct ip_service *s)
{
	if (s->fetch.fault == FETCH_OF_CALLER && s->fetch.why[0])
		return say_told(s->given, s->fetch.err, s->fetch.why,
				_("--via URL with a service that answers with nothing but an "
				  "address"));
	return fetch_say(&s->fetch);
}

/* Too few agree: what each says. */
static int ip_say_apart(const struct ip_run *run)
{
	const struct ip_options *given = run->call->options;
	struct event e;
	int code = 0;

	for (unsigned i = 0; i < run->services; i++) {
		const struct ip_service *s = &run->service[i];
		char text[ADDRESS_TEXT_BYTES];
		struct text t = TEXT_OVER(text);

		if (s->answered) {
			address_put_ip(&t, &s->address);
			say_warning(_("%s says %s"), s->given, text);
		} else {
			code = ip_say_fault(s);
		}
	}
	if (run->services == 1)
		return code;
	event_init(&e, EVENT_WARNING, "ip.apart", run->call->command->name, say_now_us());
	event_uint(&e, "agreeing", run->agreeing);
	event_uint(&e, "wanted", given->agree);
	event_uint(&e, "asked", run->services);
	publish_and_say(run->call, &e);
	say_warning(_("%u agree, and %" PRIu64 " were asked for"), run->agreeing, given->agree);
	return 1;
}

static int ip_say_result(const struct ip_run *run)
{
	char text[ADDRESS_TEXT_BYTES];
	struct text t = TEXT_OVER(text);
	struct event e;

	address_put_ip(&t, &run->result->address);
	if (!run->call->common.json)
		puts(text);
	event_init(&e, EVENT_INFO, "ip.result", run->call->command->name, say_now_us());
	event_string(&e, "address", text);
	event_uint(&e, "agreeing", run->agreeing);
	event_uint(&e, "asked", run->services);
	publish_and_say(run->call, &e);
	return 0;
}

static void ip_make_request(struct ip_run *run)
{
	const struct ip_options *given = run->call->options;
	uint64_t timeout_ms = run->call->common.timeout_ms;

	loop_refresh(run->links.loop);
	run->request = (struct fetch_request){
		.method = BYTES_LITERAL("GET"),
		.minor = 1,
		.validator = "",
		.proxy = given->proxy,
		.redirects_most = IP_REDIRECTS,
		.total_due_ns = loop_now(run->links.loop)->boot_ns +
				(timeout_ms ? timeout_ms : IP_MS) * MOMENT_MS,
	};
	run->links.pin = given->pin;
	run->links.insecure = given->insecure;
	run->links.agent = "prise/" PRISE_VERSION;
}

static int ip_ask(struct ip_run *run)
{
	const struct ip_options *given = run->call->options;
	int err = links_begin(&run->links, run->call);

	if (err)
		return say_error(SAY_RUN, run->call->command->name, err);
	ip_make_request(run);
	for (unsigned i = 0; i < run->services; i++) {
		struct ip_service *s = &run->service[i];

		if (!run->done)
			fetch_begin(&s->fetch, &run->links, &run->request, &s->url, &ip_calls, s);
	}
	loop_run_until(run->links.loop, &run->done);
	err = run->agreeing >= given->agree ? ip_say_result(run) : ip_say_apart(run);
	links_end(&run->links);
	return err;
}

static bool ip_is_same(const struct url *a, const struct url *b)
{
	return url_same_origin(a, b) &&
	       bytes_equal(bytes_of_string(a->target), bytes_of_string(b->target));
}

/* A service that is given twice is asked once: it cannot agree with itself. */
static bool ip_is_known(const struct ip_run *run, const struct url *url)
{
	for (unsigned i = 0; i < run->services; i++)
		if (ip_is_same(&run->service[i].url, url))
			return true;
	return false;
}

static int ip_read_urls(struct ip_run *run)
{
	const struct ip_options *given = run->call->options;
	unsigned count = given->via.count ? given->via.count : 1;

	for (unsigned i = 0; i < count; i++) {
		struct ip_service *s = &run->service[run->services];

		s->run = run;
		s->given = given->via.count ? given->via.item[i] : ip_usual;
		if (url_parse(&s->url, bytes_of_string(s->given)) != 0)
			return say_usage(_("--via with http://HOST/PATH or https://HOST/PATH"),
					 _("'%s' is no URL"), s->given);
		run->services += !ip_is_known(run, &s->url);
	}
	if (given->agree > run->services)
		return say_usage(_("--via for each service to be asked"),
				 _("%u service cannot make %u agree"), run->services,
				 (unsigned)given->agree);
	return 0;
}

static int ip_main(struct command_call *call)
{
	const struct ip_options *given = call->options;
	struct ip_run run = {.call = call};
	int code = trust_check_pin(given->pin);

	if (code)
		return code;
	if (call->argc)
		return say_usage(_("--via URL, to name a service"),
				 _("'%s' is one argument too many"), call->argv[0]);
	run.service = calloc(given->via.count + 1, sizeof *run.service);
	if (!run.service)
		return say_error(SAY_RUN, call->command->name, ERR_MEMORY);
	code = ip_read_urls(&run);
	if (!code)
		code = ip_ask(&run);
	free(run.service);
	return code;
}

const struct command command_ip = {
	.name = "ip",
	.synopsis = N_("[--via URL]..."),
	.about = N_(
		"Prints the address from which this machine is seen outside, as a service answers "
		"that is asked over http or https: https://ifconfig.me/ip unless told. Of several "
		"the first answer counts, or with --agree the first that so many of them give; too "
		"few is exit 1. What is no address is none, and -4 or -6 want one of that family, "
		"and reach the service by it."),
	.examples = "prise ip\n"
		    "prise ip -4 --via https://ifconfig.me/ip --via https://icanhazip.com "
		    "--agree 2\n",
	.takes = COMMAND_TAKES_FAMILY | COMMAND_TAKES_TIMEOUT,
	.options = options,
	.options_bytes = sizeof(struct ip_options),
	.run = ip_main,
};
