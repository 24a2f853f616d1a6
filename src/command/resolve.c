/* `prise resolve`: names to addresses and back.
 *
 *   NAME  its addresses, then the names of each
 *   ADDR  its names, then the addresses of each
 *
 * Questions go to work threads, those of one target side by side and those of the targets to come
 * ahead of their turn; answers are printed in the order of the targets. Limits: THREADS questions
 * at a time, TARGETS_AHEAD targets ahead. */
#include "command/command.h"

#include "command/publish.h"
#include "command/say.h"
#include "net/endpoint.h"
#include "net/name.h"
#include "proto/happy.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <stdlib.h>
#include <unistd.h>

enum { THREADS = 16, TARGETS_AHEAD = 64, ARPA_BYTES = 80, LINE_BYTES = 4096 };

/* One question: the addresses of a name, or the names of an address. */
struct question {
	struct work_job job; /* first */
	bool reverse, done;
	int err;
	struct name_query query;
	struct name_answer answer;
	struct address address;
	struct name_list names;
};

struct target {
	const char *text;
	struct question first;
	struct question *second; /* what the first's answers point back to */
	unsigned seconds;
};

struct resolve {
	struct wheel_timer timer; /* first, so that the timer is the command */
	struct loop *loop;
	struct work *work;
	enum name_families families;
	const struct command_call *call;
	bool json, late;
	struct target *target;
	unsigned targets, asked;
};

static void run_question(struct work_job *job)
{
	struct question *q = (struct question *)job;

	if (q->reverse) {
		q->err = name_reverse_all(&q->address, &q->names);
		return;
	}
	name_resolve(&q->query, &q->answer);
	q->err = q->answer.err;
	happy_interleave(q->answer.address, q->answer.count);
}

static void end_question(struct work_job *job)
{
	((struct question *)job)->done = true;
}

/* From here until it is done the question is its thread's. */
static void ask(struct resolve *r, struct question *q)
{
	int err;

	q->job.run = run_question;
	q->job.done = end_question;
	err = work_submit(r->work, r->loop, &q->job);
	if (err == 0)
		return;
	q->err = err;
	q->done = true;
}

static void set_query(struct question *q, const char *name, enum name_families families)
{
	struct text host = TEXT_OVER(q->query.host);

	q->query.families = families;
	q->query.canonical = true;
	text_put_string(&host, name);
}

static void ask_names(struct resolve *r, struct question *q, const struct address *a)
{
	q->reverse = true;
	q->address = *a;
	ask(r, q);
}

static bool is_literal(const char *host)
{
	struct address a;

	return strchr(host, ':') != NULL || address_parse_ip(bytes_of_string(host), &a) == 0;
}

static void ask_first(struct resolve *r, struct target *t)
{
	struct question *q = &t->first;
	struct endpoint e;

	endpoint_parse_peer_words(t->text, "1", false, &e); /* checked before */
	set_query(q, e.host, r->families);
	if (!is_literal(e.host)) {
		ask(r, q);
		return;
	}
	run_question(&q->job); /* a literal does not wait for anybody */
	q->reverse = true;
	if (q->err == 0)
		ask_names(r, q, &q->answer.address[0]);
	else
		q->done = true;
}

/* Waits until it is answered or the time is up. */
static void wait_for(struct resolve *r, const struct question *q)
{
	while (!q->done && !r->late)
		loop_turn(r->loop, -1);
}

/* What was not answered when the time was up is a name server's silence. */
static int outcome(const struct question *q)
{
	return q->done ? q->err : ERR_NAME_SERVER;
}

static void ask_seconds(struct resolve *r, struct target *t)
{
	const struct question *first = &t->first;
	unsigned count;

	if (outcome(first) != 0)
		return;
	count = first->reverse ? first->names.count : first->answer.count;
	t->second = calloc(count, sizeof(*t->second));
	if (t->second == NULL)
		return;
	for (; t->seconds < count; t->seconds++) {
		struct question *q = &t->second[t->seconds];

		if (!first->reverse) {
			ask_names(r, q, &first->answer.address[t->seconds]);
			continue;
		}
		set_query(q, first->names.name[t->seconds], NAME_BOTH);
		ask(r, q);
	}
	for (unsigned i = 0; i < t->seconds; i++)
		wait_for(r, &t->second[i]);
}

static void put_names(struct text *t, const struct name_list *names)
{
	for (unsigned i = 0; i < names->count; i++) {
		text_put_string(t, i == 0 ? "" : " ");
		text_put_visible(t, bytes_of_string(names->name[i]), false);
	}
}

/* As it can be typed: an address of a link with its interface's name. */
static void put_ip(struct text *t, const struct address *a)
{
	char interface[IF_NAMESIZE];
	struct address bare = *a;

	bare.scope = 0;
	if (a->scope == 0 || if_indextoname(a->scope, interface) == NULL) {
		address_put_ip(t, a);
		return;
	}
	address_put_ip(t, &bare);
	text_put_byte(t, '%');
	text_put_visible(t, bytes_of_string(interface), false);
}

static void put_addresses(struct text *t, const struct name_answer *answer)
{
	for (unsigned i = 0; i < answer->count; i++) {
		text_put_string(t, i == 0 ? "" : " ");
		put_ip(t, &answer->address[i]);
	}
}

/* The name that holds an address's names in the DNS (RFC 1035 3.5, RFC 3596 2.5). */
static void put_arpa(struct text *t, const struct address *a)
{
	static const char digits[] = "0123456789abcdef";

	if (a->family == ADDRESS_V4) {
		text_printf(t, "%u.%u.%u.%u.in-addr.arpa", a->ip[3], a->ip[2], a->ip[1], a->ip[0]);
		return;
	}
	for (int i = 15; i >= 0; i--)
		text_printf(t, "%c.%c.", digits[a->ip[i] & 15], digits[a->ip[i] >> 4]);
	text_put_string(t, "ip6.arpa");
}

static bool points_back(const struct question *forward, const struct address *a)
{
	if (outcome(forward) != 0)
		return false;
	for (unsigned i = 0; i < forward->answer.count; i++)
		if (address_equal_ip(&forward->answer.address[i], a))
			return true;
	return false;
}

static void print_visible(const char *text)
{
	char line[LINE_BYTES];
	struct text t = TEXT_OVER(line);

	text_put_visible(&t, bytes_of_string(text), false);
	puts(line);
}

static void begin_event(struct event *e, const char *type, const struct target *t)
{
	event_init(e, EVENT_INFO, type, NULL, say_now_us());
	if (t != NULL)
		event_string(e, "target", t->text);
}

static void event_ip(struct event *e, const char *name, const struct address *a)
{
	char shown[ADDRESS_TEXT_BYTES];
	struct text t = TEXT_OVER(shown);

	put_ip(&t, a);
	event_string(e, name, shown);
}

/* One address of a name, and the names that it points back to. */
static void print_one_address(const struct resolve *r, const struct target *t, unsigned i)
{
	char shown[ADDRESS_TEXT_BYTES], back[LINE_BYTES];
	struct text address = TEXT_OVER(shown), names = TEXT_OVER(back);
	const struct address *a = &t->first.answer.address[i];
	int err = i < t->seconds ? outcome(&t->second[i]) : ERR_MEMORY;
	struct event e;

	if (err == 0)
		put_names(&names, &t->second[i].names);
	begin_event(&e, "resolve.address", t);
	event_string(&e, "canonical", t->first.answer.canonical);
	event_uint(&e, "order", i + 1);
	event_ip(&e, "address", a);
	event_string(&e, "names", back);
	if (err != 0)
		event_string(&e, "error", err_name(err));
	publish_and_say(r->call, &e);
	if (r->json)
		return;
	put_ip(&address, a);
	if (err == ERR_NO_NAME)
		text_printf(&names, "(%s)", _("no name points to it"));
	else if (err != 0)
		text_printf(&names, "(%s)", _(err_text(err)));
	printf("  %2u  %-15s  %s\n", i + 1, shown, back);
}

static void print_addresses(const struct resolve *r, const struct target *t)
{
	const struct name_answer *answer = &t->first.answer;

	if (!r->json) {
		print_visible(t->text);
		printf("  %s ", _("canonical name:"));
		print_visible(answer->canonical);
	}
	for (unsigned i = 0; i < answer->count; i++)
		print_one_address(r, t, i);
}

static void print_arpa(const struct resolve *r, const struct target *t)
{
	char shown[ARPA_BYTES];
	struct text arpa = TEXT_OVER(shown);
	struct event e;

	put_arpa(&arpa, &t->first.address);
	if (!r->json) {
		print_visible(t->text);
		printf("  %s\n", shown);
	}
	begin_event(&e, "resolve.arpa", t);
	event_ip(&e, "address", &t->first.address);
	event_string(&e, "arpa", shown);
	publish_and_say(r->call, &e);
}

static void show_one_name(const char *name, bool back, int err, const char *addresses)
{
	char line[LINE_BYTES];
	struct text text = TEXT_OVER(line);

	text_put_visible(&text, bytes_of_string(name), false);
	printf("  %s  %s%s%s\n", line, back ? _("points back") : _("does not point back"),
	       back ? "" : ": ", err != 0 ? _(err_text(err)) : addresses);
}

/* One name of an address, and whether it points back there. */
static void print_one_name(const struct resolve *r, const struct target *t, unsigned i)
{
	char line[LINE_BYTES];
	struct text addresses = TEXT_OVER(line);
	const char *name = t->first.names.name[i];
	const struct question *forward = i < t->seconds ? &t->second[i] : NULL;
	int err = forward != NULL ? outcome(forward) : ERR_MEMORY;
	bool back = err == 0 && points_back(forward, &t->first.address);
	struct event e;

	begin_event(&e, "resolve.name", t);
	event_ip(&e, "address", &t->first.address);
	event_string(&e, "name", name);
	event_bool(&e, "points_back", back);
	if (err != 0)
		event_string(&e, "error", err_name(err));
	else if (!back)
		put_addresses(&addresses, &forward->answer);
	if (addresses.len > 0)
		event_string(&e, "addresses", line);
	publish_and_say(r->call, &e);
	if (!r->json)
		show_one_name(name, back, err, line);
}

/* Prints what is known of a target; returns 0 or its error, which has been said. */
static int print_target(const struct resolve *r, const struct target *t)
{
	int err = outcome(&t->first);
	bool known = !t->first.reverse || t->first.address.family != ADDRESS_NONE;

	if (t->first.reverse && known)
		print_arpa(r, t);
	if (err != 0) {
		fflush(stdout);
		say_error(t->first.reverse && known ? SAY_REVERSE : SAY_RESOLVE, t->text, err);
		return err;
	}
	for (unsigned i = 0; t->first.reverse && i < t->first.names.count; i++)
		print_one_name(r, t, i);
	if (!t->first.reverse)
		print_addresses(r, t);
	fflush(stdout);
	return 0;
}

static void on_time_up(struct wheel_timer *timer, void *context)
{
	((struct resolve *)timer)->late = true;
}

/* Every target in turn; the exit code. */
static int resolve_all(struct resolve *r)
{
	int err = 0;
	bool all_good = true;

	for (unsigned i = 0; i < r->targets; i++) {
		struct target *t = &r->target[i];

		for (; r->asked < r->targets && r->asked < i + TARGETS_AHEAD; r->asked++)
			ask_first(r, &r->target[r->asked]);
		wait_for(r, &t->first);
		ask_seconds(r, t);
		err = print_target(r, t);
		all_good = all_good && err == 0;
	}
	if (r->targets == 1)
		return err_exit(err);
	return all_good ? 0 : 1;
}

/* Asks for the fully qualified name of this machine: the canonical one of its host name. */
static int find_full_name(struct resolve *r, struct question *q, const char *host)
{
	set_query(q, host, NAME_BOTH);
	ask(r, q);
	wait_for(r, q);
	return outcome(q);
}

static void print_host(struct resolve *r)
{
	static struct question q; /* its thread may outlive this call */
	char host[NAME_BYTES] = "";
	struct event e;
	int err;

	gethostname(host, sizeof(host) - 1);
	err = find_full_name(r, &q, host);
	begin_event(&e, "resolve.host", NULL);
	event_string(&e, "name", host);
	if (err == 0)
		event_string(&e, "full_name", q.answer.canonical);
	else
		event_string(&e, "error", err_name(err));
	publish_and_say(r->call, &e);
	if (r->json)
		return;
	printf("%s ", _("host name:"));
	print_visible(host);
	printf("%s ", _("fully qualified name:"));
	if (err == 0)
		print_visible(q.answer.canonical);
	else
		printf("(%s)\n", _(err_text(err)));
}

static bool take_own(const struct resolve *r, const struct ifaddrs *own, struct address *a)
{
	if (own->ifa_addr == NULL)
		return false;
	endpoint_from_sockaddr(own->ifa_addr, sizeof(struct sockaddr_storage), a);
	return (a->family == ADDRESS_V4 && r->families != NAME_V6_ONLY) ||
	       (a->family == ADDRESS_V6 && r->families != NAME_V4_ONLY);
}

static void report_own(const struct resolve *r, const struct ifaddrs *own, const struct address *a)
{
	struct event e;

	begin_event(&e, "resolve.interface", NULL);
	event_string(&e, "interface", own->ifa_name);
	event_ip(&e, "address", a);
	publish_and_say(r->call, &e);
}

/* All addresses of the interface of `first`, which is its first one. */
static void print_interface(const struct resolve *r, const struct ifaddrs *first)
{
	char line[LINE_BYTES];
	struct text t = TEXT_OVER(line);
	struct address a;

	text_put_visible(&t, bytes_of_string(first->ifa_name), false);
	text_put_byte(&t, ':');
	for (const struct ifaddrs *own = first; own != NULL; own = own->ifa_next) {
		if (strcmp(own->ifa_name, first->ifa_name) != 0 || !take_own(r, own, &a))
			continue;
		report_own(r, own, &a);
		text_put_byte(&t, ' ');
		put_ip(&t, &a);
	}
	if (!r->json)
		puts(line);
}

static bool is_first_of_its_name(const struct resolve *r, const struct ifaddrs *list,
				 const struct ifaddrs *own)
{
	struct address a;

	for (; list != own; list = list->ifa_next)
		if (strcmp(list->ifa_name, own->ifa_name) == 0 && take_own(r, list, &a))
			return false;
	return true;
}

static int print_this_machine(struct resolve *r)
{
	struct ifaddrs *list;
	struct address a;

	print_host(r);
	if (getifaddrs(&list) != 0)
		return say_error(SAY_RESOLVE, _("the interfaces"), ERR_SYSTEM);
	for (const struct ifaddrs *own = list; own != NULL; own = own->ifa_next)
		if (take_own(r, own, &a) && is_first_of_its_name(r, list, own))
			print_interface(r, own);
	freeifaddrs(list);
	return 0;
}

/* 0, or 2 having said so, when a word can be neither a name nor an address. */
static int check_targets(const struct command_call *call)
{
	struct endpoint e;

	for (int i = 0; i < call->argc; i++)
		if (endpoint_parse_peer_words(call->argv[i], "1", false, &e) != 0)
			return say_usage(_("a name or an address alone, without port or URL"),
					 _("%s is neither a name nor an address"), call->argv[i]);
	return 0;
}

/* Threads may still wait for the resolver when the time is up, and with them what they write to:
 * then nothing is given back, and the process ends. */
static void end(struct resolve *r)
{
	if (r->late)
		return;
	loop_disarm(r->loop, &r->timer);
	for (unsigned i = 0; i < r->targets; i++)
		free(r->target[i].second);
	free(r->target);
	work_destroy(r->work);
	loop_destroy(r->loop);
}

static int begin(struct resolve *r, const struct command_call *call)
{
	uint64_t timeout_ms = call->common.timeout_ms;
	int err = loop_create(&r->loop);

	if (err != 0)
		return err;
	err = work_create(&r->work, THREADS);
	if (err != 0)
		return err;
	if (call->common.v4 != call->common.v6)
		r->families = call->common.v4 ? NAME_V4_ONLY : NAME_V6_ONLY;
	r->call = call;
	r->json = call->common.json;
	r->targets = (unsigned)call->argc;
	r->target = calloc(r->targets + 1, sizeof(*r->target));
	if (r->target == NULL)
		return ERR_MEMORY;
	for (unsigned i = 0; i < r->targets; i++)
		r->target[i].text = call->argv[i];
	r->timer.due = on_time_up;
	if (timeout_ms != 0)
		loop_arm(r->loop, &r->timer, loop_now(r->loop)->boot_ns + timeout_ms * MOMENT_MS);
	return 0;
}

static int run(struct command_call *call)
{
	static struct resolve r;
	int err, code = check_targets(call);

	if (code != 0)
		return code;
	err = begin(&r, call);
	if (err != 0)
		return say_error(SAY_RUN, call->command->name, err);
	code = call->argc == 0 ? print_this_machine(&r) : resolve_all(&r);
	end(&r);
	return code;
}

const struct command command_resolve = {
	.name = "resolve",
	.synopsis = N_("[NAME | ADDRESS]..."),
	.about = N_(
		"Without arguments: this machine's host name, its fully qualified name, and its "
		"addresses by interface.\n\nA NAME: its canonical name, and every address in the "
		"order in which prise would try them (RFC 6724, the families in turn as RFC 8305 "
		"says), each with the names that it points back to. An ADDRESS: the name under "
		"which the DNS holds its names (in-addr.arpa or ip6.arpa), these names, and "
		"whether each points back to the address.\n\nAnswers come from this system's "
		"resolver (nsswitch.conf(5)), so what /etc/hosts says counts. localhost is always "
		"this machine (RFC 6761). -t bounds the whole; what is not known by then counts as "
		"a name server that does not answer.\n\nExit 0 when each was found; for one target "
		"alone 3 when not, for several 1."),
	.examples = "prise resolve\nprise resolve localhost\nprise resolve 127.0.0.1 ::1\n",
	.takes = COMMAND_TAKES_FAMILY | COMMAND_TAKES_TIMEOUT,
	.run = run,
};
