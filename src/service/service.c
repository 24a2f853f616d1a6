/* The rows of service.def as a table. */
#include "service/service.h"

#define N_(s)               s
#define TCP                 SERVICE_TCP
#define UDP                 SERVICE_UDP
#define UDP_ASKED           SERVICE_UDP_ASKED
#define ON                  true
#define OFF                 false
#define SERVICE_PLAIN(name) NULL
#define SERVICE_KEPT(name)  &name##_keeper

const struct service_row service_rows[] = {
#define SERVICE(name, port, standard, transports, on, first, place, reach, keeper, summary) \
	{#name,                                                                             \
	 port,                                                                              \
	 standard,                                                                          \
	 transports,                                                                        \
	 on,                                                                                \
	 SERVICE_FIRST_##first,                                                             \
	 SERVICE_##place,                                                                   \
	 SERVICE_##reach,                                                                   \
	 &name##_machine,                                                                   \
	 SERVICE_##keeper(name),                                                            \
	 summary},
#include "service/service.def"
#undef SERVICE
};

const unsigned service_row_count = sizeof service_rows / sizeof service_rows[0];

const struct service_row *service_find(const char *name)
{
	for (unsigned i = 0; i < service_row_count; i++)
		if (strcmp(service_rows[i].name, name) == 0)
			return &service_rows[i];
	return NULL;
}

#define ROW(key, kind, field, value, text)                                             \
	{                                                                              \
		.name = key, .type = OPTION_##kind,                                    \
		.offset = offsetof(struct service_settings, field), .fallback = value, \
		.help = text                                                           \
	}

const struct option service_options[] = {
	ROW("listen", LIST, listen, NULL, N_("addresses to listen on")),
	ROW("max_connections", COUNT, max_connections, "20000",
	    N_("connections at a time; more wait in the kernel's queue; 0: no limit")),
	ROW("max_per_source", COUNT, max_per_source, "0",
	    N_("connections at a time from one address; 0: no limit")),
	ROW("max_per_second", COUNT, max_per_second, "0",
	    N_("new connections a second, twice as many at once; 0: no limit")),
	ROW("queue", SIZE, queue_bytes, "256K",
	    N_("bytes kept for a peer that does not read before reading from it stops")),
	ROW("idle", DURATION, idle_ms, "30m", N_("silence after which a connection ends; 0: none")),
	ROW("first_byte", DURATION, first_byte_ms, "10m",
	    N_("time a client has to send its first byte; 0: no limit")),
	ROW("backlog", COUNT, backlog, "0", N_("the kernel's queue; 0: the system's most")),
	ROW("udp", FLAG, udp, "yes",
	    N_("answer UDP too, where the service can; qotd and chargen do only when told to")),
	ROW("udp_rate", COUNT, udp_rate, "1000",
	    N_("datagrams a second answered to one address; 0: no limit")),
	ROW("udp_burst", COUNT, udp_burst, "2000", N_("datagrams answered at once to one address")),
	ROW("udp_long_answers", FLAG, udp_long_answers, NULL,
	    N_("answers over UDP may be longer than their request")),
	ROW("tls", FLAG, tls, NULL, N_("speak TLS, and nothing else; without UDP")),
	ROW("authorized_keys", TEXT, authorized_keys, NULL,
	    N_("with tls: let in only the keys of this file, FINGERPRINT SERVICE a line")),
	OPTION_END,
};
