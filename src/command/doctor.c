/* `prise doctor`: what on this machine limits prise, each with the command that lifts it. It looks
 * and changes nothing: no bind, no packet, no file written.
 *
 * Sources: proc(5), inotify(7), capabilities(7), socket(7), ip(7), adjtimex(2), landlock(7). */
#include "command/command.h"

#include "base/number.h"
#include "base/text.h"
#include "command/say.h"
#include "kernel/holder.h"

#include <ifaddrs.h>
#include <limits.h>
#include <net/if.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <unistd.h>

enum verdict { FINE, LIMIT, FAULT };

struct options {
	const char *root;
};

static const struct option options[] = {
	{"root", 0, OPTION_TEXT, N_("DIR"), offsetof(struct options, root), .fallback = ""},
	OPTION_END,
};

struct doctor {
	const char *root; /* before /proc and /etc: another directory in tests */
	bool json, quiet;
	unsigned limits, faults;
};

/* One finding. `subject` is N_(); `lift` is a command, or NULL when nothing needs lifting. */
static void report(struct doctor *d, const char *subject, enum verdict verdict, const char *lift,
		   const char *format, ...) __attribute__((format(printf, 5, 6)));

static void report_json(const char *subject, enum verdict verdict, const char *text,
			const char *lift)
{
	static const char *const words[] = {"ok", "limit", "fault"};
	struct event e;

	event_init(&e, verdict == FINE ? EVENT_INFO : EVENT_WARNING, "doctor.check", NULL,
		   say_now_us());
	event_string(&e, "subject", subject);
	event_string(&e, "verdict", words[verdict]);
	event_string(&e, "text", text);
	if (lift != NULL)
		event_string(&e, "lift", lift);
	say_event(&e);
}

static void report(struct doctor *d, const char *subject, enum verdict verdict, const char *lift,
		   const char *format, ...)
{
	static const char *const words[] = {N_("ok"), N_("limit"), N_("fault")};
	static const char *const colours[] = {"\033[32m", "\033[33m", "\033[1;31m"};
	bool coloured = say_coloured(stdout);
	char line[512], word[32], about[64];
	struct text text = TEXT_OVER(line), first = TEXT_OVER(word), second = TEXT_OVER(about);
	va_list arguments;

	d->limits += verdict == LIMIT;
	d->faults += verdict == FAULT;
	va_start(arguments, format);
	text_vprintf(&text, format, arguments);
	va_end(arguments);
	if (d->json) {
		report_json(subject, verdict, line, lift);
		return;
	}
	if (d->quiet && verdict == FINE)
		return;
	text_put_padded(&first, _(words[verdict]), 6);
	text_put_padded(&second, _(subject), 13);
	printf("%s%s%s %s %s\n", coloured ? colours[verdict] : "", word, coloured ? "\033[0m" : "",
	       about, line);
	if (lift != NULL)
		printf("%-20s %s %s\n", "", _("lift:"), lift);
}

/* The first line of a file under the root; false when it cannot be read. */
static bool read_line(const struct doctor *d, const char *path, char *line, size_t cap)
{
	char full[PATH_MAX];
	FILE *f;
	bool got;

	snprintf(full, sizeof(full), "%s%s", d->root, path);
	f = fopen(full, "re");
	if (f == NULL)
		return false;
	got = fgets(line, (int)cap, f) != NULL;
	fclose(f);
	if (got)
		line[strcspn(line, "\n")] = '\0';
	return got;
}

static bool read_number(const struct doctor *d, const char *path, uint64_t *value)
{
	char line[64];

	return read_line(d, path, line, sizeof(line)) &&
	       number_parse_u64(bytes_strip(bytes_of_string(line)), value) == 0;
}

static void check_descriptors(struct doctor *d)
{
	const uint64_t wanted = 65536;
	struct rlimit limit;
	uint64_t all;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	if (limit.rlim_max < wanted)
		report(d, N_("descriptors"), LIMIT, "prlimit --pid $$ --nofile=1048576:1048576",
		       _("%llu open files at most for one process: so many connections, not more"),
		       (unsigned long long)limit.rlim_max);
	else
		report(d, N_("descriptors"), FINE, NULL,
		       _("%llu open files for one process (serve raises its own limit to that)"),
		       (unsigned long long)limit.rlim_max);
	if (read_number(d, "/proc/sys/fs/file-max", &all) && all < limit.rlim_max)
		report(d, N_("descriptors"), LIMIT, "sysctl -w fs.file-max=2097152",
		       _("%llu open files for the whole machine, fewer than one process may have"),
		       (unsigned long long)all);
}

struct floor {
	const char *subject, *path;
	const char *command; /* that it limits, or NULL: the daemon */
	uint64_t least;
	const char *lift, *low, *fine; /* %llu is the value */
};

static const struct floor floors[] = {
	{N_("backlog"), "/proc/sys/net/core/somaxconn", NULL, 4096,
	 "sysctl -w net.core.somaxconn=4096",
	 N_("%llu connections may wait to be accepted; a burst beyond that is dropped"),
	 N_("%llu connections may wait to be accepted")},
	{N_("inotify"), "/proc/sys/fs/inotify/max_user_watches", "watch", 65536,
	 "sysctl -w fs.inotify.max_user_watches=1048576",
	 N_("%llu directories can be watched, in all your programs together"),
	 N_("%llu directories can be watched")},
	{N_("inotify"), "/proc/sys/fs/inotify/max_user_instances", "watch", 128,
	 "sysctl -w fs.inotify.max_user_instances=1024", N_("%llu watchers a user at most"),
	 N_("%llu watchers a user")},
	{N_("inotify"), "/proc/sys/fs/inotify/max_queued_events", "watch", 16384,
	 "sysctl -w fs.inotify.max_queued_events=65536",
	 N_("%llu events wait for a watcher at most; what comes beyond is told as a gap"),
	 N_("%llu events wait for a watcher")},
};

static void check_floors(struct doctor *d)
{
	for (unsigned i = 0; i < sizeof(floors) / sizeof(floors[0]); i++) {
		const struct floor *f = &floors[i];
		uint64_t value;

		if (f->command != NULL && command_find(f->command) == NULL)
			continue;
		if (!read_number(d, f->path, &value))
			report(d, f->subject, LIMIT, NULL, _("%s cannot be read"), f->path);
		else if (value < f->least)
			report(d, f->subject, LIMIT, f->lift, _(f->low), (unsigned long long)value);
		else
			report(d, f->subject, FINE, NULL, _(f->fine), (unsigned long long)value);
	}
}

/* The capabilities in force, bit by number; 0 when unknown. */
static uint64_t read_capabilities(const struct doctor *d)
{
	char path[PATH_MAX], line[256];
	uint64_t capabilities = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%s/proc/self/status", d->root);
	f = fopen(path, "re");
	if (f == NULL)
		return 0;
	while (fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, "CapEff:", 7) == 0)
			capabilities = strtoull(line + 7, NULL, 16);
	fclose(f);
	return capabilities;
}

static const struct {
	unsigned bit;
	const char *command, *lift, *without, *with;
} capabilities[] = {
	{13, "capture", "setcap cap_net_raw+ep $(command -v prise)",
	 N_("no frames from interfaces: capture reads files alone (no cap_net_raw)"),
	 N_("frames can be captured (cap_net_raw)")},
	{13, "scan", "setcap cap_net_raw+ep $(command -v prise)",
	 N_("no raw packets: scan connects instead of sending SYNs (no cap_net_raw)"),
	 N_("raw packets (cap_net_raw)")},
	{21, "watch", "sudo prise watch",
	 N_("no whole filesystem in one mark: watch asks for each directory (no cap_sys_admin)"),
	 N_("a whole filesystem watched in one mark (cap_sys_admin)")},
};

static void check_capabilities(struct doctor *d)
{
	uint64_t have = read_capabilities(d), first;
	const unsigned bind_service = 10;

	if (!read_number(d, "/proc/sys/net/ipv4/ip_unprivileged_port_start", &first))
		first = 1024;
	if ((have >> bind_service & 1) != 0 || first <= 1)
		report(d, N_("low ports"), FINE, NULL, _("any port can be listened on"));
	else
		report(d, N_("low ports"), LIMIT,
		       "setcap cap_net_bind_service+ep $(command -v prise)",
		       _("no listening below port %llu (no cap_net_bind_service)"),
		       (unsigned long long)first);
	for (unsigned i = 0; i < sizeof(capabilities) / sizeof(capabilities[0]); i++) {
		bool has = (have >> capabilities[i].bit & 1) != 0;

		if (command_find(capabilities[i].command) == NULL)
			continue;
		report(d, N_("capabilities"), has ? FINE : LIMIT, has ? NULL : capabilities[i].lift,
		       "%s", has ? _(capabilities[i].with) : _(capabilities[i].without));
	}
}

struct interfaces {
	bool loopback;            /* 127.0.0.1, or another of its family */
	char multicast[IFNAMSIZ]; /* the first beyond loopback that takes multicast, or "" */
	char mute[IFNAMSIZ];      /* the first that does not */
};

static bool read_interfaces(struct interfaces *found)
{
	struct ifaddrs *all;

	if (getifaddrs(&all) != 0)
		return false;
	for (const struct ifaddrs *i = all; i != NULL; i = i->ifa_next) {
		bool works = (~i->ifa_flags & (IFF_UP | IFF_RUNNING)) == 0;
		char *name = (i->ifa_flags & IFF_MULTICAST) != 0 ? found->multicast : found->mute;

		if (!works)
			continue;
		if ((i->ifa_flags & IFF_LOOPBACK) != 0)
			found->loopback |= i->ifa_addr != NULL && i->ifa_addr->sa_family == AF_INET;
		else if (name[0] == '\0')
			snprintf(name, IFNAMSIZ, "%s", i->ifa_name);
	}
	freeifaddrs(all);
	return true;
}

static void check_multicast(struct doctor *d, const struct interfaces *found)
{
	char lift[64];

	snprintf(lift, sizeof(lift), "ip link set dev %s multicast on", found->mute);
	if (found->multicast[0] != '\0')
		report(d, N_("multicast"), FINE, NULL, _("interface %s takes multicast"),
		       found->multicast);
	else if (found->mute[0] != '\0')
		report(d, N_("multicast"), LIMIT, lift,
		       _("interface %s takes no multicast, nor does another"), found->mute);
	else
		report(d, N_("multicast"), LIMIT, "ip link set dev INTERFACE up",
		       _("no interface but loopback is up: no multicast leaves this machine"));
}

static void check_interfaces(struct doctor *d)
{
	struct interfaces found = {0};

	if (!read_interfaces(&found)) {
		report(d, N_("interfaces"), FAULT, NULL,
		       _("the system does not tell its interfaces"));
		return;
	}
	if (!found.loopback)
		report(d, N_("loopback"), FAULT, "ip link set lo up",
		       _("127.0.0.1 is not there: nothing on this machine can speak to itself"));
	else
		report(d, N_("loopback"), FINE, NULL, _("127.0.0.1 is there"));
	check_multicast(d, &found);
}

static void check_ipv6(struct doctor *d)
{
	const char *lift = "sysctl -w net.ipv6.conf.all.disable_ipv6=0";
	char path[PATH_MAX], line[256];
	bool loopback = false, global = false;
	FILE *f;

	snprintf(path, sizeof(path), "%s/proc/net/if_inet6", d->root);
	f = fopen(path, "re");
	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		loopback |= strncmp(line, "00000000000000000000000000000001", 32) == 0;
		global |= line[0] == '2' || line[0] == '3' || strncmp(line, "fd", 2) == 0;
	}
	if (f != NULL)
		fclose(f);
	if (!loopback)
		report(d, N_("ipv6"), LIMIT, lift, _("IPv6 is off: serve listens on IPv4 alone"));
	else if (!global)
		report(d, N_("ipv6"), FINE, NULL,
		       _("IPv6 on this machine and its link, not beyond"));
	else
		report(d, N_("ipv6"), FINE, NULL, _("IPv6 here and beyond"));
}

static void check_clock(struct doctor *d)
{
	struct timex clock = {0};

	if (say_now_us() / 1000000 < 1704067200)
		report(d, N_("clock"), FAULT, "timedatectl set-time 'YYYY-MM-DD HH:MM:SS'",
		       _("the clock is before 2024: daytime and time answer nonsense"));
	else if (adjtimex(&clock) < 0)
		report(d, N_("clock"), LIMIT, NULL,
		       _("the system does not tell whether its clock is right"));
	else if ((clock.status & STA_UNSYNC) != 0)
		report(d, N_("clock"), LIMIT, "timedatectl set-ntp true",
		       _("nothing keeps the clock right: daytime and time answer what it shows"));
	else
		report(d, N_("clock"), FINE, NULL, _("the clock is kept right, to %ld ms at worst"),
		       clock.maxerror / 1000);
}

static void check_system(struct doctor *d)
{
	/* landlock_create_ruleset(NULL, 0, VERSION): asks, makes nothing. */
	long landlock = syscall(444, NULL, 0, 1);
	char line[8];

	if (landlock > 0)
		report(d, N_("sandbox"), FINE, NULL,
		       _("Landlock %ld confines serve to its own files"), landlock);
	else
		report(d, N_("sandbox"), LIMIT, NULL,
		       _("this kernel has no Landlock: serve runs unconfined"));
	if (read_line(d, "/etc/services", line, sizeof(line)))
		report(d, N_("names"), FINE, NULL, _("/etc/services names the ports"));
	else
		report(d, N_("names"), LIMIT, "apt-get install netbase",
		       _("no /etc/services: HOST:daytime and the like are not understood"));
}

struct port {
	const char *service;
	uint16_t number;
	bool udp, ours;
};

/* What a default `serve` takes, from the table of services. */
static const struct port ports[] = {
#define TCP       1
#define UDP       2
#define UDP_ASKED 0
#define ON        true
#define OFF       false
#define SERVICE(name, port, standard, transports, on, first, where, who, holder, help) \
	{#name, port, false, on}, {#name, port, true, (on) && (UDP & (transports)) != 0},
#include "service/service.def"
#undef SERVICE
#undef TCP
#undef UDP
#undef UDP_ASKED
#undef ON
#undef OFF
};

static void report_held(struct doctor *d, const struct port *p, const struct holder *h)
{
	const char *transport = p->udp ? "UDP" : "TCP";
	char lift[128];

	snprintf(lift, sizeof(lift), "prise serve %s=:PORT", p->service);
	if (h->pid == 0 && geteuid() != 0 && h->user != geteuid())
		report(d, N_("ports"), LIMIT, lift,
		       _("%s port %u of %s is held by a program of user %u, perhaps a prise: only "
			 "root sees which"),
		       transport, p->number, p->service, (unsigned)h->user);
	else if (h->pid == 0)
		report(d, N_("ports"), FAULT, lift,
		       _("%s port %u of %s is held by a program of user %u"), transport, p->number,
		       p->service, (unsigned)h->user);
	else if (strcmp(h->program, "prise") == 0)
		report(d, N_("ports"), FINE, NULL,
		       _("%s port %u of %s is held by prise, process %d"), transport, p->number,
		       p->service, (int)h->pid);
	else
		report(d, N_("ports"), FAULT, lift, _("%s port %u of %s is held by %s, process %d"),
		       transport, p->number, p->service, h->program, (int)h->pid);
}

static void check_ports(struct doctor *d)
{
	const struct address anywhere = {.family = ADDRESS_NONE};
	char proc[PATH_MAX];
	unsigned held = 0;

	snprintf(proc, sizeof(proc), "%s/proc", d->root);
	for (unsigned i = 0; i < sizeof(ports) / sizeof(ports[0]); i++) {
		struct holder holder;

		if (!ports[i].ours ||
		    holder_find(proc, &anywhere, ports[i].number, ports[i].udp, &holder) != 0)
			continue;
		report_held(d, &ports[i], &holder);
		held++;
	}
	if (held == 0)
		report(d, N_("ports"), FINE, NULL, _("every port of the default services is free"));
}

static int run(struct command_call *call)
{
	const struct options *given = call->options;
	struct doctor d = {given->root, call->common.json, call->common.quiet, 0, 0};

	if (call->argc > 0)
		return say_usage(_("prise doctor, with nothing behind it"), _("%s is too much"),
				 call->argv[0]);
	check_descriptors(&d);
	check_floors(&d);
	check_capabilities(&d);
	check_interfaces(&d);
	check_ipv6(&d);
	check_clock(&d);
	check_system(&d);
	check_ports(&d);
	return d.faults == 0 ? 0 : 1;
}

const struct command command_doctor = {
	.name = "doctor",
	.about = N_(
		"Looks at what on this machine limits prise and says how to lift it: descriptors, "
		"backlog, inotify, capabilities, interfaces and multicast, IPv6, clock, sandbox, "
		"ports. It looks only: nothing is changed, nothing is sent.\n\n"
		"`ok` needs nothing; `limit` is something prise can live with; `fault` is "
		"something in its way, and then the exit status is 1. The commands shown want "
		"root, and those of sysctl last until the next start of the machine unless they "
		"are written to /etc/sysctl.d. -q shows only what is not ok."),
	.examples = "prise doctor\nprise doctor --json\n",
	.options = options,
	.options_bytes = sizeof(struct options),
	.run = run,
};
