/* /metrics: the Prometheus text format, version 0.0.4. A family is its HELP, its TYPE, then all of
 * its samples; counters end in _total, units are base units. */
#include "daemon/snapshot_parts.h"

#include "base/json.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* One sample of each service that has the transport. */
struct family {
	const char *name, *kind, *help; /* kind NULL: of the family before */
	const char *transport;
	size_t offset; /* in struct running_stats */
};

#define OF(field) offsetof(struct running_stats, field)

static const struct family families[] = {
	{"prise_connections", "gauge", "Connections that are open.", "tcp", OF(open)},
	{"prise_connections_opened_total", "counter", "Connections accepted.", "tcp", OF(opened)},
	{"prise_connections_refused_total", "counter",
	 "Connections closed at once, over a limit of their source.", "tcp", OF(refused)},
	{"prise_received_bytes_total", "counter", "Bytes received.", "tcp", OF(bytes_in)},
	{"prise_received_bytes_total", NULL, NULL, "udp", OF(datagram_bytes_in)},
	{"prise_sent_bytes_total", "counter", "Bytes sent.", "tcp", OF(bytes_out)},
	{"prise_sent_bytes_total", NULL, NULL, "udp", OF(datagram_bytes_out)},
	{"prise_datagrams_received_total", "counter", "Datagrams received.", "udp",
	 OF(datagrams_in)},
	{"prise_datagrams_sent_total", "counter", "Datagrams sent.", "udp", OF(datagrams_out)},
	{"prise_datagrams_refused_total", "counter", "Datagrams without the answer they asked for.",
	 "udp", OF(datagrams_refused)},
};

#undef OF

static void put_head(struct text *t, const char *name, const char *kind, const char *help)
{
	text_printf(t, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind);
}

static void put_one(struct text *t, const char *name, const char *kind, const char *help,
		    uint64_t value)
{
	put_head(t, name, kind, help);
	text_printf(t, "%s %llu\n", name, (unsigned long long)value);
}

static bool has_transport(const struct running *r, const char *transport)
{
	struct running_socket socket;

	for (unsigned i = 0; running_bound(r, i, &socket); i++)
		if (socket.datagram == (strcmp(transport, "udp") == 0))
			return true;
	return false;
}

static void put_services(struct text *t, const struct daemon *d)
{
	struct running_stats stats[CONFIGURATION_SERVICES_MOST];

	for (unsigned i = 0; i < d->services; i++)
		stats[i] = running_stats(d->service[i]);
	for (unsigned f = 0; f < sizeof families / sizeof families[0]; f++) {
		const struct family *family = &families[f];

		if (family->kind)
			put_head(t, family->name, family->kind, family->help);
		for (unsigned i = 0; i < d->services; i++) {
			const char *at = (const char *)&stats[i] + family->offset;

			if (!has_transport(d->service[i], family->transport))
				continue;
			text_printf(t, "%s{service=\"%s\",transport=\"%s\"} %llu\n", family->name,
				    running_configuration(d->service[i])->row->name,
				    family->transport, (unsigned long long)*(const uint64_t *)at);
		}
	}
}

static void put_events(struct text *t, const struct daemon *d)
{
	const char *name = "prise_events_dropped_total";

	put_one(t, "prise_events_total", "counter", "Events that were numbered.",
		events_newest(d->events));
	put_head(t, name, "counter", "Events that a full queue or a slow reader missed.");
	text_printf(t, "%s{queue=\"events\"} %llu\n", name,
		    (unsigned long long)events_dropped(d->events));
	text_printf(t, "%s{queue=\"log\"} %llu\n", name, (unsigned long long)log_dropped(d->log));
	text_printf(t, "%s{queue=\"stream\"} %llu\n", name, (unsigned long long)api_missed(d->api));
	text_printf(t, "%s{queue=\"control\"} %llu\n", name,
		    (unsigned long long)(d->control ? control_missed(d->control) : 0));
	name = "prise_event_readers";
	put_head(t, name, "gauge", "Who follows the events.");
	text_printf(t, "%s{transport=\"stream\"} %llu\n", name,
		    (unsigned long long)api_streams(d->api));
	text_printf(t, "%s{transport=\"control\"} %u\n", name,
		    d->control ? control_readers(d->control) : 0);
}

/* The numbers behind the program's name in /proc/self/stat (proc(5)): which of them, from 1. */
static uint64_t stat_field(const char *stat, unsigned wanted)
{
	const char *at = strrchr(stat, ')');
	unsigned field = 2;

	while (at && field < wanted) {
		at = strchr(at + 1, ' ');
		field++;
	}
	return at ? strtoull(at, NULL, 10) : 0;
}

/* Newer kernels count them in the directory's size; else they are counted here. */
static uint64_t open_descriptors(void)
{
	struct stat st;
	uint64_t count = 0;
	DIR *directory;

	if (stat("/proc/self/fd", &st) == 0 && st.st_size)
		return (uint64_t)st.st_size;
	directory = opendir("/proc/self/fd");
	if (!directory)
		return 0;
	while (readdir(directory))
		count++;
	closedir(directory);
	return count > 3 ? count - 3 : 0; /* itself, and the two that are no descriptors */
}

static void put_process(struct text *t, const struct daemon *d)
{
	char stat_text[1024] = "";
	struct rusage usage;
	struct rlimit limit;
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);

	if (fd >= 0 && read(fd, stat_text, sizeof stat_text - 1) < 0)
		stat_text[0] = '\0';
	if (fd >= 0)
		close(fd);
	getrusage(RUSAGE_SELF, &usage);
	getrlimit(RLIMIT_NOFILE, &limit);
	put_head(t, "process_cpu_seconds_total", "counter", "Time on a processor, in seconds.");
	text_printf(t, "process_cpu_seconds_total %lld.%06lld\n",
		    (long long)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec +
				(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000000),
		    (long long)((usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) % 1000000));
	put_one(t, "process_threads", "gauge", "Threads.", stat_field(stat_text, 20));
	put_one(t, "process_virtual_memory_bytes", "gauge", "Address space.",
		stat_field(stat_text, 23));
	put_one(t, "process_resident_memory_bytes", "gauge", "Memory in use.",
		stat_field(stat_text, 24) * page);
	put_one(t, "process_open_fds", "gauge", "Open descriptors.", open_descriptors());
	put_one(t, "process_max_fds", "gauge", "The limit of open descriptors.",
		(uint64_t)limit.rlim_cur);
	put_one(t, "process_start_time_seconds", "gauge", "When it started, since 1970.",
		(uint64_t)(d->started_us / 1000000));
}

static bool counts_up(const char *name)
{
	size_t len = strlen(name);

	return len > 6 && strcmp(name + len - 6, "_total") == 0;
}

/* What keepers show in a few words is numbers by name: `{"epoch":3,"members":2}`. */
static void put_keepers(struct text *t, const struct daemon *d)
{
	for (unsigned i = 0; i < d->services; i++) {
		const char *service = running_configuration(d->service[i])->row->name;
		char few[512], name[64];
		struct text shown = TEXT_OVER(few);
		struct json_member member;
		size_t cursor = 0;

		if (!running_show(d->service[i], false, &shown))
			continue;
		while (json_next(text_bytes(&shown), &cursor, &member) > 0) {
			if (member.kind != JSON_NUMBER)
				continue;
			snprintf(name, sizeof name, "prise_%s_%.*s", service, (int)member.name.len,
				 (const char *)member.name.data);
			put_head(t, name, counts_up(name) ? "counter" : "gauge",
				 "See the service's page.");
			text_printf(t, "%s %.*s\n", name, (int)member.value.len,
				    (const char *)member.value.data);
		}
	}
}

void snapshot_put_metrics(struct text *t, const struct daemon *d)
{
	put_head(t, "prise_build_info", "gauge", "The version that runs; always 1.");
	text_printf(t, "prise_build_info{version=\"%s\"} 1\n", PRISE_VERSION);
	put_services(t, d);
	put_keepers(t, d);
	put_events(t, d);
	put_process(t, d);
}
