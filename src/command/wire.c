/* The wire, 16 bytes a line: direction, seconds since the start, offset, hex, text.
 *
 *   >   0.000431  0000  62 6f 6e 6a 6f 75 72 0a                          |bonjour.|   */
#include "command/wire.h"

#include "base/moment.h"
#include "command/command.h"

#include <time.h>

enum { WIRE_ROW = 16 };

static uint64_t wire_start_ns;

static uint64_t wire_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec * MOMENT_S + (uint64_t)ts.tv_nsec;
}

void wire_begin(void)
{
	wire_start_ns = wire_now_ns();
}

static double wire_seconds(void)
{
	return (double)(wire_now_ns() - wire_start_ns) / 1e9;
}

void wire_connected(const struct address *local, const struct address *remote)
{
	char from[ADDRESS_TEXT_BYTES], to[ADDRESS_TEXT_BYTES];
	struct text a = TEXT_OVER(from), b = TEXT_OVER(to);

	address_put(&a, local);
	address_put(&b, remote);
	fprintf(stderr, "* %10.6f  %s -> %s\n", wire_seconds(), from, to);
}

void wire_closed(const struct address *remote, const char *why)
{
	char who[ADDRESS_TEXT_BYTES];
	struct text a = TEXT_OVER(who);

	address_put(&a, remote);
	fprintf(stderr, _("* %10.6f  %s closed: %s\n"), wire_seconds(), who, why);
}

static void wire_row(struct text *t, struct bytes row)
{
	for (size_t i = 0; i < WIRE_ROW; i++) {
		if (i < row.len)
			text_printf(t, " %02x", row.data[i]);
		else
			text_put_string(t, "   ");
	}
	text_put_string(t, "  |");
	for (size_t i = 0; i < row.len; i++)
		text_put_byte(t,
			      row.data[i] >= 0x20 && row.data[i] < 0x7f ? (char)row.data[i] : '.');
	text_put_string(t, "|\n");
}

void wire_bytes(const char *service, const struct address *remote, bool sent, struct bytes b)
{
	wire_bytes_at(service, remote, sent, b, wire_now_ns());
}

void wire_bytes_at(const char *service, const struct address *remote, bool sent, struct bytes b,
		   uint64_t boot_ns)
{
	char who[ADDRESS_TEXT_BYTES + 32] = "";
	struct text w = TEXT_OVER(who);
	double at = boot_ns > wire_start_ns ? (double)(boot_ns - wire_start_ns) / 1e9 : 0;

	if (service)
		text_printf(&w, "  %s", service);
	if (remote) {
		text_put_string(&w, "  ");
		address_put(&w, remote);
	}
	flockfile(stderr);
	if (who[0] || !b.len)
		fprintf(stderr, "%c %10.6f%s  %zu\n", sent ? '>' : '<', at, who, b.len);
	for (size_t i = 0; i < b.len; i += WIRE_ROW) {
		char line[128];
		struct text t = TEXT_OVER(line);

		text_printf(&t, "%c %10.6f  %04zx ", sent ? '>' : '<', at, i);
		wire_row(&t, bytes_first(bytes_after(b, i), WIRE_ROW));
		fputs(line, stderr);
	}
	funlockfile(stderr);
}
